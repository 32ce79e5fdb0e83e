"""Testbed: plan an entry point, run it, and find what became of it."""

from __future__ import annotations

import getpass
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dioptra import settings
from dioptra.mlproject import EntryPoint, Project, bind, build_argv, read_project
from dioptra.records import Job, JobStatus, now
from dioptra.storage import AttemptPaths, Home, find_home
from dioptra.tracking import TrackedRun, Tracking, check_experiment_name
from dioptra.worker import Ending, job_environment, resolve_program, run_command

__all__ = ["Plan", "Testbed"]

_RUN_STATUS = {JobStatus.FINISHED: "FINISHED", JobStatus.FAILED: "FAILED", JobStatus.CANCELLED: "KILLED"}


@dataclass(frozen=True)
class Plan:
    """What would run: an entry point with all its values, checked."""

    project: Project
    entry_point: EntryPoint
    parameters: dict[str, str]
    argv: list[str]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what is odd about the project, in sentences."""
        return self.project.warnings


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
    ) -> Plan:
        """Check a project, an entry point and values, and return what would run; nothing is stored.

        Args:
            project: The folder with the MLproject file.
            entry_point: The name of the entry point.
            parameters: Values by name, as text.

        Raises:
            ProjectNotFoundError, InvalidProjectError, EntryPointNotFoundError, InvalidParameterError: As they say.
        """
        found = read_project(Path(project))
        entry = found.entry_point(entry_point)
        values = bind(entry, parameters or {})
        argv = build_argv(entry, values)
        resolve_program(argv, folder=found.folder, environment=job_environment({}), where=entry.where)
        return Plan(found, entry, values, argv)

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
        plan = self.plan(project, entry_point, parameters)
        return self.execute(plan, experiment=experiment, on_start=on_start, on_output=on_output, cancel=cancel)

    def execute(
        self,
        plan: Plan,
        *,
        experiment: str | None = None,
        on_start: Callable[[Job], object] = lambda job: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> Job:
        """Run what was planned, here and now, and return the job as it ended.

        Args:
            plan: What to run.
            experiment: The name of the experiment; by default the project's.
            on_start: Called with the job when it starts.
            on_output: Called with each piece of what the script prints.
            cancel: An event that ends the job when it is set.

        Raises:
            DioptraError: The name or the store is not in order; nothing is stored then.
        """
        job = self._job(plan, check_experiment_name(experiment or plan.project.name))
        self.home.make()
        run = self.tracking.start(
            job.experiment,
            name=f"{job.entry_point}-{job.id[:8]}",
            parameters=plan.parameters,
            tags=_tags(plan, job),
        )
        return self._attempt(job.changed(run_id=run.run_id), run, on_start, on_output, cancel)

    def jobs(self) -> list[Job]:
        """Return all jobs of the home, oldest first."""
        return self.home.jobs()

    def job(self, prefix: str) -> Job:
        """Return the job with this id, or with this unique prefix of an id."""
        return self.home.job(prefix)

    def paths(self, job: Job) -> AttemptPaths:
        """Return the paths of a job's last attempt."""
        return self.home.attempt(job.id, job.attempt)

    def _job(self, plan: Plan, experiment: str) -> Job:
        return Job(
            id=str(uuid.uuid4()),
            experiment=experiment,
            project_dir=str(plan.project.folder),
            entry_point=plan.entry_point.name,
            parameters=plan.parameters,
            argv=tuple(plan.argv),
            status=JobStatus.STARTED,
        )

    def _attempt(
        self,
        job: Job,
        run: TrackedRun,
        on_start: Callable[[Job], object],
        on_output: Callable[[bytes], object],
        cancel: threading.Event | None,
    ) -> Job:
        """Run the attempt; whatever happens, the record and the run get their end."""
        job = job.changed(started_at=now())
        ended = job.changed(status=JobStatus.FAILED, reason="interrupted before its end")
        try:
            paths = self.paths(job)
            paths.make()
            self.home.save(job)
            on_start(job)
            ended = _ended(job, self._run_command(job, run, on_output, cancel))
        except KeyboardInterrupt:
            ended = job.changed(status=JobStatus.CANCELLED, reason="cancelled")
        except OSError as error:
            ended = job.changed(status=JobStatus.FAILED, reason=f"could not be run ({error})")
        finally:
            with _uninterrupted():
                ended = ended.changed(ended_at=now())
                self._finish(ended, run)
        return ended

    def _run_command(
        self, job: Job, run: TrackedRun, on_output: Callable[[bytes], object], cancel: threading.Event | None
    ) -> Ending:
        paths = self.paths(job)
        additions = {
            **run.environment(),
            "DIOPTRA_HOME": str(self.home.path),
            "DIOPTRA_JOB_ID": job.id,
            "DIOPTRA_ATTEMPT_DIR": str(paths.folder),
            "DIOPTRA_OUTPUT_DIR": str(paths.output_dir),
        }
        return run_command(
            job.argv,
            cwd=Path(job.project_dir),
            environment=job_environment(additions),
            log_file=paths.log_file,
            on_output=on_output,
            cancel=cancel,
        )

    def _finish(self, job: Job, run: TrackedRun) -> None:
        try:
            self.home.save(job)
        finally:
            self.tracking.end(run.run_id, _RUN_STATUS[job.status])


def _ended(job: Job, ending: Ending) -> Job:
    status = JobStatus.FAILED if ending.exit_code else JobStatus.FINISHED
    if ending.cancelled:
        status = JobStatus.CANCELLED
    return job.changed(status=status, exit_code=ending.exit_code, reason=ending.reason)


def _tags(plan: Plan, job: Job) -> dict[str, str]:
    """Return the tags that MLflow's pages and the scripts of 0.x look for."""
    return {
        "mlflow.source.name": job.project_dir,
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


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold signals back while an end is written; they arrive afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
