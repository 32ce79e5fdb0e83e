"""Jobs as one looks at them: found by a prefix, listed by what they have, kept, removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from dioptra.database._records import Attempt, check_text
from dioptra.database._rows import RETURNED, Row, attempt_of, insert_details, job_values, load, seconds
from dioptra.database._schema import attempts, dependencies, jobs, parameters, tags
from dioptra.database._store import Store
from dioptra.errors import JobNotFoundError, RefusedError, UsageError
from dioptra.records import Job, JobStatus

__all__ = ["Jobs"]

_LAST = "\U0010ffff"  # no id goes on with a later character
_SHORT = (sa.text("1"), sa.text("100"))  # the part of a value that is in an index


class Jobs:
    """All jobs, whether they wait, run or have ended."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, prefix: str) -> Job:
        """Return the job with an id or a unique prefix of one.

        Raises:
            JobNotFoundError: No job's id starts so.
            UsageError: Several do.
        """
        start = prefix.lower()
        if not start.isascii() or not start.isprintable() or not start:
            raise self._missing(prefix)
        with self._store.read() as connection:
            rows = connection.execute(_STARTING, {"start": start, "end": start + _LAST}).mappings().all()
            rows = [row for row in rows if row["id"] == start] or rows
            if len(rows) > 1:
                ids = ", ".join(row["id"] for row in rows[:4])
                raise UsageError(f"job {prefix!r} is ambiguous", hint=f"write more of it: {ids}")
            if not rows:
                raise self._missing(prefix)
            return load(connection, rows)[0]

    def _missing(self, prefix: str) -> JobNotFoundError:
        return JobNotFoundError(f"no job {prefix[:80]!r} in {self._store.address.name}", hint="see `dioptra job list`")

    def attempts(self, job_id: str) -> list[Attempt]:
        """Return the attempts of a job, the first one first."""
        with self._store.read() as connection:
            return [attempt_of(row._mapping) for row in connection.execute(_ATTEMPTS, {"job_id": job_id})]

    def list(
        self,
        *,
        status: Iterable[JobStatus] = (),
        queue: str = "",
        experiment: str = "",
        snapshot: str = "",
        tags: Iterable[str] = (),
        parameters: Mapping[str, str] | None = None,
        limit: int = 100,
        before: str = "",
    ) -> list[Job]:
        """Return the newest jobs that are all that is asked for, newest first.

        Args:
            status: Any of these.
            queue: In this one.
            experiment: Of this one.
            snapshot: Of this one.
            tags: With all of these.
            parameters: With all of these values.
            limit: How many at most.
            before: Id of the last job of the page before this one.

        Raises:
            JobNotFoundError: There is no job `before`.
        """
        if not 1 <= limit <= 10_000:
            raise UsageError(f"{limit} jobs cannot be listed", hint="ask for 1 to 10000")
        wanted = _wanted(status, {"queue": queue, "experiment": experiment, "snapshot": snapshot}, tags, parameters)
        with self._store.read() as connection:
            if before:
                wanted.append(jobs.c.seq < self._age(connection, before))
            found = sa.select(*RETURNED).where(*wanted).order_by(jobs.c.seq.desc()).limit(limit)
            return load(connection, connection.execute(found).mappings().all())

    def _age(self, connection: sa.Connection, job_id: str) -> int:
        seq: int | None = connection.execute(_AGE, {"job_id": job_id}).scalar()
        if seq is None:
            raise self._missing(job_id)
        return seq

    def tally(self, name: str) -> dict[str, int]:
        """Return how many jobs there are of each `experiment`, `snapshot` or `status` that some have."""
        column = jobs.c[name]
        with self._store.read() as connection:
            found = connection.execute(sa.select(column, sa.func.count()).group_by(column))
            return {str(value): int(count) for value, count in found}

    def put(self, job: Job, output_dir: str = "") -> None:
        """Keep the record of a job that no worker runs, as it is, in place of the one before.

        Args:
            job: The record.
            output_dir: Folder with its files, for jobs that take it as a parameter.

        Raises:
            RefusedError: The job has ended otherwise, or belongs to a queue.
        """
        with self._store.write() as connection:
            _put(connection, job, output_dir)

    def put_all(self, found: Iterable[tuple[Job, str]]) -> None:
        """Keep records, each with its folder, or none of them; see `put`."""
        with self._store.write() as connection:
            for job, output_dir in found:
                _put(connection, job, output_dir)

    def remove(self, job_id: str) -> None:
        """Forget a job that has ended, with all that belongs to it.

        Raises:
            JobNotFoundError: There is no job of that id.
            RefusedError: It has not ended, or another job waits for it.
        """
        with self._store.write() as connection:
            held = connection.execute(_HOLD, {"job_id": job_id}).mappings().one_or_none()
            if held is None:
                raise self._missing(job_id)
            if not JobStatus(held["status"]).is_final:
                raise RefusedError(f"job {job_id} has not ended: {held['status']}", hint="cancel it first")
            if waiting := connection.execute(_WAITING, {"job_id": job_id}).scalar():
                raise RefusedError(f"job {waiting} waits for job {job_id}", hint="remove or cancel that one first")
            connection.execute(_REMOVE, {"job_id": job_id})


def _wanted(
    status: Iterable[JobStatus], columns: Mapping[str, str], tagged: Iterable[str], values: Mapping[str, str] | None
) -> list[sa.ColumnElement[bool]]:
    words = [str(JobStatus(each)) for each in status]
    wanted: list[sa.ColumnElement[bool]] = [jobs.c.status.in_(words)] if words else []
    wanted += [jobs.c[name] == check_text(f"the {name}", value) for name, value in columns.items() if value]
    for tag in tagged:
        wanted.append(jobs.c.id.in_(sa.select(tags.c.job).where(tags.c.tag == check_text("a tag", tag))))
    for name, value in (values or {}).items():
        wanted.append(jobs.c.id.in_(_with(name, check_text(f"parameter {name!r}", value))))
    return wanted


def _with(name: str, value: str) -> sa.Select[Any]:
    short = sa.func.substr(parameters.c.value, *_SHORT) == value[:100]
    whole = parameters.c.value + "" == value  # as a plain column, SQLite would put it into the part, and use no index
    return sa.select(parameters.c.job).where(parameters.c.name == name, short, whole)


def _put(connection: sa.Connection, job: Job, output_dir: str) -> None:
    values = job_values(job)
    held = connection.execute(_HOLD, {"job_id": job.id}).mappings().one_or_none()
    if held is None:
        connection.execute(sa.insert(jobs), values)
    else:
        _check_replaceable(held, job)
        connection.execute(sa.update(jobs).where(jobs.c.id == _JOB), {**values, "job_id": job.id})
        for table in (tags, parameters, dependencies):
            connection.execute(sa.delete(table).where(table.c.job == job.id))
    insert_details(connection, job)
    _put_attempt(connection, job, output_dir)


def _check_replaceable(held: Row, job: Job) -> None:
    status = JobStatus(held["status"])
    if status.is_final and status is not job.status:
        raise RefusedError(f"job {job.id} has already ended: {status}", hint="endings are final")
    if held["queue"] and not status.is_final:
        raise RefusedError(f"job {job.id} belongs to queue {held['queue']!r}", hint="only its worker can change it")


def _put_attempt(connection: sa.Connection, job: Job, output_dir: str) -> None:
    """Keep the present attempt of a job, in place of what was known of it."""
    if job.attempt < 1:
        return
    known = (attempts.c.job == job.id) & (attempts.c.number == job.attempt)
    connection.execute(sa.delete(attempts).where(known))
    values = {"job": job.id, "number": job.attempt, "status": str(job.status), "worker": job.worker}
    values |= {"started_at": seconds(job.started_at), "ended_at": seconds(job.ended_at), "run_id": job.run_id}
    values |= {"exit_code": job.exit_code, "reason": job.reason, "output_dir": check_text("the folder", output_dir)}
    connection.execute(sa.insert(attempts), values)


_JOB: sa.BindParameter[str] = sa.bindparam("job_id")
_STARTING = (
    sa.select(*RETURNED)
    .where(jobs.c.id >= sa.bindparam("start"), jobs.c.id < sa.bindparam("end"))
    .order_by(jobs.c.id)
    .limit(5)
)
_AGE = sa.select(jobs.c.seq).where(jobs.c.id == _JOB)
_ATTEMPTS = sa.select(attempts).where(attempts.c.job == _JOB).order_by(attempts.c.number)
_HOLD = sa.select(jobs.c.status, jobs.c.queue).where(jobs.c.id == _JOB).with_for_update()
_WAITING = (
    sa.select(jobs.c.id)
    .join(dependencies, dependencies.c.job == jobs.c.id)
    .where(dependencies.c.upstream == _JOB, jobs.c.status.in_(["queued", "deferred", "started"]))
    .limit(1)
)
_REMOVE = sa.delete(jobs).where(jobs.c.id == _JOB)
