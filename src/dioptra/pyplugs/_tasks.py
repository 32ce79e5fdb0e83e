"""Task plugins in flows: those of Dioptra, and those of Prefect when a script builds or runs one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dioptra import prefect
from dioptra.errors import NoActiveFlowError, TaskDefinitionError
from dioptra.flow import Flow, FunctionTask, Task, active_flow, task
from dioptra.pyplugs._lookup import info
from dioptra.pyplugs._registry import PluginInfo

__all__ = ["call_task", "get_task"]


def get_task(package: str, plugin: str, func: str | None = None) -> FunctionTask:
    """Return a new flow task that calls a registered function, the first one of the plugin by default.

    It is a task of Prefect 1 when a flow of that is being built, or when none is and the script has imported it. It is
    one of Prefect 3 when a flow of that is running.

    Raises:
        TaskDefinitionError: The function takes `*args` or an argument with a reserved name.
        BasePyPlugsException: There is no such function; see `info`.
    """
    found = info(package, plugin, func)
    if active_flow() is None and prefect.in_prefect_3():
        made: FunctionTask = prefect.task_of_3(found.func, found.description)
        return made
    if active_flow() is None and prefect.prefect_1() is not None:
        return _prefect_task(found.func)
    return task(found.func)


def call_task(package: str, plugin: str, func: str | None = None, *args: Any, **kwargs: Any) -> FunctionTask:
    """Add a call of a registered function to the flow that is being built, one of Dioptra or of Prefect 1.

    In a flow of Prefect 3, which is run right away, the call is submitted as a task of it.

    Args:
        package: The package of the plugin, such as `dioptra_builtins.random`.
        plugin: The module.
        func: The function; by default the first one that the module registers.
        *args: Its arguments: tasks, whose results are passed on, or plain values.
        **kwargs: More arguments, and those of every task call: `upstream_tasks`, `task_args`, `flow`.

    Returns:
        The task, which stands for the function's result in further calls; in a flow of Prefect 3 its future.

    Raises:
        TypeError: The arguments do not fit the function.
        NoActiveFlowError: No flow is being built.
        TaskDefinitionError: The function takes `*args` or an argument with a reserved name, or an argument is a task
            of the other kind of flow.
        BasePyPlugsException: There is no such function; see `info`.
    """
    found = info(package, plugin, func)
    add, here = _way(kwargs.get("flow"))
    if here:
        _check_kind([*args, *kwargs.values()], found.func_name, here)
    try:
        return add(found, args, kwargs)
    except NoActiveFlowError as error:
        raise NoActiveFlowError(
            f"call_task({package!r}, {plugin!r}, {found.func_name!r}) was called outside of any flow",
            hint=f"call it inside `with Flow(...):`, or use pyplugs.call to run it now{_of_threads()}",
        ) from error


def _of_threads() -> str:
    """Return what else a script of Prefect 3 may have done, whose flow is known by the context of a thread."""
    if not prefect.task_kinds() or prefect.prefect_1() is not None:
        return ""
    return "; in a flow of Prefect 3, call it in the flow's own thread or in a task, where its contextvars are"


def _way(flow: object) -> tuple[Callable[..., FunctionTask], str]:
    """Return how a call is added to its flow, the one given or else the one being built, and whose flow that is."""
    if prefect.is_flow(flow) or (flow is None and active_flow() is None and prefect.active_flow() is not None):
        return _add_to_prefect, "Prefect"
    if not isinstance(flow, Flow) and active_flow() is None and prefect.in_prefect_3():
        return _submit, "Prefect"
    return _add, "" if flow is None and active_flow() is None else "Dioptra"


def _add(found: PluginInfo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionTask:
    return task(found.func)(*args, **kwargs)


def _add_to_prefect(found: PluginInfo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionTask:
    added: FunctionTask = _prefect_task(found.func)(*args, **kwargs)
    return added


def _submit(found: PluginInfo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionTask:
    future: FunctionTask = prefect.submit(found.func, found.description, args, kwargs)
    return future


def _prefect_task(function: Callable[..., Any]) -> FunctionTask:
    made: FunctionTask = prefect.task_of(function, nout=task(function).nout)
    return made


def _check_kind(values: Iterable[Any], function: str, here: str) -> None:
    """Refuse tasks of the other kind of flow, which would be passed on as if they were plain values."""
    foreign, other = ((Task,), "Dioptra") if here == "Prefect" else (prefect.task_kinds(), "Prefect")
    for value in _flat(values) if foreign else ():
        if isinstance(value, foreign):
            raise TaskDefinitionError(
                f"{function!r} is called in a flow of {here} with {value!r}, a task of {other}",
                hint="import Flow, Parameter and task from the same place"
                if prefect.prefect_1() is not None
                else "give it what call_task returned in the same flow, or plain values",
            )


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    """Yield values, and what is inside of collections."""
    waiting, seen = list(values), set()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, (list, tuple, set, frozenset, dict)):
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            waiting += [*value, *value.values()] if isinstance(value, dict) else value
