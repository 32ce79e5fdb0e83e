"""The real Prefect, when a process has imported it; nothing here imports it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from dioptra import settings

__all__ = ["active_flow", "bridge", "is_flow", "is_task", "prefect_1", "task_of"]


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


def is_task(value: object) -> bool:
    """Tell whether a value is a task of Prefect 1."""
    prefect = prefect_1()
    return prefect is not None and isinstance(value, prefect.Task)


def task_of(fn: Callable[..., Any], nout: int | None) -> Any:
    """Return a task of Prefect 1 that calls a function with this number of results."""
    return prefect_1().task(fn, nout=nout)


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
    return str(getattr(module, "__version__", "")).partition(".")[0] in ("0", "1")
