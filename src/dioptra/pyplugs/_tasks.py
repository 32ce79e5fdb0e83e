"""Task plugins in flows: those of Dioptra, and those of Prefect 1 when a script builds one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dioptra import prefect
from dioptra.errors import NoActiveFlowError, TaskDefinitionError
from dioptra.flow import FunctionTask, Task, active_flow, task
from dioptra.pyplugs._lookup import get

__all__ = ["call_task", "get_task"]


def get_task(package: str, plugin: str, func: str | None = None) -> FunctionTask:
    """Return a new flow task that calls a registered function, the first one of the plugin by default.

    It is a task of Prefect 1 when a flow of that is being built, or when none is and the script has imported it.

    Raises:
        TaskDefinitionError: The function takes `*args` or an argument with a reserved name.
        BasePyPlugsException: There is no such function; see `info`.
    """
    found = get(package, plugin, func)
    if active_flow() is None and prefect.prefect_1() is not None:
        return _prefect_task(found)
    return task(found)


def call_task(package: str, plugin: str, func: str | None = None, *args: Any, **kwargs: Any) -> FunctionTask:
    """Add a call of a registered function to the flow that is being built, one of Dioptra or of Prefect 1.

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
        TaskDefinitionError: The function takes `*args` or an argument with a reserved name, or an argument is a task
            of the other kind of flow.
        BasePyPlugsException: There is no such function; see `info`.
    """
    found = get(package, plugin, func)
    in_prefect = _in_prefect(kwargs.get("flow"))
    _check_kind([*args, *kwargs.values()], found.__name__, in_prefect)
    if in_prefect:
        added: FunctionTask = _prefect_task(found)(*args, **kwargs)
        return added
    try:
        return task(found)(*args, **kwargs)
    except NoActiveFlowError as error:
        raise NoActiveFlowError(
            f"call_task({package!r}, {plugin!r}, {found.__name__!r}) was called outside of any flow",
            hint="call it inside `with Flow(...):`, or use pyplugs.call to run it now",
        ) from error


def _in_prefect(flow: object) -> bool:
    """Tell whether a call belongs to a flow of Prefect 1: the one given, else the one being built."""
    if flow is not None:
        return prefect.is_flow(flow)
    return active_flow() is None and prefect.active_flow() is not None


def _prefect_task(function: Callable[..., Any]) -> FunctionTask:
    made: FunctionTask = prefect.task_of(function, nout=task(function).nout)
    return made


def _check_kind(values: Iterable[Any], function: str, in_prefect: bool) -> None:
    """Refuse tasks of the other kind of flow, which would be passed on as if they were plain values."""
    for value in values:
        if isinstance(value, Task) if in_prefect else prefect.is_task(value):
            this, other = ("Prefect", "Dioptra") if in_prefect else ("Dioptra", "Prefect")
            raise TaskDefinitionError(
                f"{function!r} is called in a flow of {this} with {value!r}, a task of {other}",
                hint="import Flow, Parameter and task from the same place",
            )
