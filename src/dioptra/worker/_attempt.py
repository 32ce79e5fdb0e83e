"""One attempt of a job: its command is run, and whatever happens, its record and its run get their end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dioptra.errors import DioptraError, RunNotEndedError
from dioptra.prefect import failed_flow
from dioptra.records import Job, JobStatus, now
from dioptra.storage import Home
from dioptra.tracking import TrackedRun, Tracking
from dioptra.worker._drawings import draw_flows, keep_drawings
from dioptra.worker._endings import Ending
from dioptra.worker._environment import job_environment
from dioptra.worker._lease import Lease
from dioptra.worker._prepare import Prepared
from dioptra.worker._process import run_command
from dioptra.worker._supervisor_process import SupervisorProcess

__all__ = ["Attempt"]

_RUN_STATUS = {
    JobStatus.FINISHED: "FINISHED",
    JobStatus.FAILED: "FAILED",
    JobStatus.CANCELLED: "KILLED",
    JobStatus.LOST: "KILLED",
}


class Attempt:
    """The attempt of a job that has its folder and its run."""

    def __init__(
        self,
        home: Home,
        tracking: Tracking,
        job: Job,
        run: TrackedRun,
        prepared: Prepared,
        supervisor: SupervisorProcess,
    ) -> None:
        self._home = home
        self._tracking = tracking
        self._run = run
        self._job = job
        self._prepared = prepared
        self._supervisor: SupervisorProcess | None = supervisor  # until the command is its
        self._paths = home.attempt(job.id, job.attempt)

    def run(
        self,
        on_start: Callable[[Job], object],
        on_output: Callable[[bytes], object],
        cancel: threading.Event,
        *,
        lease: Lease | None = None,
        keep: Callable[[Job], object] | None = None,
    ) -> Job:
        """Run the command, and return the job as it ended.

        Args:
            on_start: Called with the job when it starts.
            on_output: Called with each piece of what the script prints.
            cancel: An event that ends it when it is set.
            lease: How long it may go on, unless that is renewed.
            keep: Called with the job at its start and its end; by default its record is kept in the job's folder.

        Raises:
            RunNotEndedError: The job has ended, but the tracking store could not be told.
        """
        keep = keep or self._home.save
        job = self._job.changed(started_at=now())
        ended = job.changed(status=JobStatus.FAILED, reason="interrupted before its end")
        try:
            if cancel.is_set():
                raise KeyboardInterrupt
            keep(job)
            on_start(job)
            ended = self._ended(job, self._run_command(on_output, cancel, lease))
        except KeyboardInterrupt:
            ended = job.changed(status=JobStatus.CANCELLED, reason="cancelled")
        except OSError as error:
            ended = job.changed(status=JobStatus.FAILED, reason=f"could not be run to its end ({error})")
        finally:
            self.abandon()
            with _uninterrupted():
                ended = ended.changed(ended_at=now())
                self._finish(ended, keep)
        return ended

    def abandon(self) -> None:
        """Let go of what waits for the command, if it was not run."""
        if self._supervisor is not None:
            self._supervisor.abandon()
            self._supervisor = None

    def _run_command(
        self, on_output: Callable[[bytes], object], cancel: threading.Event, lease: Lease | None
    ) -> Ending:
        additions = {
            **self._run.environment(),
            "DIOPTRA_HOME": str(self._home.path),
            "DIOPTRA_JOB_ID": self._job.id,
            "DIOPTRA_RUN_ID": self._run.run_id,
            "DIOPTRA_EXPERIMENT": self._job.experiment,
            "DIOPTRA_ATTEMPT_DIR": str(self._paths.folder),
            "DIOPTRA_OUTPUT_DIR": str(self._paths.output_dir),
            "DIOPTRA_SNAPSHOT": self._job.snapshot,
            "DIOPTRA_PLUGIN_DIR": self._prepared.plugin_path,
            "PYTHONHASHSEED": self._prepared.conditions.hash_seed,
        }
        supervisor, self._supervisor = self._supervisor, None
        return run_command(
            self._job.argv,
            cwd=self._paths.code_dir,
            environment=job_environment(additions, env=self._prepared.env),
            log_file=self._paths.log_file,
            on_output=on_output,
            cancel=cancel,
            timeout=self._job.timeout,
            lease=lease,
            marker=f"{self._job.id}/{self._job.attempt}",
            supervisor=supervisor,
        )

    def _ended(self, job: Job, ending: Ending) -> Job:
        reason = ending.reason or failed_flow(self._paths.folder) or self._prepared.changed_data()
        status = JobStatus.FAILED if reason else JobStatus.FINISHED
        if ending.cancelled:
            status = JobStatus.CANCELLED
        elif ending.lapsed:
            status = JobStatus.LOST
        if status is JobStatus.FINISHED:
            reason = self._prepared.changed_inputs()  # no failure, but worth knowing
        return job.changed(status=status, exit_code=ending.exit_code, reason=reason)

    def _finish(self, job: Job, keep: Callable[[Job], object]) -> None:
        try:
            keep(job)
        finally:
            drawings = draw_flows(self._paths)
            try:
                self._tracking.end(self._run.run_id, _RUN_STATUS[job.status])
            except DioptraError as error:
                raise RunNotEndedError(
                    f"job {job.id[:8]} {job.status}, but its run could not be ended: {error.message}", job=job
                ) from error
            keep_drawings(drawings, self._tracking, self._run.run_id)


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
