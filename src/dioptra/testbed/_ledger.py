"""The records of jobs: in the database, and beside what the jobs left, for code that does not see the database."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from dioptra import settings
from dioptra.errors import DioptraError, JobNotFoundError, RefusedError
from dioptra.records import Job, JobStatus, now
from dioptra.storage import Home
from dioptra.tracking import Tracking
from dioptra.worker import sweep

if TYPE_CHECKING:
    from dioptra.database import Database

__all__ = ["Ledger"]

_PAGE = 1000  # jobs that are read at once


class Ledger:
    """The records of a home's jobs.

    Args:
        home: The home.
        tracking: Where the runs of its jobs are.
    """

    def __init__(self, home: Home, tracking: Tracking) -> None:
        self._home = home
        self._tracking = tracking

    @cached_property
    def database(self) -> Database:
        """The database of jobs, queues and workers; made when it is first asked."""
        from dioptra.database import Database

        self._home.make()
        url = settings.get("database_url")
        is_new = not url and not self._home.database_file.exists()
        found = Database.of_home(self._home.path, url)
        for job in self._home.jobs() if is_new else ():  # from before there was a database
            found.jobs.put(_taken_over(job), self._output_dir(job))
        return found

    @property
    def exists(self) -> bool:
        """Whether there is anything to read; a look must not make a database."""
        return bool(settings.get("database_url")) or any(
            place.exists() for place in (self._home.database_file, self._home.jobs_dir)
        )

    def job(self, prefix: str) -> Job:
        """Return the job with an id, or with a unique prefix of one.

        Raises:
            JobNotFoundError: No job's id starts so.
            UsageError: Several do.
        """
        try:
            if self.exists:
                return self._seen(self.database.jobs.find(prefix))
        except JobNotFoundError as error:
            raise self._missing(prefix) from error
        raise self._missing(prefix)

    def _missing(self, prefix: str) -> JobNotFoundError:
        return JobNotFoundError(f"no job {prefix[:80]!r} in {self._home.path}", hint="see `dioptra job list`")

    def jobs(self, limit: int | None, filters: dict[str, Any]) -> list[Job]:
        """Return jobs, oldest first: all that are what the filters say, or the newest ones of them."""
        found: list[Job] = []
        while self.exists and (limit is None or len(found) < limit):
            count = _PAGE if limit is None else min(limit - len(found), _PAGE)
            before = found[-1].id if found else ""
            page = self.database.jobs.list(limit=count, before=before, **filters)
            found += page
            if len(page) < count:
                break
        return [self._seen(job) for job in reversed(found)]

    def tally(self, name: str) -> dict[str, int]:
        """Return how many jobs there are of each `experiment`, `snapshot` or `status`."""
        return self.database.jobs.tally(name) if self.exists else {}

    def keep(self, job: Job) -> None:
        """Keep the record of a job that this process runs."""
        jobs = self.database.jobs
        self._home.save(job)
        jobs.put(job, self._output_dir(job))

    def enqueue(self, job: Job, key: str = "") -> Job:
        """Put a job into its queue. The record beside it is there first."""
        queue = self.database.queue  # a new one takes the records that are there
        try:
            self._home.save(job)
            found = queue.submit(job, key)
        except BaseException:
            self._home.forget(job)
            raise
        if found.id != job.id:
            self._home.forget(job)
        return found

    def _seen(self, job: Job) -> Job:
        """Return a job; one that ran here and now, and whose process is gone without a word, is lost."""
        if job.queue or job.status is not JobStatus.STARTED or self._home.is_held(job):
            return job
        sweep(f"{job.id}/{job.attempt}")
        lost = job.changed(status=JobStatus.LOST, reason="the process that ran it is gone", ended_at=now())
        try:
            self.keep(lost)
            if job.run_id:
                self._tracking.end(job.run_id, "KILLED")
        except RefusedError:  # it has ended at this very moment
            return self.database.jobs.find(job.id)
        except (DioptraError, OSError):  # as in a home that cannot be written to
            return lost
        return lost

    def _output_dir(self, job: Job) -> str:
        return str(self._home.attempt(job.id, job.attempt).output_dir)


def _taken_over(job: Job) -> Job:
    """Return a job as a new database takes it: of one that a worker ran, nobody can say any more how it ends."""
    if job.queue and job.status is JobStatus.STARTED:
        return job.changed(status=JobStatus.LOST, reason="the database was removed while it ran", ended_at=now())
    return job
