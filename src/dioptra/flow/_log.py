"""What a run says to people: a sentence in the log for every task."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dioptra.errors import DioptraError
from dioptra.flow._collection import CollectionTask
from dioptra.flow._events import Event, FlowSettled, FlowStarted, TaskRetrying, TaskSettled
from dioptra.flow._parameter import Parameter
from dioptra.flow._state import State, TriggerFailed
from dioptra.flow._task import OperatorTask

__all__ = ["log_event", "visible_log"]

logger = logging.getLogger("dioptra.flow")

_BETWEEN = (Parameter, CollectionTask, OperatorTask)


def log_event(event: Event) -> None:
    """Log an event: failures with their traceback, unless they say themselves what is wrong; what nobody called by
    name at level DEBUG."""
    match event:
        case TaskSettled():
            _log_task(event)
        case TaskRetrying():
            failed = "task %r failed in attempt %d of %d, and is tried again"
            logger.warning(failed, event.slug, event.attempt, event.task.max_retries + 1, exc_info=_cause(event.state))
        case FlowStarted():
            logger.info("flow %r starts with %d tasks", event.flow, event.tasks)
        case FlowSettled():
            how = "failed" if event.state.is_failed() else "succeeded"
            logger.info("flow %r %s after %.3f s: %s", event.flow, how, event.seconds, event.state.message)


def _log_task(event: TaskSettled) -> None:
    state, slug = event.state, event.slug
    level = logging.DEBUG if isinstance(event.task, _BETWEEN) else logging.INFO
    if isinstance(state, TriggerFailed):
        logger.log(level, "task %r was %s", slug, _said("not run", state.message))
    elif state.is_skipped():
        logger.log(level, "task %r was %s", slug, _said("skipped", state.message))
    elif state.is_failed():
        failed = f"task %r failed after %.3f s%s{': %s' if _in_words(state) else ''}"
        words = [state.message] if _in_words(state) else []
        logger.error(failed, slug, event.seconds, _tried(event), *words, exc_info=_cause(state))
    else:
        logger.log(level, "task %r succeeded after %.3f s%s", slug, event.seconds, _tried(event))


def _said(what: str, message: str) -> str:
    """Say what became of a task, in our words or in those of the signal that it raised."""
    if message.startswith(what):
        return message
    return f"{what}: {message}" if message else what


def _tried(event: TaskSettled) -> str:
    return f" and {event.attempts} attempts" if event.attempts > 1 else ""


def _in_words(state: State) -> bool:
    """Tell whether an error says itself what is wrong and what would be right, so that a traceback adds nothing."""
    return isinstance(state.result, DioptraError)


def _cause(state: State) -> BaseException | None:
    return state.result if isinstance(state.result, BaseException) and not _in_words(state) else None


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
