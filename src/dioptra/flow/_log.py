"""What a run says to people: a sentence in the log for every task."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dioptra.flow._collection import CollectionTask
from dioptra.flow._events import Event, FlowSettled, FlowStarted, TaskSettled
from dioptra.flow._parameter import Parameter
from dioptra.flow._state import TriggerFailed
from dioptra.flow._task import OperatorTask

__all__ = ["log_event", "visible_log"]

logger = logging.getLogger("dioptra.flow")

_BETWEEN = (Parameter, CollectionTask, OperatorTask)


def log_event(event: Event) -> None:
    """Log an event: failures with their traceback, and at level DEBUG the success of what nobody called by name."""
    match event:
        case TaskSettled():
            _log_task(event)
        case FlowStarted():
            logger.info("flow %r starts with %d tasks", event.flow, event.tasks)
        case FlowSettled():
            how = "failed" if event.state.is_failed() else "succeeded"
            logger.info("flow %r %s after %.3f s: %s", event.flow, how, event.seconds, event.state.message)


def _log_task(event: TaskSettled) -> None:
    state = event.state
    if isinstance(state, TriggerFailed):
        logger.info("task %r was %s", event.slug, state.message)
    elif state.is_failed():
        logger.error("task %r failed after %.3f s", event.slug, event.seconds, exc_info=state.result)
    else:
        level = logging.DEBUG if isinstance(event.task, _BETWEEN) else logging.INFO
        logger.log(level, "task %r succeeded after %.3f s", event.slug, event.seconds)


@contextmanager
def visible_log(in_job: bool) -> Iterator[None]:
    """Write Dioptra's log to stderr for a while, when this is a job whose script set up no logging."""
    if not in_job or logger.hasHandlers():
        yield
        return
    parent = logging.getLogger("dioptra")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = parent.level
    parent.addHandler(handler)
    parent.setLevel(logging.INFO)
    try:
        yield
    finally:
        parent.removeHandler(handler)
        parent.setLevel(level)
