"""The journal of a job's flows: `flow.jsonl` in the attempt's folder, one line for each thing that settled."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dioptra.flow._description import LARGEST, describe_flow
from dioptra.flow._events import Event, FlowSettled, FlowStarted, TaskRetrying, TaskSettled
from dioptra.flow._fingerprint import fingerprint
from dioptra.flow._state import State

__all__ = ["Journal"]

logger = logging.getLogger("dioptra.flow")

_MESSAGE = 1000  # characters of a failure that are kept


class Journal:
    """A listener that appends events to a file; what it cannot write it says once, and never fails a flow."""

    def __init__(self, attempt_dir: str | Path) -> None:
        self.file = Path(attempt_dir) / "flow.jsonl"
        self._descriptor: int | None = None
        self._broken = False

    def __call__(self, event: Event) -> None:
        """Append one line for an event."""
        if self._broken:
            return
        self._write(self._line(event))
        if isinstance(event, FlowSettled) or self._broken:
            self._close()

    def note_uncaught(self, flow: str) -> None:
        """Append that the failure of a flow ended a thread of the script, and so did not reach the exit code."""
        self._write({"event": "flow-uncaught", "at": datetime.now(UTC).isoformat(), "flow": flow})
        self._close()

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._append(line)
        except OSError as error:
            self._broken = True
            logger.warning("the journal %s cannot be written: %s; the flow goes on without it", self.file, error)

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, allow_nan=False).encode() + b"\n"
        if self._descriptor is None:
            self._descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.write(self._descriptor, data) != len(data):
            raise OSError("no space left for a whole line")

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _line(self, event: Event) -> dict[str, Any]:
        line: dict[str, Any] = {"event": "task", "at": datetime.now(UTC).isoformat(), "flow": event.flow}
        match event:
            case FlowStarted():
                return line | {"event": "flow-started", "tasks": event.tasks} | _graph(event)
            case FlowSettled():
                return line | {"event": "flow-ended"} | _ending(event.state, event.seconds)
            case TaskRetrying():
                line |= {"event": "task-retrying", "task": event.task.name, "slug": event.slug}
                return line | {"attempt": event.attempt} | _ending(event.state)
            case TaskSettled():
                line |= {"task": event.task.name, "slug": event.slug} | _ending(event.state, event.seconds)
                return line | _details(event)


def _graph(event: FlowStarted) -> dict[str, Any]:
    """Return what the flow looks like, unless it is too large to be drawn."""
    if event.source is None or event.tasks > LARGEST:
        return {}
    try:
        return {"graph": [step.to_dict() for step in describe_flow(event.source).steps]}
    except Exception:  # a strange constant must not cost the journal
        logger.warning("the journal lacks the graph of flow %r", event.flow, exc_info=True)
        return {}


def _details(event: TaskSettled) -> dict[str, Any]:
    details: dict[str, Any] = {"attempts": event.attempts} if event.attempts > 1 else {}
    if event.state.is_successful() and not event.state.is_skipped():
        details["result"] = fingerprint(event.state.result)
    return details


def _ending(state: State, seconds: float | None = None) -> dict[str, Any]:
    ending: dict[str, Any] = {"state": type(state).__name__}
    if seconds is not None:
        ending["seconds"] = round(seconds, 6)
    if state.message:
        ending["message"] = state.message[:_MESSAGE]
    return ending
