"""How two snapshots, or two jobs, differ: code, values, environment, inputs, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dioptra.errors import NotFoundError, RefusedError
from dioptra.experiment import Library, Snapshot
from dioptra.records import Job
from dioptra.results import Difference, differences
from dioptra.storage import Home
from dioptra.testbed._subject import Subject, portable
from dioptra.tracking import Tracking
from dioptra.worker import Conditions

__all__ = ["JobDiff", "SnapshotDiff", "diff_subjects", "flat_environment"]

ASPECTS = ("parameters", "seeds", "environment", "plugins", "inputs", "repository", "metrics")


@dataclass(frozen=True)
class JobDiff:
    """How two jobs of one entry point differ; one of them may not be there."""

    entry_point: str
    before: str | None  # the job's id
    after: str | None
    aspects: Mapping[str, tuple[Difference, ...]]
    why: str = ""  # they cannot be compared

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as values that JSON can hold."""
        named = {aspect: [entry.to_dict() for entry in found] for aspect, found in self.aspects.items()}
        return {"entry_point": self.entry_point, "before": self.before, "after": self.after, "why": self.why, **named}


@dataclass(frozen=True)
class SnapshotDiff:
    """How two snapshots differ."""

    before: Snapshot
    after: Snapshot
    patch: str
    files: Mapping[str, str]  # path: "added", "modified" or "removed"
    jobs: tuple[JobDiff, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as values that JSON can hold."""
        return {
            "before": {"name": self.before.name, "commit": self.before.commit},
            "after": {"name": self.after.name, "commit": self.after.commit},
            "code": {"files": dict(self.files), "patch": self.patch},
            "jobs": [job.to_dict() for job in self.jobs],
        }


def diff_subjects(home: Home, library: Library, tracking: Tracking, before: Subject, after: Subject) -> SnapshotDiff:
    """Compare two subjects; of two snapshots, two finished jobs of each entry point are compared."""
    first, second = library.experiment_of(before.snapshot).code, library.experiment_of(after.snapshot).code
    trees = before.snapshot.tree, after.snapshot.tree
    facts = _Facts(home, tracking)
    return SnapshotDiff(
        before.snapshot,
        after.snapshot,
        first.diff(*trees, other=second),
        first.changed_files(*trees, other=second),
        tuple(facts.compared(entry, *jobs) for entry, jobs in _pairs(before, after).items()),
    )


def _pairs(before: Subject, after: Subject) -> dict[str, tuple[Job | None, Job | None]]:
    if before.job and after.job and before.job.entry_point != after.job.entry_point:
        return {f"{before.job.entry_point} and {after.job.entry_point}": (before.job, after.job)}
    named = before.job or after.job  # of a job and a snapshot, only the job's entry point is meant
    entries = dict.fromkeys(job.entry_point for job in (*before.jobs, *after.jobs))
    wanted = [named.entry_point] if named else entries
    return {name: _pair(*(_of(subject, name) for subject in (before, after))) for name in wanted}


def _of(subject: Subject, entry_point: str) -> list[Job]:
    return [job for job in subject.jobs if job.entry_point == entry_point]


def _pair(before: list[Job], after: list[Job]) -> tuple[Job | None, Job | None]:
    """Return the newest two jobs that were given the same values, else the newest of each side."""
    for second in reversed(after):
        for first in reversed(before):
            if first.parameters == second.parameters:
                return first, second
    return (before[-1] if before else None), (after[-1] if after else None)


class _Facts:
    """Gathers what is known of jobs."""

    def __init__(self, home: Home, tracking: Tracking) -> None:
        self._home = home
        self._tracking = tracking

    def compared(self, entry: str, before: Job | None, after: Job | None) -> JobDiff:
        """Compare two jobs."""
        if before is None or after is None:
            return JobDiff(entry, before.id if before else None, after.id if after else None, {})
        try:
            first, second = self.of(before), self.of(after)
        except (RefusedError, NotFoundError) as error:
            return JobDiff(entry, before.id, after.id, {}, str(error))
        return JobDiff(
            entry, before.id, after.id, {aspect: differences(first[aspect], second[aspect]) for aspect in ASPECTS}
        )

    def of(self, job: Job) -> dict[str, Mapping[str, Any]]:
        """Return all aspects of a job."""
        paths = self._home.attempt(job.id, job.attempt)
        conditions = Conditions.load(paths)
        return {
            "parameters": portable(job.parameters, paths),
            "seeds": {name: value for name, value in conditions.seeds.items() if name not in job.parameters},
            "environment": flat_environment(conditions.environment),
            "plugins": conditions.plugins,
            "inputs": {name: found["sha256"] for name, found in (conditions.inputs | conditions.shared).items()},
            "repository": {k: v for k, v in (conditions.repository or {}).items() if k != "root"},
            "metrics": self._metrics(job),
        }

    def _metrics(self, job: Job) -> Mapping[str, float]:
        try:
            return self._tracking.run(str(job.run_id)).metrics
        except NotFoundError as error:
            raise NotFoundError(f"the metrics of job {job.id[:8]} cannot be read ({error.message})") from error


def flat_environment(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environment with the packages beside the rest."""
    return {k: v for k, v in found.items() if k != "packages"} | dict(found.get("packages", {}))
