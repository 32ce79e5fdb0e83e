"""One claimed job, run in a thread of its own: prepared, supervised, and ended in the database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from dioptra.database import Database, Standing
from dioptra.errors import DioptraError, RunNotEndedError, StoreUnreachableError
from dioptra.experiment import Library
from dioptra.records import Job, JobStatus
from dioptra.storage import Home
from dioptra.worker._lease import Lease
from dioptra.worker._lost import keep_record
from dioptra.worker._prepare import Request
from dioptra.worker._runner import Runner

if TYPE_CHECKING:
    from dioptra.worker._attempt import Attempt

__all__ = ["Slot"]

logger = logging.getLogger("dioptra.worker")

_AGAIN = (0.1, 0.5, 1.0, 2.0, 5.0)  # seconds between two tries to tell the database of an end; the last one repeats


class Slot:
    """A job that this process has claimed.

    Args:
        job: It, as it was claimed.
        lease: How long this process may go on with it, unless that is renewed.
        home: Where its files are.
        library: Where its code is.
        runner: Makes its attempt.
        database: Is told of its end.
        on_end: Called in the thread when it has ended, or is not this process's any more.
        on_event: Called with what happens before it starts, as a sentence.
    """

    def __init__(
        self,
        job: Job,
        lease: Lease,
        *,
        home: Home,
        library: Library,
        runner: Runner,
        database: Database,
        on_end: Callable[[Slot], object],
        on_event: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        self.job = job
        self.lease = lease
        self._is_stale = False
        self._is_told = False  # of its end
        self._home = home
        self._library = library
        self._runner = runner
        self._queue = database.queue
        self._on_end = on_end
        self._on_event = on_event
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job-{job.id[:8]}")

    @property
    def key(self) -> tuple[str, int]:
        """The attempt, as the database names it."""
        return self.job.id, self.job.attempt

    @property
    def is_stale(self) -> bool:
        """Tell whether the attempt is no longer this process's; a beat that comes after its end finds nothing, too."""
        return self._is_stale and not self._is_told

    def start(self) -> None:
        """Run the job."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    def cancel(self) -> None:
        """End what it has started, and the job as cancelled."""
        self._cancel.set()

    def hear(self, standing: Standing, seconds: float, since: float) -> None:
        """Take what the database has answered to a beat: go on for so many seconds since a moment, or end."""
        if self._is_told:  # its end was on the way already
            return
        if standing is Standing.STALE:
            self._is_stale = True
            self.cancel()
            return
        self.lease.renew(seconds, since=since)
        if standing is Standing.CANCEL:
            self.cancel()

    def _run(self) -> None:
        try:
            self._end(self._ended())
        except Exception:  # a fault of ours must not take the worker along: the lease lapses, and the job is lost
            logger.exception("job %s: the attempt could not be ended", self.job.id[:8])
        finally:
            self._on_end(self)

    def _ended(self) -> Job:
        """Run the attempt, and return the job as it ended."""
        try:
            attempt = self._prepared()
            return attempt.run(self._begin, lambda chunk: None, self._cancel, lease=self.lease, keep=lambda job: None)
        except RunNotEndedError as error:
            job: Job = error.job
            return job.changed(reason=f"{job.reason or job.status}; {error.message}")
        except KeyboardInterrupt:  # while its environment was built
            return self.job.changed(status=JobStatus.CANCELLED, reason="cancelled")
        except DioptraError as error:
            return self._failed(" ".join(str(error).splitlines()))
        except Exception as error:
            logger.exception("job %s: the attempt could not be run", self.job.id[:8])
            return self._failed(f"could not be run ({type(error).__name__}: {error})")

    def _prepared(self) -> Attempt:
        snapshot = self._library.get_snapshot(self.job.snapshot, self.job.experiment)
        request = Request.of_job(self.job)
        return self._runner.attempt(
            self.job,
            snapshot,
            request,
            on_fetch=lambda uri: nullcontext(lambda done, total: None),
            on_build=lambda sentence: self._on_event(f"job {self.job.id[:8]}: {sentence}"),
            cancel=self._cancel,
            lease=self.lease,
        )

    def _begin(self, job: Job) -> None:
        """Record what has become known; called when the attempt is about to start."""
        self.job = job
        known = self._tell(
            lambda: self._queue.started(*self.key, parameters=job.parameters, argv=job.argv, run_id=job.run_id)
        )
        if known:
            self._home.save(job)
        else:
            self._is_stale = True
            self.cancel()

    def _failed(self, reason: str) -> Job:
        return self.job.changed(status=JobStatus.FAILED, reason=reason)

    def _end(self, job: Job) -> None:
        """Tell the database of the end.

        It may be told late: as long as nobody has taken the job back, it is the truth.
        """
        output_dir = str(self._home.attempt(*self.key).output_dir)
        end: dict[str, Any] = {"reason": job.reason, "exit_code": job.exit_code, "output_dir": output_dir}
        if job.status is JobStatus.LOST or self._is_stale:  # whether it is run again is for others to say
            self._is_stale = True
        elif self._tell(lambda: self._queue.finish(*self.key, job.status, **end)):
            self._is_told = True
            self.job = job
            keep_record(self._home, job)
        else:
            self._is_stale = True

    def _tell(self, word: Callable[[], bool]) -> bool:
        """Tell the database something until it answers; tell whether the attempt was this process's.

        Raises:
            StoreUnreachableError: It has not answered, the lease is over, and the job was cancelled.
        """
        tries = 0
        while True:
            try:
                return word()
            except StoreUnreachableError:
                if self._is_stale:
                    return False
                if self.lease.left() <= 0 and self._cancel.is_set():
                    raise
            time.sleep(_AGAIN[min(tries, len(_AGAIN) - 1)])
            tries += 1
