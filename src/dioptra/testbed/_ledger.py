"""The records of jobs: in the database, and beside what the jobs left, for code that does not see the database."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from dioptra import settings
from dioptra.errors import DioptraError, JobNotFoundError, RefusedError, UsageError
from dioptra.records import Job, JobStatus, now
from dioptra.storage import Home, write_aside
from dioptra.tracking import Tracking
from dioptra.worker import end_runs, sweep, take_back

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
        """The database of jobs, queues and workers; made when it is first asked.

        Raises:
            UsageError: The jobs of this home are in a database that is not named now.
        """
        from dioptra.database import Database

        self._home.make()
        url = settings.get("database_url")
        note = self._home.server_file
        if not url and note.exists():
            raise UsageError(
                f"the jobs of {self._home.path} are in {note.read_text().strip()}",
                hint=f"set DIOPTRA_DATABASE_URL to it, or remove {note} to begin anew",
            )
        found = Database.of_home(self._home.path, url)
        if url:
            found.open()
            write_aside(note, f"{found.name}\n".encode())
        elif not found.jobs.list(limit=1):  # from before there was a database, or from one that was removed
            records = [_taken_over(job) for job in self._home.jobs()]
            found.jobs.put_all([(job, self._output_dir(job)) for job in records])
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
                return self._as_now([self.database.jobs.find(prefix)])[0]
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
        return self._as_now(found[::-1])

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
        except BaseException:  # should it have been stored all the same, its worker writes the record
            self._home.drop_record(job)
            raise
        if found.id != job.id:
            self._home.drop_record(job)
            _check_same(job, found, key)
        return found

    def _as_now(self, jobs: list[Job]) -> list[Job]:
        """Return jobs as they stand now: those whose worker, or whose `dioptra run`, is gone have been lost."""
        lapsed: dict[str, Job] = {}
        if any(job.queue and job.status is JobStatus.STARTED for job in jobs):
            lapsed = {job.id: job for job in self._take_back()}
        return [lapsed.get(job.id) or self._if_held(job) for job in jobs]

    def _take_back(self) -> list[Job]:
        """Take back what workers have lost: there may be no other worker to do it."""
        try:
            found = take_back(self._home, self.database)
        except DioptraError:  # as of a database that can only be read
            return []
        for job in found:
            end_runs(self._tracking, job)
        return found

    def _if_held(self, job: Job) -> Job:
        """Return a job; one that ran here and now, and whose process is gone without a word, has been lost."""
        paths = self._home.attempt(job.id, job.attempt)
        ran_here = not job.queue and job.status is JobStatus.STARTED and paths.folder.is_dir()
        if not ran_here or self._home.is_held(job):
            return job
        sweep(f"{job.id}/{job.attempt}")
        ended = job.changed(status=JobStatus.LOST, reason="the process that ran it is gone", ended_at=now())
        try:
            kept = self._home.job(job.id)
            if kept.status.is_final:  # which the database could not be told
                ended = kept
            self.keep(ended)
        except (DioptraError, OSError):  # it has ended at this moment, or its home cannot be written to
            return self.database.jobs.find(job.id)
        if ended.status is JobStatus.LOST:
            end_runs(self._tracking, job)
        return ended

    def _output_dir(self, job: Job) -> str:
        return str(self._home.attempt(job.id, job.attempt).output_dir)


def _taken_over(job: Job) -> Job:
    """Return a job as a new database takes it: of one that a worker had, or that waited for others, all is unknown."""
    if not job.queue or job.status.is_final or job.status is JobStatus.QUEUED:
        return job
    doing = "ran" if job.status is JobStatus.STARTED else "waited"
    return job.changed(status=JobStatus.LOST, reason=f"the database was removed while it {doing}", ended_at=now())


def _check_same(job: Job, first: Job, key: str) -> None:
    """Refuse a submission whose key names a job that does something else.

    Raises:
        RefusedError: It does.
    """
    if _work(job) != _work(first):
        raise RefusedError(
            f"the key {key!r} is that of job {first.id[:8]}, which has other code, values or conditions",
            hint="give another key",
        )


def _work(job: Job) -> tuple[object, ...]:
    given = {name: job.parameters[name] for name in job.request["given"] if name in job.parameters}
    taken = {each.parameter for each in job.waits_for}
    values = {name: value for name, value in given.items() if name not in taken}
    return job.experiment, job.snapshot, job.entry_point, values, job.waits_for, job.queue
