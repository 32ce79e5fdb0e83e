"""Testbed: plan an entry point, run it, and find what became of it."""

from __future__ import annotations

import getpass
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from dioptra import settings
from dioptra.errors import InvalidParameterError, NotFoundError
from dioptra.mlproject import build_argv, remote_inputs
from dioptra.records import Job, JobStatus
from dioptra.storage import AttemptPaths, Home, Progress, fetch, find_home
from dioptra.testbed._attempt import Attempt
from dioptra.testbed._plan import Plan, make_plan
from dioptra.tracking import TrackedRun, Tracking

__all__ = ["Testbed"]

OnFetch = Callable[[str], AbstractContextManager[Progress]]


class Testbed:
    """The testbed of this machine.

    Args:
        home: The folder that holds jobs and stores; by default `DIOPTRA_HOME`, else the nearest `.dioptra` upward,
            else the user's data folder.
    """

    __test__ = False  # the name begins with Test, and is none

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = find_home() if home is None else Home(Path(home).absolute())
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
        """Run what was planned, here and now, and return the job as it ended.

        Args:
            plan: What to run.
            on_fetch: Called with each URI that is fetched first; a context that gives what is told the progress.
            on_start: Called with the job when it starts.
            on_output: Called with each piece of what the script prints.
            cancel: An event that ends the job when it is set.

        Raises:
            RunNotEndedError: The job has ended, but the tracking store could not be told.
            DioptraError: A store or what lies in it is not in order; nothing is kept then.
        """
        job = _new_job(plan)
        self.home.make()
        self.paths(job).make()
        try:
            job = job.changed(argv=tuple(self._argv(plan, job, on_fetch)))
            run = self._start(plan, job)
        except BaseException:
            self.home.forget(job)
            raise
        attempt = Attempt(self.home, self.tracking, job.changed(run_id=run.run_id), run)
        return attempt.run(on_start, on_output, cancel or threading.Event())

    def jobs(self) -> list[Job]:
        """Return all jobs of the home, oldest first."""
        return self.home.jobs()

    def job(self, prefix: str) -> Job:
        """Return the job with this id, or with this unique prefix of an id."""
        return self.home.job(prefix)

    def paths(self, job: Job) -> AttemptPaths:
        """Return the paths of a job's last attempt."""
        return self.home.attempt(job.id, job.attempt)

    def _argv(self, plan: Plan, job: Job, on_fetch: OnFetch) -> list[str]:
        """Fetch what lies elsewhere, and return the argument list with local paths in its place."""
        fetched = {}
        for name, uri in remote_inputs(plan.entry_point, plan.parameters).items():
            try:
                with on_fetch(uri) as progress:
                    fetched[name] = str(fetch(uri, self.paths(job).input_dir / name, progress))
            except NotFoundError as error:
                raise InvalidParameterError(f"parameter {name!r}: {error}", where=plan.entry_point.where) from error
        return build_argv(plan.entry_point, plan.parameters | fetched)

    def _start(self, plan: Plan, job: Job) -> TrackedRun:
        return self.tracking.start(
            job.experiment, name=f"{job.entry_point}-{job.id[:8]}", parameters=plan.parameters, tags=_tags(job)
        )


def _new_job(plan: Plan) -> Job:
    return Job(
        id=str(uuid.uuid4()),
        experiment=plan.experiment,
        project_dir=str(plan.project.folder),
        entry_point=plan.entry_point.name,
        parameters=plan.parameters,
        argv=tuple(plan.argv),
        status=JobStatus.STARTED,
    )


def _tags(job: Job) -> dict[str, str]:
    """Return the tags that MLflow's pages and the scripts of 0.x look for."""
    return {
        "mlflow.source.name": job.project_dir.encode("utf-8", "replace").decode(),
        "mlflow.source.type": "PROJECT",
        "mlflow.project.entryPoint": job.entry_point,
        "mlflow.project.backend": "dioptra",
        "mlflow.user": _user(),
        "dioptra.jobId": job.id,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
