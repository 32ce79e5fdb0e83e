"""What becomes of jobs that wait for others: queued when all have finished, cancelled when one ended otherwise."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from dioptra.database._rows import RETURNED, Row, load, replace_parameters
from dioptra.database._schema import attempts, dependencies, jobs
from dioptra.database._store import Store
from dioptra.errors import UsageError
from dioptra.records import OUTCOMES, Dependency, Job, JobStatus

__all__ = ["Dependents", "Verdict", "check_dependency", "judge", "upstreams"]


@dataclass(frozen=True)
class Verdict:
    """What becomes of a job that waits."""

    status: JobStatus
    reason: str = ""
    values: Mapping[str, str] = field(default_factory=dict)  # of parameters that take an outcome


def check_dependency(dependency: Dependency) -> None:
    """Raise UsageError when a job asks for an outcome that no job has."""
    if bool(dependency.parameter) != bool(dependency.outcome):
        raise UsageError(
            f"what the job takes from job {dependency.job[:8]} is incomplete", hint="name a parameter and an outcome"
        )
    if dependency.outcome and dependency.outcome not in OUTCOMES:
        raise UsageError(
            f"{dependency.outcome[:80]!r} is no outcome of a job", hint=f"take one of {', '.join(OUTCOMES)}"
        )


def upstreams(connection: sa.Connection, waits_for: Iterable[Dependency], *, hold: bool = False) -> dict[str, Row]:
    """Return the jobs that are waited for; `hold` keeps them as they are until the transaction ends."""
    ids = sorted({each.job for each in waits_for})
    found = connection.execute(_HELD if hold else _UPSTREAMS, {"ids": ids}).mappings() if ids else ()
    return {row["id"]: row for row in found}


def judge(waits_for: Iterable[Dependency], found: Mapping[str, Row]) -> Verdict:
    """Return what becomes of a job, from the jobs that it waits for."""
    waits = [(each, found[each.job]) for each in waits_for]
    for each, row in waits:
        status = JobStatus(row["status"])
        if status.is_final and status is not JobStatus.FINISHED:
            return Verdict(JobStatus.CANCELLED, f"job {each.job}, which it waited for, {_WORDS[status]}")
    if not all(row["status"] == JobStatus.FINISHED for _, row in waits):
        return Verdict(JobStatus.DEFERRED)
    for each, row in waits:
        if each.outcome and not row[each.outcome]:
            return Verdict(JobStatus.CANCELLED, f"job {each.job}, which it waited for, left no {each.outcome}")
    values = {each.parameter: str(row[each.outcome]) for each, row in waits if each.outcome}
    return Verdict(JobStatus.QUEUED, values=values)


_WORDS = {JobStatus.FAILED: "failed", JobStatus.CANCELLED: "was cancelled", JobStatus.LOST: "was lost"}


class Dependents:
    """Settles what waits for a job that has ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting = store.prepare(_AFTER)
        self._cancel = (
            sa.update(jobs)
            .where(jobs.c.id == sa.bindparam("job_id"), jobs.c.status == "deferred")  # deferred -> cancelled
            .values(status="cancelled", reason=sa.bindparam("why"), ended_at=store.now)
        )

    def settle(self, connection: sa.Connection, ended: str) -> None:
        """Queue or cancel what waited for a job; what that cancels has ended too.

        Rows are locked from old to new, as everywhere, so that two such walks cannot wait for each other.
        """
        waiting = self._after(connection, ended)
        heapq.heapify(waiting)
        while waiting:
            _, job_id = heapq.heappop(waiting)
            if self._settle(connection, job_id) is JobStatus.CANCELLED:
                for each in self._after(connection, job_id):
                    heapq.heappush(waiting, each)

    def _after(self, connection: sa.Connection, job_id: str) -> list[tuple[int, str]]:
        return [(row["seq"], row["id"]) for row in self._waiting.rows(connection, {"job_id": job_id})]

    def _settle(self, connection: sa.Connection, job_id: str) -> JobStatus | None:
        row = connection.execute(_HOLD, {"job_id": job_id}).mappings().one_or_none()
        if row is None:
            return None  # it has ended, or was queued, in the meantime
        job = load(connection, [row])[0]
        verdict = judge(job.waits_for, upstreams(connection, job.waits_for))
        if verdict.status is JobStatus.CANCELLED:
            connection.execute(self._cancel, {"job_id": job_id, "why": verdict.reason})
        elif verdict.status is JobStatus.QUEUED:
            self._queue(connection, job, verdict)
        return verdict.status

    def _queue(self, connection: sa.Connection, job: Job, verdict: Verdict) -> None:
        if verdict.values:
            replace_parameters(connection, job.id, {**job.parameters, **verdict.values})
        connection.execute(_QUEUE, {"job_id": job.id})
        self._store.announce(connection)


_AFTER = sa.select(jobs.c.seq, jobs.c.id).where(
    jobs.c.id.in_(sa.select(dependencies.c.job).where(dependencies.c.upstream == sa.bindparam("job_id"))),
    jobs.c.status + "" == "deferred",  # no index is to be used for this: there may be many
)
_HOLD = (
    sa.select(*RETURNED)
    .where(jobs.c.id == sa.bindparam("job_id"), jobs.c.status == "deferred")
    .with_for_update(of=jobs)
)
_UPSTREAMS = (
    sa.select(jobs.c.id, jobs.c.status, jobs.c.run_id, jobs.c.snapshot, attempts.c.output_dir)
    .join(attempts, (attempts.c.job == jobs.c.id) & (attempts.c.number == jobs.c.attempt), isouter=True)
    .where(jobs.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(jobs.c.seq)
)
_HELD = _UPSTREAMS.with_for_update(read=True, of=jobs)
_QUEUE = (
    sa.update(jobs)
    .where(jobs.c.id == sa.bindparam("job_id"), jobs.c.status == "deferred")  # deferred -> queued
    .values(status="queued")
)
