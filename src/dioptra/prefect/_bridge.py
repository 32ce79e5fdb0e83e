"""The real Prefect, when a process has imported it; nothing here imports it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from dioptra import settings

__all__ = [
    "active_flow",
    "bridge",
    "in_prefect_3",
    "is_flow",
    "prefect_1",
    "submit",
    "task_kinds",
    "task_of",
    "task_of_3",
]


def prefect_1() -> Any:
    """Return the real Prefect 1, if this process has imported it, else None."""
    module = sys.modules.get("prefect")
    return module if module is not None and _is_1(module) and hasattr(module, "Flow") else None


def active_flow() -> Any:
    """Return the flow of Prefect 1 whose `with` block is being executed, if there is one."""
    prefect = prefect_1()
    return None if prefect is None else prefect.context.get("flow")


def is_flow(value: object) -> bool:
    """Tell whether a value is a flow of Prefect 1."""
    prefect = prefect_1()
    return prefect is not None and isinstance(value, prefect.Flow)


def task_kinds() -> tuple[type, ...]:
    """Return the classes of what stands for a task in flows of the real Prefect: tasks in Prefect 1, later futures."""
    prefect, futures = prefect_1(), sys.modules.get("prefect.futures")
    if prefect is not None:
        return (prefect.Task,)
    return () if futures is None else (futures.PrefectFuture,)


def task_of(fn: Callable[..., Any], nout: int | None) -> Any:
    """Return a task of Prefect 1 that calls a function with this number of results."""
    return prefect_1().task(fn, nout=nout)


def in_prefect_3() -> bool:
    """Tell whether a flow of Prefect 3 is running here, or a task in one."""
    module, context = sys.modules.get("prefect"), sys.modules.get("prefect.context")
    if context is None or _major(module) != "3":
        return False
    return context.FlowRunContext.get() is not None


def task_of_3(fn: Callable[..., Any], description: str) -> Any:
    """Return a task of Prefect 3 that calls a function."""
    from dioptra.prefect import _prefect3

    return _prefect3.task_of_3(fn, description)


def submit(fn: Callable[..., Any], description: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Submit a call of a function to the flow of Prefect 3 that is running here, and return its future."""
    from dioptra.prefect import _prefect3

    return _prefect3.submit(fn, description, args, kwargs)


def bridge(prefect: ModuleType) -> None:
    """Join a real Prefect that was just imported to the job: the stand-in calls this when it gives way.

    The flows of Prefect 1 are written to the job's journal. What scripts of 0.x ask of another Prefect in vain is
    explained.
    """
    if _is_1(prefect):
        if settings.get("attempt_dir"):
            from dioptra.prefect._watch import watch

            watch(prefect)
    else:
        from dioptra.prefect._explain import explain_other_version

        explain_other_version(str(getattr(prefect, "__version__", "")))


def _is_1(module: ModuleType) -> bool:
    """Tell whether a module is Prefect 1, or the last ones before, which mean the same; the stand-in has no version."""
    return _major(module) in ("0", "1")


def _major(module: ModuleType | None) -> str:
    return str(getattr(module, "__version__", "")).partition(".")[0]
