"""Testbed: plan an entry point, run it, and find what became of it."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from dioptra import settings
from dioptra.experiment import Library, Snapshot
from dioptra.records import Job, JobStatus
from dioptra.storage import AttemptPaths, Home, find_home
from dioptra.testbed._diff import SnapshotDiff, diff_subjects
from dioptra.testbed._subject import Subject, find_subject
from dioptra.tracking import Tracking
from dioptra.worker import (
    OnFetch,
    Plan,
    Prepared,
    Request,
    Runner,
    conditions_of_plan,
    draw_hash_seed,
    make_plan,
    pin_plugins,
)

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

    def plan(
        self,
        project: str | os.PathLike[str] = ".",
        entry_point: str = "main",
        parameters: Mapping[str, str] | None = None,
        *,
        experiment: str | None = None,
    ) -> Plan:
        """Check a project, an entry point and values, and return what would run; nothing is stored.

        Args:
            project: The folder with the MLproject file.
            entry_point: The name of the entry point.
            parameters: Values by name, as text.
            experiment: The name of the experiment; by default the project's.

        Raises:
            ProjectNotFoundError, InvalidProjectError, EntryPointNotFoundError, InvalidParameterError: As they say.
        """
        return make_plan(Path(project), entry_point, parameters or {}, experiment)

    def run(
        self,
        project: str | os.PathLike[str] = ".",
        entry_point: str = "main",
        parameters: Mapping[str, str] | None = None,
        *,
        experiment: str | None = None,
        on_start: Callable[[Job], object] = lambda job: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> Job:
        """Plan an entry point and execute the plan: see `plan` and `execute`."""
        plan = self.plan(project, entry_point, parameters, experiment=experiment)
        return self.execute(plan, on_start=on_start, on_output=on_output, cancel=cancel)

    def execute(
        self,
        plan: Plan,
        *,
        on_fetch: OnFetch = lambda uri: nullcontext(lambda done, total: None),
        on_start: Callable[[Job], object] = lambda job: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> Job:
        """Capture the project, run what was planned in a copy of it, here and now, and return the job as it ended.

        Args:
            plan: What to run.
            on_fetch: Called with each URI that is fetched first; a context that gives what is told the progress.
            on_start: Called with the job when it starts.
            on_output: Called with each piece of what the script prints.
            cancel: An event that ends the job when it is set.

        Raises:
            CaptureError: Something of the project cannot be captured.
            RunNotEndedError: The job has ended, but the tracking store could not be told.
            DioptraError: A store or what lies in it is not in order; no job is kept then.
        """
        self.home.make()
        hash_seed, plugins = draw_hash_seed(), pin_plugins(self.home)
        experiment = self.library.open_experiment(plan.experiment)
        captured = experiment.capture(
            plan.project.folder,
            script=plan.project.file.name if plan.project.file.suffix == ".py" else plan.entry_point.name,
            conditions=lambda: conditions_of_plan(self.home, plan, hash_seed, plugins),
            left_out=(self.home.path.resolve(),),
        )
        request = Request.of(plan, captured.repository, hash_seed, plugins)
        return self.execute_request(
            captured.snapshot, request, on_fetch=on_fetch, on_start=on_start, on_output=on_output, cancel=cancel
        )

    def execute_request(
        self,
        snapshot: Snapshot,
        request: Request,
        *,
        on_fetch: OnFetch = lambda uri: nullcontext(lambda done, total: None),
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
            attempt = runner.attempt(job, snapshot, request, on_fetch=on_fetch, on_prepared=on_prepared)
        except BaseException:
            self.home.forget(job)
            raise
        return attempt.run(on_start, on_output, cancel or threading.Event())

    def jobs(self) -> list[Job]:
        """Return all jobs of the home, oldest first."""
        return self.home.jobs()

    def job(self, prefix: str) -> Job:
        """Return the job with this id, or with this unique prefix of an id."""
        return self.home.job(prefix)

    def subject(self, address: str, experiment: str | None = None) -> Subject:
        """Return the snapshot, and the jobs of it, that an address means.

        Args:
            address: A snapshot's name, id, unique prefix of one or of its commit, `last`, `last~2`; or a job's id.
            experiment: The experiment to look in; by default all.
        """
        return find_subject(self.home, self.library, address, experiment)

    def diff(self, before: Subject, after: Subject) -> SnapshotDiff:
        """Compare two snapshots, or two jobs: code, values, environment, inputs, metrics."""
        return diff_subjects(self.home, self.library, self.tracking, before, after)

    def paths(self, job: Job) -> AttemptPaths:
        """Return the paths of a job's last attempt."""
        return self.home.attempt(job.id, job.attempt)


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
    )
