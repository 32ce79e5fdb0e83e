"""One running attempt, seen from its worker: what it prints, its lease, and its ending."""

from __future__ import annotations

import os
import select
import signal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from dioptra.worker._descendants import sweep
from dioptra.worker._endings import Ending
from dioptra.worker._lease import Lease
from dioptra.worker._log_file import LOG_LIMIT, LogFile
from dioptra.worker._supervisor_process import SupervisorProcess

__all__ = ["Supervised"]

_NEVER = float("inf")
_LOOK = 1.0  # seconds between two looks at what no descriptor tells
_DRAIN = 1.0  # seconds for output that someone still holds open when all processes of the attempt are gone
_PATIENCE = 5.0  # seconds that the supervisor has for its report once all should be over
_CHUNK = 65_536


class Supervised:
    """An attempt that runs under a supervisor of its own.

    One thread follows it: that passes on what is printed, and tells how it ended. Any other may cancel or kill it, and
    renew its lease. Whatever happens to the worker, the attempt's processes are ended: by the supervisor, and where
    that was ended too, by the worker, through the marker that all of them carry in `DIOPTRA_ATTEMPT`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        log_file: Path,
        on_output: Callable[[bytes], object],
        grace: float = 10.0,
        timeout: float | None = None,
        lease: Lease | None = None,
        marker: str | None = None,
        log_limit: int = LOG_LIMIT,
        supervisor: SupervisorProcess | None = None,
    ) -> None:
        """Start the command.

        Args:
            argv: The command; its program is found on the path of `environment`.
            cwd: The folder in which it runs.
            environment: All of its environment, but for `DIOPTRA_ATTEMPT` and `DIOPTRA_WORKER_PID`.
            log_file: Where what it prints is added.
            on_output: Is called with what the log has taken, as it is printed.
            grace: Seconds between TERM and KILL.
            timeout: Seconds after which it is ended.
            lease: How long it may go on unless this is renewed: all of it is over before the lease is.
            marker: `<job id>/<number>` of the attempt.
            log_limit: Bytes that the log may hold.
            supervisor: A supervisor that waits for a command, with the marker and the lease; by default a new one.

        Raises:
            OSError: The supervisor cannot be started, or the log cannot be opened.
        """
        self.marker = marker or f"{uuid.uuid4()}/1"
        self.pid: int | None = None  # of the entry point, once it has started
        self._program = argv[0]
        self._on_output = on_output
        self._grace = grace
        self._timeout = _NEVER if timeout is None else timeout
        self._report: dict[str, Any] = {}
        self._ending: Ending | None = None
        self._problem = ""
        self._asked = False
        self._gone = False
        with ExitStack() as opened:
            self._log = opened.enter_context(LogFile(log_file, log_limit))
            self._supervisor = supervisor or SupervisorProcess(self.marker, lease)
            opened.callback(self._supervisor.close)
            self._supervisor.start(argv, cwd=cwd, environment=environment, grace=grace, timeout=self._timeout)
            self._opened = opened.pop_all()
        self._watch = _Watch(self._supervisor, lease, time.monotonic() + self._timeout + grace)
        self._drain_until = _NEVER
        self._poll = select.poll()
        self._poll.register(self._supervisor.control, select.POLLIN)
        self._poll.register(self._supervisor.output, select.POLLIN)
        self._printing = True

    @property
    def supervisor_pid(self) -> int:
        """The id of the supervisor."""
        return self._supervisor.pid

    @property
    def asked_to_end(self) -> bool:
        """Whether it was cancelled or killed."""
        return self._asked

    def follow(self, seconds: float | None = None) -> Ending | None:
        """Pass on what is printed until the attempt has ended, or for so many seconds; return its ending if it has.

        Raises:
            OSError: The command could not be started.
        """
        until = _NEVER if seconds is None else time.monotonic() + seconds
        while self._ending is None:
            left = until - time.monotonic()
            self._pump(min(max(left, 0.0), _LOOK))
            self._look_after()
            if left <= 0:
                break
        return self._ending

    def cancel(self) -> None:
        """Ask all of it to end, and kill what is left after the grace; asking again changes nothing."""
        if not self._asked:
            self._asked = True
            self._end_within(self._grace, "cancel")

    def kill(self) -> None:
        """Kill all of it at once."""
        self._asked = True
        self._end_within(0.0, "kill")

    def close(self) -> None:
        """Cancel what still runs, wait until it has ended, and let go of it."""
        self._on_output = lambda chunk: None
        try:
            if self._ending is None and "failed" not in self._report:
                self.cancel()
                self.follow()
        except BaseException:
            self._supervisor.end()
            raise
        finally:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_within(self, seconds: float, word: str) -> None:
        self._watch.until(time.monotonic() + seconds)
        self._supervisor.say(word)

    def _pump(self, seconds: float) -> None:
        """Take what is printed, or wait for it or for a word of the supervisor."""
        for descriptor, _ in self._poll.poll(seconds * 1000):
            if descriptor == self._supervisor.output.fileno():
                self._take_output()
        if not self._gone:
            self._listen()  # even if there was nothing before: the worker may have been stopped at any point

    def _take_output(self) -> None:
        chunk = os.read(self._supervisor.output.fileno(), _CHUNK)
        if not chunk:
            self._poll.unregister(self._supervisor.output)
            self._printing = False
        elif not self._problem:
            try:
                kept = self._log.write(chunk)
            except OSError as error:
                self._problem = f"the log could not be written ({error.strerror})"
                self._end_within(self._grace, "cancel")
            else:
                if kept:
                    self._on_output(kept)

    def _listen(self) -> None:
        said = self._supervisor.hear()
        for report in said or ():
            self.pid = report.get("started", self.pid)
            self._report |= report
        if said is None:
            self._poll.unregister(self._supervisor.control)
            self._gone = True

    def _look_after(self) -> None:
        """Find out whether the attempt is over, and see to it when its supervisor does not."""
        if "failed" in self._report:
            number = self._report["failed"]
            raise OSError(number, os.strerror(number), self._program)
        if "ended" in self._report:
            if self._drain_until == _NEVER:
                self._drain_until = time.monotonic() + _DRAIN
                if not self._report["whole"]:
                    sweep(self.marker, spare=[self._supervisor.pid])
            if not self._printing or time.monotonic() >= self._drain_until:
                self._ending = self._reported()
        elif self._gone or self._watch.is_over():
            self._supervisor.end()
            self._report = {"ended": -signal.SIGKILL, "cause": "", "out_of_memory": False, "whole": True, "lost": True}

    def _reported(self) -> Ending:
        """Return the ending that the supervisor has reported, or that it owes."""
        cause, lost = self._report["cause"], "lost" in self._report
        timed_out = cause == "timed out" or (lost and self._watch.is_timed_out())
        lapsed = cause == "lapsed" or (lost and self._watch.is_lapsed())
        cancelled = self._asked and (lost or cause == "cancelled")
        if lost and not (timed_out or lapsed or cancelled):
            self._problem = self._problem or "the supervisor of the attempt was ended"
        return Ending(
            self._report["ended"],
            cancelled=cancelled,
            timed_out=self._timeout if timed_out else 0.0,
            lapsed=lapsed,
            out_of_memory=self._report["out_of_memory"],
            problem=self._problem,
        )


class _Watch:
    """What the worker looks after by itself, should the supervisor be stopped or stuck."""

    def __init__(self, supervisor: SupervisorProcess, lease: Lease | None, time_limit: float) -> None:
        self._supervisor = supervisor
        self._lease = lease
        self._timed_out_at = self._over_at = time_limit
        self._look_at = time.monotonic() + _LOOK
        self._was_stopped = False

    def until(self, moment: float) -> None:
        """Expect the end of the attempt at a moment."""
        self._over_at = min(self._over_at, moment)

    def is_over(self) -> bool:
        """Tell whether the supervisor owes its report, or was stopped by someone for longer than a moment."""
        now = time.monotonic()
        if now >= self._over_at + _PATIENCE or self.is_lapsed():
            return True
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK
        was_stopped, self._was_stopped = self._was_stopped, self._supervisor.is_stopped()
        return was_stopped and self._was_stopped

    def is_timed_out(self) -> bool:
        """Tell whether the time limit and its grace are over."""
        return time.monotonic() >= self._timed_out_at

    def is_lapsed(self) -> bool:
        """Tell whether the lease is as good as over, later than the supervisor should have acted."""
        return self._lease is not None and self._lease.left() <= self._lease.margin / 2
