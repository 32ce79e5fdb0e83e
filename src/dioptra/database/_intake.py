"""How a job comes into a queue: checked against what is there, judged by what it waits for, stored, announced."""

from __future__ import annotations

import sqlalchemy as sa

from dioptra.database._dependents import check_dependency, judge, upstreams
from dioptra.database._records import DEFAULT_QUEUE
from dioptra.database._rows import RETURNED, insert_details, job_values, load, to_time
from dioptra.database._schema import jobs, queues
from dioptra.database._store import Store
from dioptra.errors import JobNotFoundError, NotFoundError, RefusedError, UsageError, suggest
from dioptra.records import Job, JobStatus

__all__ = ["Intake"]


class Intake:
    """Takes new jobs in."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._insert = store.insert_once(jobs, "key").values(created_at=store.now).returning(jobs.c.created_at)
        self._insert_ended = self._insert.values(ended_at=store.now)

    def submit(self, job: Job, key: str = "") -> Job:
        """Store a job, in one transaction, and return it as it stands then."""
        job = _new(job)
        with self._store.write() as connection:
            if key and (first := _first_of(connection, key)):
                return first
            _check_queue(connection, job.queue)
            job = _judged(connection, job)
            created = self._insert_job(connection, job, key)
            if created is None:  # somebody else was quicker with the same key
                return _first_of(connection, key) or job
            insert_details(connection, job)
            if job.status is JobStatus.QUEUED:
                self._store.announce(connection)
        at = to_time(created) or job.created_at
        return job.changed(created_at=at, ended_at=at if job.status.is_final else None)

    def _insert_job(self, connection: sa.Connection, job: Job, key: str) -> float | None:
        values = {name: value for name, value in job_values(job).items() if name not in ("created_at", "ended_at")}
        statement = self._insert_ended if job.status.is_final else self._insert
        try:
            found: float | None = connection.execute(statement, {**values, "key": key or None}).scalar()
        except sa.exc.IntegrityError as error:
            raise RefusedError(f"there is a job {job.id} already", hint="submit it with a new id") from error
        return found


def _new(job: Job) -> Job:
    """Return a job as it is before it has been looked at, checked as far as that goes without the database."""
    for each in job.waits_for:
        check_dependency(each)
    if not 0 <= job.retries <= 1000:
        raise UsageError(f"{job.retries} retries are not possible", hint="give a number from 0 to 1000")
    if abs(job.priority) > 1_000_000:
        raise UsageError(f"priority {job.priority} is not possible", hint="give a number within a million of 0")
    return job.changed(
        queue=job.queue or DEFAULT_QUEUE,
        status=JobStatus.QUEUED,
        attempt=0,
        worker="",
        started_at=None,
        ended_at=None,
        run_id=None,
        exit_code=None,
        reason="",
    )


def _first_of(connection: sa.Connection, key: str) -> Job | None:
    return next(iter(load(connection, connection.execute(_OF_KEY, {"submit": key}).mappings().all())), None)


def _check_queue(connection: sa.Connection, name: str) -> None:
    locked = connection.execute(_QUEUE, {"queue": name}).scalar()
    if locked is None:
        have = connection.execute(sa.select(queues.c.name)).scalars()
        raise NotFoundError(f"no queue {name[:80]!r}", hint=suggest(name, have))
    if locked:
        raise RefusedError(f"queue {name!r} is locked and takes no new jobs", hint=f"`dioptra queue unlock {name}`")


def _judged(connection: sa.Connection, job: Job) -> Job:
    """Return a new job with the status that the jobs it waits for leave it."""
    found = upstreams(connection, job.waits_for, hold=True)
    if missing := [each.job for each in job.waits_for if each.job not in found]:
        raise JobNotFoundError(f"no job {missing[0]!r} to wait for", hint="see `dioptra job list`")
    verdict = judge(job.waits_for, found)
    values = {**job.parameters, **verdict.values}
    return job.changed(status=verdict.status, reason=verdict.reason, parameters=values)


_OF_KEY = sa.select(*RETURNED).where(jobs.c.key == sa.bindparam("submit"))
_QUEUE = sa.select(queues.c.locked).where(queues.c.name == sa.bindparam("queue")).with_for_update(read=True)
