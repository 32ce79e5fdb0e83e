"""Task plugins in flows."""

from __future__ import annotations

from typing import Any

from dioptra.errors import NoActiveFlowError
from dioptra.flow import FunctionTask, task
from dioptra.pyplugs._lookup import get

__all__ = ["call_task", "get_task"]


def get_task(package: str, plugin: str, func: str | None = None) -> FunctionTask:
    """Return a new flow task that calls a registered function, the first one of the plugin by default.

    Raises:
        TaskDefinitionError: The function takes `*args` or an argument with a reserved name.
        BasePyPlugsException: There is no such function; see `info`.
    """
    return task(get(package, plugin, func))


def call_task(package: str, plugin: str, func: str | None = None, *args: Any, **kwargs: Any) -> FunctionTask:
    """Add a call of a registered function to the flow that is being built.

    Args:
        package: The package of the plugin, such as `dioptra_builtins.random`.
        plugin: The module.
        func: The function; by default the first one that the module registers.
        *args: Its arguments: tasks, whose results are passed on, or plain values.
        **kwargs: More arguments, and those of every task call: `upstream_tasks`, `task_args`, `flow`.

    Returns:
        The task, which stands for the function's result in further calls.

    Raises:
        TypeError: The arguments do not fit the function.
        NoActiveFlowError: No flow is being built.
        TaskDefinitionError: The function takes `*args` or an argument with a reserved name.
        BasePyPlugsException: There is no such function; see `info`.
    """
    found = get_task(package, plugin, func)
    try:
        return found(*args, **kwargs)
    except NoActiveFlowError as error:
        raise NoActiveFlowError(
            f"call_task({package!r}, {plugin!r}, {found.name!r}) was called outside of any flow",
            hint="call it inside `with Flow(...):`, or use pyplugs.call to run it now",
        ) from error
