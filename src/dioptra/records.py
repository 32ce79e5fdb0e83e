"""The frozen records that the parts hand to one another, and the status words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

__all__ = ["OUTCOMES", "Dependency", "Job", "JobStatus", "Queue", "Worker", "now"]


def now() -> datetime:
    """Return the present time, UTC and aware."""
    return datetime.now(UTC)


class JobStatus(StrEnum):
    """Where a job stands; the same words in records, JSON, commands and pages."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing can follow this status."""
        return self in (self.FINISHED, self.FAILED, self.CANCELLED, self.LOST)


OUTCOMES = ("id", "run_id", "snapshot", "output_dir")  # what a parameter can take from another job


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """Another job that a job waits for, and what it takes from it."""

    job: str  # its id
    parameter: str = ""  # of the job that waits; empty if it takes nothing
    outcome: str = ""  # what the parameter gets of the other job: one of OUTCOMES


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A name that jobs wait under, and what waits there."""

    name: str
    locked: bool = False  # takes no new jobs
    workers: int = 0  # how many listen now
    queued: int = 0
    started: int = 0


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process that claims jobs from queues and runs them."""

    id: str
    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int
    version: str
    started_at: datetime
    beat_at: datetime  # when it last said that it lives
    is_alive: bool  # whether that is recent enough


@dataclass(frozen=True, kw_only=True)
class Job:
    """One entry point with its parameter values, and what became of it."""

    id: str
    experiment: str
    project_dir: str
    entry_point: str
    parameters: dict[str, str]
    argv: tuple[str, ...]
    status: JobStatus
    created_at: datetime = field(default_factory=now)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempt: int = 1
    run_id: str | None = None
    snapshot: str = ""  # its name; empty in records from before there were snapshots
    verifies: str = ""  # the id of the job that it is a repetition of
    exit_code: int | None = None
    reason: str = ""
    queue: str = ""  # empty: run here and now, not by a worker
    name: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 0  # higher ones first
    timeout: float | None = None  # seconds of an attempt
    retries: int = 0  # how often it is started again when its worker is lost
    retry_of: str = ""  # the id of the job that it was made from
    waits_for: tuple[Dependency, ...] = ()
    worker: str = ""  # the name of the worker that has, or had, its last attempt
    request: dict[str, Any] = field(default_factory=dict)  # what else a worker needs to run it

    def changed(self, **changes: Any) -> Self:
        """Return a copy of the record with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def seconds(self) -> float | None:
        """Return how long the attempt ran, in seconds; None before its end."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def outcome(self) -> str:
        """Say where the job stands, and why if that is more than the word: `failed (exit code 3)`."""
        return str(self.status) if self.reason in ("", self.status) else f"{self.status} ({self.reason})"

    def to_dict(self) -> dict[str, Any]:
        """Return the record as values that JSON can hold."""
        values = dataclasses.asdict(self)
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build the record again from what `to_dict` returned."""
        known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
        times = {name: _time(values.get(name)) for name in ("created_at", "started_at", "ended_at")}
        return cls(
            **{
                **known,
                **times,
                "argv": tuple(values["argv"]),
                "status": JobStatus(values["status"]),
                "tags": tuple(values.get("tags", ())),
                "waits_for": tuple(Dependency(**each) for each in values.get("waits_for", ())),
            }
        )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
