"""Testbed: plan an entry point, run it, and find what became of it."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra import settings
from dioptra.errors import RefusedError
from dioptra.experiment import Library, Snapshot
from dioptra.records import Job, JobStatus
from dioptra.storage import AttemptPaths, Home, find_home
from dioptra.testbed._diff import SnapshotDiff, diff_subjects
from dioptra.testbed._ledger import Ledger
from dioptra.testbed._subject import Subject, find_subject
from dioptra.testbed._submit import (
    Submission,
    again,
    captured,
    check_no_archive,
    dependencies,
    plan_of,
    project_of,
    submitted,
)
from dioptra.tracking import Tracking
from dioptra.worker import (
    OnFetch,
    Plan,
    Prepared,
    Request,
    Runner,
    build_env,
    make_plan,
)

if TYPE_CHECKING:
    from dioptra.database import Database
    from dioptra.flow.graphs import Description
    from dioptra.testbed._plugins import Plugins
    from dioptra.worker import Worker

__all__ = ["Testbed"]


class Testbed:
    """The testbed of this machine.

    Args:
        home: The folder that holds jobs and stores; by default `DIOPTRA_HOME`, else the nearest `.dioptra` upward,
            else the user's data folder.
    """

    __test__ = False  # the name begins with Test, and is none

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = find_home() if home is None else Home(Path(home).absolute())
        self.library = Library(self.home.experiments_dir)
        self.tracking = Tracking(
            database=self.home.tracking_file, artifacts=self.home.artifacts_dir, uri=settings.get("tracking_uri")
        )
        self._ledger = Ledger(self.home, self.tracking)

    def plan(
        self,
        project: str | os.PathLike[str] = ".",
        entry_point: str = "main",
        parameters: Mapping[str, str] | None = None,
        *,
        experiment: str | None = None,
        env_manager: str = "",
    ) -> Plan:
        """Check a project, an entry point and values, and return what would run; nothing is stored.

        Args:
            project: The folder with the MLproject file.
            entry_point: The name of the entry point.
            parameters: Values by name, as text.
            experiment: The name of the experiment; by default the project's.
            env_manager: What gives it its environment: `uv` builds that of the project's `python_env`, `local` takes
                that of the testbed; by default `uv` when the project asks for one.

        Raises:
            ProjectNotFoundError, InvalidProjectError, EntryPointNotFoundError, InvalidParameterError: As they say.
        """
        check_no_archive(Path(project))
        return make_plan(Path(project), entry_point, parameters or {}, experiment, env_manager=env_manager)

    def run(
        self,
        project: str | os.PathLike[str] = ".",
        entry_point: str = "main",
        parameters: Mapping[str, str] | None = None,
        *,
        experiment: str | None = None,
        env_manager: str = "",
        on_start: Callable[[Job], object] = lambda job: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> Job:
        """Plan an entry point and execute the plan: see `plan` and `execute`."""
        plan = self.plan(project, entry_point, parameters, experiment=experiment, env_manager=env_manager)
        return self.execute(plan, on_start=on_start, on_output=on_output, cancel=cancel)

    def execute(
        self,
        plan: Plan,
        *,
        on_fetch: OnFetch = lambda uri: nullcontext(lambda done, total: None),
        on_build: Callable[[str], object] = lambda sentence: None,
        on_start: Callable[[Job], object] = lambda job: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> Job:
        """Capture the project, run what was planned in a copy of it, here and now, and return the job as it ended.

        Args:
            plan: What to run.
            on_fetch: Called with each URI that is fetched first; a context that gives what is told the progress.
            on_build: Called with a sentence when its environment has to be built first, or waited for.
            on_start: Called with the job when it starts.
            on_output: Called with each piece of what the script prints.
            cancel: An event that ends the job when it is set.

        Raises:
            CaptureError: Something of the project cannot be captured.
            RunNotEndedError: The job has ended, but the tracking store could not be told.
            DioptraError: A store or what lies in it is not in order; no job is kept then.
        """
        snapshot, request = captured(self.home, self.library, plan)
        return self.execute_request(
            snapshot,
            request,
            on_fetch=on_fetch,
            on_build=on_build,
            on_start=on_start,
            on_output=on_output,
            cancel=cancel,
        )

    def execute_request(
        self,
        snapshot: Snapshot,
        request: Request,
        *,
        on_fetch: OnFetch = lambda uri: nullcontext(lambda done, total: None),
        on_build: Callable[[str], object] = lambda sentence: None,
        on_prepared: Callable[[Prepared], object] = lambda prepared: None,
        on_start: Callable[[Job], object] = lambda job: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> Job:
        """Run what was requested of a snapshot; see `execute`.

        `on_prepared` is called when all is ready; an error that it raises ends the job before it starts.
        """
        job = _new_job(snapshot, request)
        runner = Runner(self.home, self.library, self.tracking)
        try:
            attempt = runner.attempt(
                job, snapshot, request, on_fetch=on_fetch, on_build=on_build, on_prepared=on_prepared, cancel=cancel
            )
        except BaseException:
            self.home.forget(job)
            raise
        with self.home.holding(job):
            return attempt.run(on_start, on_output, cancel or threading.Event(), keep=self._ledger.keep)

    @property
    def database(self) -> Database:
        """The database of jobs, queues and workers; made when it is first asked."""
        return self._ledger.database

    @property
    def has_jobs(self) -> bool:
        """Whether there can be any: a home without jobs has no database yet."""
        return self._ledger.exists

    def submit(
        self,
        project: str | os.PathLike[str] = ".",
        entry_point: str = "main",
        parameters: Mapping[str, str] | None = None,
        *,
        experiment: str | None = None,
        env_manager: str = "",
        submission: Submission | None = None,
    ) -> Job:
        """Check an entry point and its values, keep code and plugins as they are now, and put a job into a queue.

        Args:
            project: The folder with the MLproject file, a task's script, or an archive of a folder.
            entry_point: The name of the entry point.
            parameters: Values by name, as text.
            experiment: The name of the experiment; by default the project's.
            env_manager: What gives it its environment: `uv` builds that of the project's `python_env`, `local` takes
                that of the testbed; by default `uv` when the project asks for one.
            submission: How it is to wait, and to be run.

        Raises:
            ProjectNotFoundError, InvalidProjectError, EntryPointNotFoundError, InvalidParameterError, CaptureError: As
                they say.
            NotFoundError: There is no such queue, or no such job to wait for.
            RefusedError: The queue is locked.
        """
        how = submission or Submission()
        how.check()
        waits_for = dependencies(how, self.job)
        with project_of(Path(project)) as folder:
            plan = plan_of(folder, entry_point, parameters or {}, experiment, waits_for, env_manager)
            place = Path(project).absolute().parent if folder != Path(project) else plan.project.folder
            job = submitted(self.home, self.library, plan, how, waits_for, place)
        return self._ledger.enqueue(job, how.key)

    def retry(self, job: Job) -> Job:
        """Put a job that has ended into its queue once more, as a new job that names the old one.

        Raises:
            RefusedError: It has not ended, or what it ran with is not known.
        """
        if not job.status.is_final:
            raise RefusedError(f"job {job.id[:8]} {job.status}: it has not ended", hint="cancel it first, or wait")
        return self._ledger.enqueue(again(self.home, job))

    def cancel(self, job: Job) -> Job:
        """Cancel a job: at once if it waits; if it runs, its worker ends all that it has started.

        Raises:
            RefusedError: It has ended otherwise, or no worker runs it.
        """
        if not (job.queue or job.status.is_final):
            raise RefusedError(f"job {job.id[:8]} is run by a `dioptra run`", hint="end that one, with Ctrl-C or TERM")
        found = self.database.queue.cancel(job.id)
        if found.status.is_final:
            self.home.save(found)
        return found

    def wait(self, job: Job, timeout: float | None = None, poll: float = 0.2) -> Job:
        """Wait until a job has ended, at most so many seconds, and return it as it is then."""
        until = None if timeout is None else time.monotonic() + timeout
        found = self.job(job.id)
        while not found.status.is_final and (until is None or time.monotonic() < until):
            time.sleep(poll)
            found = self.job(job.id)
        return found

    def remove(self, job: Job) -> None:
        """Remove a job that has ended, with its files; its runs in MLflow stay.

        Raises:
            RefusedError: It has not ended, or another job waits for it.
        """
        self.database.jobs.remove(job.id)
        self.home.forget(job)

    @property
    def plugins(self) -> Plugins:
        """The task plugins that its jobs get."""
        from dioptra.testbed._plugins import Plugins

        return Plugins(self)

    def worker(self, **options: Any) -> Worker:
        """Return a worker of this testbed; see `Worker`."""
        from dioptra.worker import Worker

        return Worker(self.home, self.library, self.tracking, self.database, **options)

    def jobs(self, *, limit: int | None = None, **filters: Any) -> list[Job]:
        """Return jobs, oldest first: all, or the newest ones.

        Args:
            limit: How many at most.
            filters: What they must be: see `Jobs.list`.
        """
        return self._ledger.jobs(limit, filters)

    def job(self, prefix: str) -> Job:
        """Return the job with this id, or with this unique prefix of an id."""
        return self._ledger.job(prefix)

    def tally(self, name: str) -> dict[str, int]:
        """Return how many jobs there are of each `experiment`, `snapshot` or `status`."""
        return self._ledger.tally(name)

    def unheard(self, jobs: Sequence[Job]) -> list[str]:
        """Return the queues that no worker listens to, though one of these jobs waits there, or one it waits for."""
        waiting = {job.id: job for job in jobs if not (job.status.is_final or job.status is JobStatus.STARTED)}
        more = list(waiting.values())
        while more:
            ids = {each.job for job in more for each in job.waits_for} - waiting.keys()
            more = [found for found in map(self.job, sorted(ids)) if found.status in _WAITING]
            waiting |= {found.id: found for found in more}
        names = {job.queue for job in waiting.values()}
        queues = self.database.queues.list() if names else ()
        return [queue.name for queue in queues if queue.name in names and not queue.workers]

    def subject(self, address: str, experiment: str | None = None) -> Subject:
        """Return the snapshot, and the jobs of it, that an address means.

        Args:
            address: A snapshot's name, id, unique prefix of one or of its commit, `last`, `last~2`; or a job's id.
            experiment: The experiment to look in; by default all.
        """
        return find_subject(self, address, experiment)

    def diff(self, before: Subject, after: Subject) -> SnapshotDiff:
        """Compare two snapshots, or two jobs: code, values, environment, inputs, metrics."""
        return diff_subjects(self.home, self.library, self.tracking, before, after)

    def flow(
        self,
        project: str | os.PathLike[str] = ".",
        entry_point: str = "main",
        parameters: Mapping[str, str] | None = None,
        *,
        on_build: Callable[[str], object] = lambda sentence: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> Description:
        """Return the graph of the first flow that an entry point would run; none of its tasks runs.

        Nothing is stored but the environment that it asks for, if that is not there yet.

        Raises:
            ProjectNotFoundError, InvalidProjectError, EntryPointNotFoundError, InvalidParameterError: As they say; also
                when the script ends before it runs a flow: `on_output` is given the end of what it printed.
        """
        from dioptra.testbed._show_flow import first_flow

        plan, cancel = self.plan(project, entry_point, parameters), cancel or threading.Event()
        env = build_env(self.home, plan.wanted_env, on_build=on_build, cancel=cancel) if plan.wanted_env else None
        return first_flow(plan, env, on_output, cancel)

    def flows(self, job: Job) -> list[Description]:
        """Return the graphs of the flows that a job ran, with what became of their tasks."""
        from dioptra.flow.graphs import read_journal

        return read_journal(self.paths(job).flow_file)

    def paths(self, job: Job) -> AttemptPaths:
        """Return the paths of a job's last attempt."""
        return self.home.attempt(job.id, job.attempt)


_WAITING = (JobStatus.QUEUED, JobStatus.DEFERRED)


def _new_job(snapshot: Snapshot, request: Request) -> Job:
    return Job(
        id=str(uuid.uuid4()),
        experiment=request.experiment,
        project_dir=str(request.project_dir),
        entry_point=request.entry_point,
        parameters=request.given,
        argv=(),
        status=JobStatus.STARTED,
        snapshot=snapshot.name,
        verifies=request.verifies,
        request=request.to_dict(),
    )
