"""The life of a job that waits in a queue: submitted, claimed, kept by beats, finished, reaped, cancelled.

Every change of status is one statement with its guard in the WHERE. What a worker writes names job, attempt and
status, so that the late word of a worker that was taken for dead changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from dioptra.database._dependents import Dependents
from dioptra.database._intake import Intake
from dioptra.database._records import Standing
from dioptra.database._rows import (
    DETAILS_OF_ONE,
    RETURNED,
    Row,
    clean,
    load,
    replace_parameters,
    to_job,
)
from dioptra.database._schema import attempts, jobs
from dioptra.database._store import Store
from dioptra.errors import JobNotFoundError, RefusedError, UsageError
from dioptra.records import Job, JobStatus

__all__ = ["Queue"]

_JOB: sa.BindParameter[str] = sa.bindparam("job_id")
_NUMBER: sa.BindParameter[int] = sa.bindparam("attempt_number")
_QUEUED: sa.ColumnElement[str] = sa.literal_column("'queued'")  # in words, as the partial indexes have it
_STARTED: sa.ColumnElement[str] = sa.literal_column("'started'")


class Queue:
    """The jobs that wait, and those that run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._intake = Intake(store)
        self._dependents = Dependents(store)
        now, until = store.now, store.now + sa.bindparam("lease", type_=sa.Double())
        ended: dict[str, Any] = {"ended_at": now, "lease_until": sa.null()}
        self._claim = store.prepare(
            sa.update(jobs)
            .where(jobs.c.seq == _oldest_of_highest_priority(), jobs.c.status == _QUEUED)  # queued -> started
            .values(status="started", attempt=jobs.c.attempt + 1, worker=sa.bindparam("claimer"), lease_until=until)
            .values(started_at=now, cancel_requested=False, run_id=sa.null(), exit_code=sa.null(), reason="")
            .returning(*RETURNED)
        )
        held = self._held()
        self._beat = (
            sa.update(jobs)
            .where(held)  # started -> started
            .values(lease_until=until)
            .returning(jobs.c.cancel_requested)
        )
        self._finish = store.prepare(
            sa.update(jobs)
            .where(held)  # started -> finished | failed | cancelled | lost
            .values(status=sa.bindparam("ending"), reason=sa.bindparam("why"), exit_code=sa.bindparam("code"), **ended)
            .returning(jobs.c.ended_at)
        )
        self._lapsed = sa.select(jobs.c.id, jobs.c.attempt).where(jobs.c.status == _STARTED, jobs.c.lease_until <= now)
        self._reap = _reap(held, now)
        self._end_attempt = store.prepare(_end_attempt(now))
        self._insert_attempt = store.prepare(_insert_attempt())
        self._details = store.prepare(DETAILS_OF_ONE)
        self._cancel = (
            sa.update(jobs)
            .where(jobs.c.id == _JOB, jobs.c.status.in_(["queued", "deferred"]))  # queued | deferred -> cancelled
            .values(status="cancelled", reason="cancelled before it started", **ended)
        )

    @staticmethod
    def _held() -> sa.ColumnElement[bool]:
        """Return the fence: what must be so for an attempt to change its job."""
        return (jobs.c.id == _JOB) & (jobs.c.attempt == _NUMBER) & (jobs.c.status == _STARTED)

    def submit(self, job: Job, key: str = "") -> Job:
        """Store a job that a worker is to run, and return it as it stands then.

        Args:
            job: What to run; its status, times, attempt and worker are set here.
            key: Names the submit: said again with the same key, it gives the job of the first time.

        Raises:
            RefusedError: The queue is locked, or there is a job of that id.
            NotFoundError: The queue, or a job that it waits for, is not there.
            UsageError: A value of it cannot be stored.
        """
        return self._intake.submit(job, key)

    def has_jobs(self, queues: Sequence[str]) -> bool:
        """Tell whether there is a job to claim; a look that takes no lock."""
        with self._store.read() as connection:
            return any(connection.execute(_ANY_QUEUED, {"wanted": name}).first() for name in queues)

    def claim(self, queues: Sequence[str], worker: str, lease: float) -> Job | None:
        """Give a worker the next job of the first queue that has one: of the highest priority, then the oldest.

        Args:
            queues: Names of queues, the most wanted one first.
            worker: Name of the worker.
            lease: Seconds in which it must beat.
        """
        _check_lease(lease)
        with self._store.write() as connection:
            for name in queues:
                values = {"wanted": name, "claimer": worker, "lease": lease}
                for row in self._claim.rows(connection, values):
                    return self._begin_attempt(connection, row)
        return None

    def _begin_attempt(self, connection: sa.Connection, row: Row) -> Job:
        values = {"number": row["attempt"], "worker": row["worker"], "started_at": row["started_at"]}
        self._insert_attempt.rows(connection, {**_ATTEMPT_BEGINS, "job": row["id"], **values})
        details = self._details.rows(connection, {"job_id": row["id"]})
        return to_job(row, [(each["kind"], each["position"], *list(each.values())[3:]) for each in details])

    def beat(self, leases: Iterable[tuple[str, int]], lease: float) -> dict[tuple[str, int], Standing]:
        """Say that attempts, by job's id and number, go on, and learn which may.

        Args:
            leases: The attempts.
            lease: Seconds in which the next beat must come.
        """
        _check_lease(lease)
        attempts_ = list(leases)
        if not attempts_:
            return {}
        with self._store.write() as connection:
            return {each: self._standing(connection, each, lease) for each in sorted(attempts_)}

    def _standing(self, connection: sa.Connection, attempt: tuple[str, int], lease: float) -> Standing:
        row = connection.execute(self._beat, {**_named(*attempt), "lease": lease}).one_or_none()
        if row is None:
            return Standing.STALE
        return Standing.CANCEL if row.cancel_requested else Standing.ALIVE

    def started(
        self,
        job_id: str,
        attempt: int,
        *,
        parameters: Mapping[str, str] | None = None,
        argv: Sequence[str] | None = None,
        run_id: str | None = None,
    ) -> bool:
        """Record what became known at the start of an attempt; False when it is stale, and nothing was recorded."""
        changes: dict[str, Any] = {} if argv is None else {"argv": json.dumps(list(argv))}
        changes |= {} if run_id is None else {"run_id": run_id}
        statement = sa.update(jobs).where(self._held()).values(status=_STARTED, **changes)  # started -> started
        with self._store.write() as connection:
            if connection.execute(statement, _named(job_id, attempt)).rowcount != 1:
                return False
            if run_id is not None:
                connection.execute(_NAME_RUN, {**_named(job_id, attempt), "run": run_id})
            if parameters is not None:
                replace_parameters(connection, job_id, parameters)
        return True

    def finish(
        self,
        job_id: str,
        attempt: int,
        status: JobStatus,
        *,
        reason: str = "",
        exit_code: int | None = None,
        output_dir: str = "",
    ) -> bool:
        """End a job with its attempt, and queue or cancel what waited for it; False when the attempt is stale.

        Args:
            job_id: The job.
            attempt: Number of the attempt.
            status: How it ended.
            reason: Why, in words.
            exit_code: Of its process.
            output_dir: Folder with the attempt's files, for jobs that take it as a parameter.
        """
        if not status.is_final:
            raise UsageError(f"a job cannot end as {status}", hint="end it as finished, failed, cancelled or lost")
        ending = {"ending": str(status), "why": clean(reason), "code": exit_code}
        with self._store.write() as connection:
            if not self._finish.rows(connection, {**_named(job_id, attempt), **ending}):
                return False
            self._end_attempt.rows(connection, {**_named(job_id, attempt), **ending, "folder": clean(output_dir)})
            self._dependents.settle(connection, job_id)
        return True

    def reap(self) -> list[Job]:
        """Take back the attempts whose lease has lapsed, and return their jobs.

        They are queued again if they have retries left, cancelled if that was asked for, else lost.
        """
        with self._store.read() as connection:
            lapsed = connection.execute(self._lapsed).all()
        found = [self._reap_one(row.id, row.attempt) for row in lapsed]
        return [job for job in found if job is not None]

    def _reap_one(self, job_id: str, attempt: int) -> Job | None:
        with self._store.write() as connection:
            row = connection.execute(self._reap, _named(job_id, attempt)).mappings().one_or_none()
            if row is None:
                return None  # it has beaten, or somebody else was quicker
            job = load(connection, [row])[0]
            ending = {
                "ending": "cancelled" if job.status is JobStatus.CANCELLED else "lost",
                "code": None,
                "folder": "",
            }
            why = f"worker {job.worker!r} was lost"
            self._end_attempt.rows(connection, {**_named(job_id, attempt), **ending, "why": why})
            if job.status.is_final:
                self._dependents.settle(connection, job_id)
            else:
                self._store.announce(connection)
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel a job at once if it waits; if it runs, let its worker hear of it: it is woken, to beat.

        Cancelling twice is fine.

        Raises:
            JobNotFoundError: There is no job of that id.
            RefusedError: It has ended otherwise.
        """
        with self._store.write() as connection:
            job = _hold(connection, job_id)
            if job.status is JobStatus.STARTED:
                connection.execute(_REQUEST_CANCEL, {"job_id": job_id})
                self._store.announce(connection)
            elif not job.status.is_final:
                connection.execute(self._cancel, {"job_id": job_id})
                self._dependents.settle(connection, job_id)
            elif job.status is not JobStatus.CANCELLED:
                raise RefusedError(f"job {job_id} has already ended: {job.status}", hint="endings are final")
            return _hold(connection, job_id)


def _oldest_of_highest_priority() -> sa.ScalarSelect[Any]:
    waiting = jobs.alias("waiting")
    return (
        sa.select(waiting.c.seq)
        .where(waiting.c.status == _QUEUED, waiting.c.queue == sa.bindparam("wanted"))
        .order_by(waiting.c.priority.desc(), waiting.c.seq)
        .limit(sa.literal_column("1"))
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )


def _reap(held: sa.ColumnElement[bool], now: sa.ColumnElement[float]) -> ReturningUpdate[Any]:
    again = (jobs.c.attempt <= jobs.c.retries) & ~jobs.c.cancel_requested
    return (
        sa.update(jobs)
        .where(held, jobs.c.lease_until <= now)  # started -> cancelled | queued | lost
        .values(
            status=sa.case((jobs.c.cancel_requested, "cancelled"), (again, "queued"), else_="lost"),
            reason=sa.case((again, ""), else_=_loss()),
            started_at=sa.case((again, sa.null()), else_=jobs.c.started_at),
            ended_at=sa.case((again, sa.null()), else_=now),
            lease_until=sa.null(),
        )
        .returning(*RETURNED)
    )


def _loss() -> sa.ColumnElement[str]:
    number = sa.cast(jobs.c.attempt, sa.Text)
    return sa.literal("worker '") + jobs.c.worker + "' was lost in attempt " + number


def _insert_attempt() -> sa.Insert:
    given = ("job", "number", "worker", "started_at", *_ATTEMPT_BEGINS)
    return sa.insert(attempts).values({name: sa.bindparam(name) for name in given})


def _end_attempt(now: sa.ColumnElement[float]) -> sa.Update:
    return _of_attempt().values(
        status=sa.bindparam("ending"),
        reason=sa.bindparam("why"),
        exit_code=sa.bindparam("code"),
        output_dir=sa.bindparam("folder"),
        ended_at=now,
    )


def _of_attempt() -> sa.Update:
    return sa.update(attempts).where(attempts.c.job == _JOB, attempts.c.number == _NUMBER)


def _named(job_id: str, attempt: int) -> dict[str, Any]:
    return {"job_id": job_id, "attempt_number": attempt}


def _check_lease(lease: float) -> None:
    if not 0 < lease < float("inf"):
        raise UsageError(f"a lease of {lease} s cannot be kept", hint="give a number of seconds above 0")


def _hold(connection: sa.Connection, job_id: str) -> Job:
    """Return a job, held as it is until the transaction ends."""
    rows = connection.execute(_HOLD, {"job_id": job_id}).mappings().all()
    if not rows:
        raise JobNotFoundError(f"no job {job_id[:80]!r}", hint="see `dioptra job list`")
    return load(connection, rows)[0]


_ANY_QUEUED: sa.Select[Any] = (
    sa.select(sa.literal_column("1"))
    .where(jobs.c.status == _QUEUED, jobs.c.queue == sa.bindparam("wanted"))
    .limit(sa.literal_column("1"))
)
_ATTEMPT_BEGINS = {"status": "started", "reason": "", "output_dir": ""}
_NAME_RUN = _of_attempt().values(run_id=sa.bindparam("run"))
_REQUEST_CANCEL = (
    sa.update(jobs)
    .where(jobs.c.id == _JOB, jobs.c.status == _STARTED)  # started -> started
    .values(cancel_requested=True)
)
_HOLD = sa.select(*RETURNED).where(jobs.c.id == _JOB).with_for_update()
