"""What others can learn while a flow runs: events for listeners, and the context of the running task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from dioptra.flow._state import Retrying, State
from dioptra.flow._task import Task

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = [
    "CONTEXT",
    "Announcer",
    "Context",
    "Event",
    "FlowSettled",
    "FlowStarted",
    "Listener",
    "TaskRetrying",
    "TaskSettled",
    "context",
    "listen",
    "listeners",
]

logger = logging.getLogger("dioptra.flow")


class FlowStarted(NamedTuple):
    """A flow starts to run; `tasks` is how many it has, `source` the flow itself."""

    flow: str
    tasks: int
    source: Flow | None = None


class TaskRetrying(NamedTuple):
    """A task failed, and is to be tried again; `attempt` is the number of the attempt that failed."""

    flow: str
    task: Task
    slug: str
    state: Retrying
    attempt: int


class TaskSettled(NamedTuple):
    """A task ended, or is not to be run; `slug` names it in the flow, `attempts` is how often it was tried."""

    flow: str
    task: Task
    slug: str
    state: State
    seconds: float
    attempts: int = 1


class FlowSettled(NamedTuple):
    """All tasks have settled, or the run was interrupted; `state` is the flow's."""

    flow: str
    state: State
    seconds: float


Event = FlowStarted | TaskRetrying | TaskSettled | FlowSettled
Listener = Callable[[Event], None]


class Context(NamedTuple):
    """Which task is running: names of the flow and the task, its unique name, its attempt, the flow's parameters."""

    flow: str
    task: str
    slug: str
    attempt: int = 1
    parameters: Mapping[str, Any] = MappingProxyType({})


CONTEXT: ContextVar[Context | None] = ContextVar("dioptra_flow_context", default=None)
_LISTENERS: ContextVar[tuple[Listener, ...]] = ContextVar("dioptra_flow_listeners", default=())


def context() -> Context | None:
    """Return which task is running here, or None outside of tasks."""
    return CONTEXT.get()


def listeners() -> tuple[Listener, ...]:
    """Return the listeners that are in force here."""
    return _LISTENERS.get()


@contextmanager
def listen(listener: Listener) -> Iterator[Listener]:
    """Call `listener` with the events of every flow that is run in the block.

    Args:
        listener: Takes a `FlowStarted`, `TaskRetrying`, `TaskSettled` or `FlowSettled`. One that raises is left out
            of the rest of the run, with a warning in the log; it never fails the flow.
    """
    token = _LISTENERS.set((*_LISTENERS.get(), listener))
    try:
        yield listener
    finally:
        _LISTENERS.reset(token)


class Announcer:
    """Tells events to listeners, and drops those that cannot bear them."""

    def __init__(self, to: Iterable[Listener]) -> None:
        self._to = list(to)

    def __call__(self, event: Event) -> None:
        for listener in tuple(self._to):
            try:
                listener(event)
            except Exception:
                self._to.remove(listener)
                logger.warning("a listener of flow %r failed and is left out", event.flow, exc_info=True)
