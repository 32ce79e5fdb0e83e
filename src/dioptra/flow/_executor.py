"""Where the tasks of a flow run: the seam that executors fill, and the one that needs nothing else."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dioptra import settings
from dioptra.flow._events import CONTEXT

if TYPE_CHECKING:
    from dioptra.flow._run import Run

__all__ = ["Executor", "Sequential", "executor_of"]

_OTHERS = "dioptra.executors._named"  # stands above this part, and is loaded when a run asks for one of them


@runtime_checkable
class Executor(Protocol):
    """What runs the tasks of a flow."""

    def drive(self, run: Run) -> None:
        """Settle each task of a run once, after what it depends on."""


class Sequential:
    """Runs one task after the other, in the order in which they were made, in the thread that runs the flow."""

    def drive(self, run: Run) -> None:
        """Settle each task in its turn."""
        for task in run.order:
            run.settle_here(task)

    def __repr__(self) -> str:
        return "Sequential()"


def executor_of(chosen: Any = None) -> Executor:
    """Return the executor that a name, an address or an object stands for; by default that of `DIOPTRA_EXECUTOR`.

    A flow that runs inside a task runs one task after the other, unless it says otherwise.

    Raises:
        FlowError: There is no such executor.
        RefusedError: An address is not safe to use.
        BaseOptionalDependencyError: It needs a package that is not installed.
    """
    if chosen is None:  # a flow inside a task has the task's thread to itself
        chosen = settings.get("executor") if CONTEXT.get() is None else "sequential"
    if chosen == "sequential":
        return Sequential()
    if isinstance(chosen, Executor) and not isinstance(chosen, type):
        return chosen
    found: Executor = import_module(_OTHERS).named(chosen)
    return found
