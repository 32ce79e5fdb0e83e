"""A worker: claims jobs from queues, runs as many at once as it has slots, and beats while it does."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from dioptra.database import Database
from dioptra.errors import StoreUnreachableError
from dioptra.experiment import Library
from dioptra.records import Job
from dioptra.storage import Home
from dioptra.tracking import Tracking
from dioptra.worker._descendants import sweep
from dioptra.worker._lease import Lease
from dioptra.worker._lost import end_runs, take_back
from dioptra.worker._runner import Runner
from dioptra.worker._slot import Slot

if TYPE_CHECKING:
    from dioptra.database._wake import Wake

__all__ = ["Worker"]

logger = logging.getLogger("dioptra.worker")


class Worker:
    """Runs the jobs of some queues until it is stopped.

    Args:
        home: Where jobs have their files.
        library: Where their code is.
        tracking: Where their runs are recorded.
        database: Where they wait.
        queues: Those to listen to, the most wanted one first.
        slots: How many jobs it runs at once.
        name: What to call it; a name that another living worker has gets a number.
        burst: End when there is nothing to do.
        lease: Seconds after which it counts as lost, unless it has beaten.
        beat: Seconds between two beats.
        poll: Seconds between two looks for jobs that nothing has told it of.
        on_event: Called with what happens, as a sentence.
    """

    def __init__(
        self,
        home: Home,
        library: Library,
        tracking: Tracking,
        database: Database,
        *,
        queues: Sequence[str] = ("default",),
        slots: int = 1,
        name: str = "",
        burst: bool = False,
        lease: float = 60.0,
        beat: float = 10.0,
        poll: float = 5.0,
        on_event: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        self._home = home
        self._library = library
        self._database = database
        self._tracking = tracking
        self._runner = Runner(home, library, tracking)
        self._queues = tuple(dict.fromkeys(queues))
        self._slots = slots
        self._name = name or socket.gethostname()
        self._burst = burst
        self._lease, self._beat, self._poll = lease, beat, poll
        self._on_event = on_event
        self._running: dict[tuple[str, int], Slot] = {}
        self._lost: deque[Job] = deque()
        self._lock = threading.Lock()
        self._bell, self._ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = self._cancelling = self._ended = self._has_said_so = False

    def stop(self) -> None:
        """Claim nothing more, and end when the jobs that run have ended; to be called from a signal's handler too."""
        self._stopping = True
        self._wake()

    def cancel(self) -> None:
        """Stop, and cancel the jobs that run; to be called from a signal's handler too."""
        self._cancelling = True
        self.stop()

    def run(self) -> None:
        """Listen until it is stopped, or, in a burst, until there is nothing to do.

        Raises:
            NotFoundError: There is no such queue.
            StoreUnreachableError: The database cannot be reached at the start, or, in a burst, later on.
        """
        self._register()
        beater = threading.Thread(target=self._beat_on, name="beat")
        beater.start()
        try:
            with self._database.wakes(self._id) as wake:
                while not self._is_done():
                    self._end_lost_runs()
                    self._wait(wake)
                    self._obey()
        finally:
            while slots := self._slots_now():
                slots[0].join(0.2)
                self._obey()
            self._ended = True
            beater.join()
            self._end_lost_runs()
            self._unregister()

    def _obey(self) -> None:
        """Do what was asked for, and say so; not in the handler of a signal, which may have come at any moment."""
        if self._stopping and not self._has_said_so:
            self._has_said_so = True
            self._say("no more jobs are claimed; once more cancels those that run")
        for slot in self._slots_now() if self._cancelling else ():
            slot.cancel()

    def _register(self) -> None:
        self._id = self._database.workers.register(
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self._queues,
            slots=self._slots,
            version=version("dioptra-testbed"),
            lease=self._lease,
        )
        self._name = next(each.name for each in self._database.workers.list() if each.id == self._id)

    def _unregister(self) -> None:
        try:
            self._database.workers.unregister(self._id)
        except StoreUnreachableError as error:
            logger.warning("%s", error)
        os.close(self._bell)
        os.close(self._ring)

    def _is_done(self) -> bool:
        """Claim what can be claimed, and tell whether that was all."""
        was_idle = not self._slots_now()  # before the look: what ends during it may have let others go
        claimed = self._claim_all()
        if self._slots_now():
            return False
        return self._stopping or (self._burst and was_idle and not claimed)

    def _wait(self, wake: Wake) -> None:
        """Wait until there may be something to do, or it is time for a look."""
        sounds = select.poll()
        sounds.register(self._bell, select.POLLIN)
        word = -1
        try:
            word = wake.fileno()
            sounds.register(word, select.POLLIN)
        except StoreUnreachableError as error:  # it is tried again after the next look
            logger.warning("nothing is heard of new jobs: %s", error.message)
        if word in [each for each, _ in sounds.poll(self._poll * 1000)]:
            wake.clear()
            self._quietly("no beat", self._beat_jobs)  # it may be about a job that is to be cancelled
        self._hear_bell()

    def _claim_all(self) -> int:
        """Claim as many jobs as there are free slots, and return how many that were."""
        claimed = 0
        while not self._stopping and len(self._running) < self._slots:
            since = time.monotonic()
            try:
                job = self._claim()
            except StoreUnreachableError as error:
                if self._burst:
                    raise
                self._say(f"no jobs can be claimed: {error.message}")
                break
            if job is None:
                break
            self._start(job, Lease(self._lease, since=since))
            claimed += 1
        return claimed

    def _claim(self) -> Job | None:
        """Claim a job; a look comes first, for most words are about others' jobs, and a look takes no lock."""
        queue = self._database.queue
        return queue.claim(self._queues, self._name, self._lease) if queue.has_jobs(self._queues) else None

    def _start(self, job: Job, lease: Lease) -> None:
        for number in range(1, job.attempt):
            sweep(f"{job.id}/{number}")  # of a worker that died with its supervisor
        slot = Slot(
            job,
            lease,
            home=self._home,
            library=self._library,
            runner=self._runner,
            database=self._database,
            on_end=self._let_go,
            on_event=self._say,
        )
        again = f", attempt {job.attempt}" if job.attempt > 1 else ""
        self._say(f"job {job.id[:8]}: {job.entry_point} of {job.experiment} from queue {job.queue}{again}")
        with self._lock:
            self._running[slot.key] = slot
        slot.start()

    def _let_go(self, slot: Slot) -> None:
        with self._lock:
            self._running.pop(slot.key, None)
        self._say(self._words_of_end(slot))
        self._wake()

    def _words_of_end(self, slot: Slot) -> str:
        if slot.is_stale:
            return f"job {slot.job.id[:8]}: attempt {slot.job.attempt} is not this worker's any more"
        return f"job {slot.job.id[:8]} {slot.job.outcome}"

    def _slots_now(self) -> list[Slot]:
        with self._lock:
            return list(self._running.values())

    def _beat_on(self) -> None:
        """Beat until the end, and take back what other workers have lost."""
        while not self._ended:
            self._quietly("no beat", self._beat_jobs)
            self._quietly("no beat", self._beat_worker)
            self._quietly("nothing is taken back", self._reap)
            until = time.monotonic() + self._beat
            while not self._ended and (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 0.05))

    def _quietly(self, without: str, act: Callable[[], object]) -> None:
        """Do something that is done again soon: a database that does not answer is no reason to end."""
        try:
            act()
        except StoreUnreachableError as error:
            logger.warning("%s: %s", without, error.message)

    def _beat_jobs(self) -> None:
        slots = {slot.key: slot for slot in self._slots_now()}
        since = time.monotonic()
        for key, standing in self._database.queue.beat(slots, self._lease).items():
            slots[key].hear(standing, self._lease, since)

    def _beat_worker(self) -> None:
        if not self._database.workers.beat(self._id):  # as after a machine's long sleep
            self._register()

    def _reap(self) -> None:
        for job in take_back(self._home, self._database):
            self._lost.append(job)
            self._wake()
            self._say(f"job {job.id[:8]} {job.status}: {job.reason or f'worker {job.worker!r} was lost'}")

    def _end_lost_runs(self) -> None:
        """End the runs of attempts that were taken back; not in the thread that beats, for the store may be slow."""
        while self._lost:
            end_runs(self._tracking, self._lost.popleft())

    def _say(self, sentence: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # whoever listens may be gone, or its disk full
            self._on_event(sentence)

    def _wake(self) -> None:
        try:
            os.write(self._ring, b"x")
        except (BlockingIOError, OSError):  # it has been rung, or is over
            return

    def _hear_bell(self) -> None:
        try:
            while os.read(self._bell, 4096):
                pass
        except BlockingIOError:
            return
