"""Reads back from a job's journal what its flows looked like, and what became of their tasks."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

from dioptra.flow._description import Description, Step, read_steps
from dioptra.flow._journal_lines import journal_lines

__all__ = ["read_journal"]

_BYTES = 2**25  # of a journal that are looked at: a script may write what it likes there

Line = dict[str, Any]


def read_journal(file: Path, limit: int | None = None) -> list[Description]:
    """Return the flows of a journal in the order in which they started; no file, no flows.

    A flow has no steps when the journal has no graph of it: it is too large, of a real Prefect, or from before there
    were any.

    Args:
        file: `flow.jsonl` of an attempt; its last line may have been cut off.
        limit: How many flows at most.
    """
    runs: list[_FlowRun] = []
    going_on: list[_FlowRun] = []
    for line in journal_lines(file, most=_BYTES):
        if line.get("event") == "flow-started":
            if len(runs) != limit:
                runs.append(_FlowRun(line))
                going_on.append(runs[-1])
        elif run := next((run for run in going_on if run.awaits(line)), None):
            run.take(line)
            going_on = [run for run in going_on if not run.has_ended]
        if len(runs) == limit and not going_on:
            break
    return [run.description() for run in runs]


class _FlowRun:
    """One run of a flow, of which the lines come one by one."""

    def __init__(self, started: Line) -> None:
        self.flow = started.get("flow")
        self.has_ended = False
        self._steps = {step.slug: step for step in _steps(started)}
        size = started.get("tasks")
        self._size = size if type(size) is int else len(self._steps)
        self._settled: set[str] = set()
        self._end: dict[str, Any] = {}

    def awaits(self, line: Line) -> bool:
        """Tell whether a line can be of this run: flows of one name may run at the same time, in threads."""
        slug = line.get("slug")
        return self.flow == line.get("flow") and not (isinstance(slug, str) and slug in self._settled)

    def take(self, line: Line) -> None:
        """Take what a line says of a task, or of the end of the flow."""
        slug = line.get("slug")
        if line.get("event") == "flow-ended":
            self.has_ended = True
            self._end = _ending(line)
        elif line.get("event") == "task" and isinstance(slug, str):
            self._settled.add(slug)
            if slug in self._steps:
                attempts = line.get("attempts")
                ending = _ending(line) | {"attempts": attempts if type(attempts) is int else 1}
                self._steps[slug] = self._steps[slug].settled(**ending)

    def description(self) -> Description:
        """Return what is known."""
        return Description(str(self.flow), self._size, tuple(self._steps.values()), has_run=True, **self._end)


def _steps(started: Line) -> tuple[Step, ...]:
    try:
        steps = read_steps(started.get("graph", []))
    except ValueError:
        return ()
    return steps if len({step.slug for step in steps}) == len(steps) else ()


def _ending(line: Line) -> dict[str, Any]:
    return {
        "state": str(line.get("state", "")),
        "message": str(line.get("message", "")),
        "seconds": _number(line.get("seconds")),
    }


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float)) and isfinite(value) else None
    except OverflowError:
        return None
