"""What an address on the command line means: a snapshot, or a job and the snapshot that it ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dioptra.errors import JobNotFoundError, NotFoundError, RefusedError, SnapshotNotFoundError, UsageError
from dioptra.experiment import Library, Snapshot
from dioptra.records import Job, JobStatus
from dioptra.storage import AttemptPaths

if TYPE_CHECKING:
    from dioptra.testbed._testbed import Testbed

__all__ = ["Subject", "distinct_jobs", "find_subject", "portable"]


@dataclass(frozen=True)
class Subject:
    """A snapshot, and the jobs of it that are meant: all that are distinct, or the one that was named."""

    snapshot: Snapshot
    jobs: tuple[Job, ...]
    job: Job | None = None


def find_subject(testbed: Testbed, address: str, experiment: str | None = None) -> Subject:
    """Return what an address means: a snapshot's name, id, prefix or `last~2`, or a job's id or prefix.

    Raises:
        SnapshotNotFoundError: It means nothing.
        UsageError: It means several things.
        RefusedError: It is a job from before there were snapshots.
    """
    library = testbed.library
    source = library.get_experiment(experiment) if experiment is not None else library
    found = source.matches(address)
    is_whole = any(address in (entry.name, entry.uid, entry.commit) for entry in found)
    job = None if is_whole else _job(testbed, address, experiment)
    if job is not None and found:
        raise _ambiguous(address, f"snapshot {found[0].name}, job {job.id}")
    if job is not None:
        return Subject(_snapshot_of(library, job), (job,), job)
    snapshot = _only(address, found, f"experiment {experiment!r}" if experiment else str(testbed.home.path))
    return Subject(snapshot, distinct_jobs(testbed, snapshot))


def _only(address: str, found: list[Snapshot], place: str) -> Snapshot:
    if not found:
        raise SnapshotNotFoundError(
            f"no snapshot and no job {address!r} in {place}", hint="see `dioptra snapshot list` and `dioptra job list`"
        )
    if len(found) > 1:
        raise _ambiguous(address, ", ".join(snapshot.name for snapshot in found[:4]))
    return found[0]


def _ambiguous(address: str, meanings: str) -> UsageError:
    return UsageError(f"{address!r} is ambiguous", hint=f"write more of it: {meanings}")


def distinct_jobs(testbed: Testbed, snapshot: Snapshot) -> tuple[Job, ...]:
    """Return the finished jobs of a snapshot, of those with the same entry point and values the last, oldest first."""
    found: dict[object, Job] = {}
    for job in testbed.jobs(snapshot=snapshot.name, status=[JobStatus.FINISHED]):
        if not job.verifies:
            values = portable(job.parameters, testbed.paths(job))
            found[job.entry_point, frozenset(values.items())] = job
    return tuple(sorted(found.values(), key=lambda job: job.created_at))


def portable(parameters: dict[str, str], paths: AttemptPaths) -> dict[str, str]:
    """Return values without the folder of the attempt, which is another one in each."""
    return {name: value.replace(str(paths.code_dir), "<code>") for name, value in parameters.items()}


def _job(testbed: Testbed, address: str, experiment: str | None) -> Job | None:
    try:
        job = testbed.job(address)
    except JobNotFoundError:
        return None
    return job if experiment in (None, job.experiment) else None


def _snapshot_of(library: Library, job: Job) -> Snapshot:
    if not job.snapshot:
        raise RefusedError(f"job {job.id[:8]} has no snapshot: it ran before there were any")
    try:
        return library.get_experiment(job.experiment).get_snapshot(job.snapshot)
    except NotFoundError as error:
        raise SnapshotNotFoundError(f"the snapshot {job.snapshot} of job {job.id[:8]} has been removed") from error
