"""Makes attempts of jobs: a snapshot laid out, its command checked, and a run of MLflow to record it."""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable
from contextlib import ExitStack

from dioptra.errors import RefusedError
from dioptra.experiment import Library, Snapshot
from dioptra.records import Job
from dioptra.storage import Home
from dioptra.tracking import TrackedRun, Tracking
from dioptra.worker._attempt import Attempt
from dioptra.worker._lease import Lease
from dioptra.worker._prepare import OnFetch, Prepared, Request, prepare
from dioptra.worker._supervisor_process import SupervisorProcess

__all__ = ["Runner"]


class Runner:
    """Makes attempts of the jobs of a home.

    Args:
        home: The home.
        library: Its experiments.
        tracking: Where runs are recorded.
    """

    def __init__(self, home: Home, library: Library, tracking: Tracking) -> None:
        self._home = home
        self._library = library
        self._tracking = tracking

    def attempt(
        self,
        job: Job,
        snapshot: Snapshot,
        request: Request,
        *,
        on_fetch: OnFetch,
        on_build: Callable[[str], object] = lambda sentence: None,
        on_prepared: Callable[[Prepared], object] = lambda prepared: None,
        cancel: threading.Event | None = None,
        lease: Lease | None = None,
    ) -> Attempt:
        """Make the attempt of a job that its record names: its folder, and its run.

        Args:
            job: The job.
            snapshot: What it runs.
            request: How.
            on_fetch: Called with each URI that is fetched first; a context that gives what is told the progress.
            on_build: Called with a sentence when its environment has to be built first, or waited for.
            on_prepared: Called when all is ready but the run; an error that it raises ends the attempt.
            cancel: An event that ends the building of its environment when it is set.
            lease: How long it may go on, unless that is renewed.

        Raises:
            KeyboardInterrupt: It was cancelled.
            DioptraError: A store or what lies in it is not in order, or the request does not fit the snapshot.
        """
        paths = self._home.attempt(job.id, job.attempt)
        try:
            paths.make()
        except FileExistsError as error:
            raise RefusedError(
                f"{str(paths.folder)!r} is there already: another database has this job, too", hint="submit it again"
            ) from error
        with ExitStack() as undo:
            supervisor = SupervisorProcess(f"{job.id}/{job.attempt}", lease)  # gets ready meanwhile
            undo.callback(supervisor.abandon)
            experiment = self._library.experiment_of(snapshot)
            prepared = prepare(
                self._home, experiment, snapshot, request, paths, on_fetch, on_build=on_build, cancel=cancel
            )
            on_prepared(prepared)
            job = job.changed(parameters=prepared.conditions.parameters, argv=tuple(prepared.conditions.argv))
            run = self._start(job, snapshot, request)
            undo.pop_all()
        return Attempt(self._home, self._tracking, job.changed(run_id=run.run_id), run, prepared, supervisor)

    def _start(self, job: Job, snapshot: Snapshot, request: Request) -> TrackedRun:
        name = f"{job.name or job.entry_point}-{job.id[:8]}"
        return self._tracking.start(
            job.experiment,
            name=f"verify-{name}" if job.verifies else name,
            parameters=job.parameters,
            tags=_tags(job, snapshot, request),
        )


def _tags(job: Job, snapshot: Snapshot, request: Request) -> dict[str, str]:
    """Return the tags that MLflow's pages and the scripts of 0.x look for, and our own."""
    repository = request.repository or {}
    tags = {
        "mlflow.source.name": job.project_dir.encode("utf-8", "replace").decode(),
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": repository.get("head"),
        "mlflow.source.git.branch": repository.get("branch"),
        "mlflow.project.entryPoint": job.entry_point,
        "mlflow.project.backend": "dioptra",
        "mlflow.user": _user(),
        "dioptra.jobId": job.id,
        "dioptra.queue": job.queue,
        "dioptra.dependsOn": ",".join(each.job for each in job.waits_for),
        "dioptra.attempt": str(job.attempt) if job.queue else "",
        "dioptra.snapshot": snapshot.name,
        "dioptra.commit": snapshot.commit,
        "dioptra.verifies": job.verifies,
    }
    return {name: value for name, value in tags.items() if value}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
