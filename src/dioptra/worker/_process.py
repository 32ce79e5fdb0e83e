"""One process group: started, followed, and ended with all that is left of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ending", "run_command"]

_TICK = 0.05  # seconds between two looks at what no file descriptor tells
_DRAIN = 1.0  # seconds for what others in the group still print once the command itself has ended
_CHUNK = 65_536


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    exit_code: int  # negative: the number of the signal that ended it
    cancelled: bool

    @property
    def reason(self) -> str:
        """Say why the command did not end well; nothing when it did."""
        if self.cancelled:
            return "cancelled"
        if self.exit_code < 0:
            return f"ended by {_signal_name(-self.exit_code)}"
        return f"exit code {self.exit_code}" if self.exit_code else ""


def run_command(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log_file: Path,
    on_output: Callable[[bytes], object],
    cancel: threading.Event | None = None,
    grace: float = 10.0,
) -> Ending:
    """Run a command in a session of its own until it has ended, and end whatever it leaves behind.

    What it prints, to either stream, goes to the log file and to `on_output` in the order printed. A
    `KeyboardInterrupt` or a set `cancel` ends it: TERM, after `grace` seconds KILL; a second interrupt kills at once.

    Raises:
        OSError: The command cannot be started.
    """
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )
    with process, log_file.open("ab", buffering=0) as log:
        group = _Group(process, grace)
        try:
            return group.follow(log.write, on_output, cancel or threading.Event())
        finally:
            group.end_rest()


class _Group:
    """A process and its group."""

    def __init__(self, process: subprocess.Popen[bytes], grace: float) -> None:
        self._process = process
        self._grace = grace
        self._kill_at: float | None = None  # set once the group was asked to end
        self._drain_until: float | None = None  # set once the command itself has ended

    def follow(
        self, write: Callable[[bytes], object], on_output: Callable[[bytes], object], cancel: threading.Event
    ) -> Ending:
        """Pass on what the command prints until it has ended."""
        while True:
            try:
                self._pump(write, on_output, cancel)
                return Ending(self._process.wait(), cancelled=self._kill_at is not None)
            except KeyboardInterrupt:
                self._end(at_once=self._kill_at is not None)

    def end_rest(self) -> None:
        """End what the command left behind in its group: TERM, then KILL."""
        deadline = time.monotonic() + self._grace
        alive = self._signal(signal.SIGTERM)
        while alive and time.monotonic() < deadline:
            self._exited()
            alive = self._signal(0)
            time.sleep(_TICK if alive else 0)
        if alive:
            self._signal(signal.SIGKILL)

    def _pump(
        self, write: Callable[[bytes], object], on_output: Callable[[bytes], object], cancel: threading.Event
    ) -> None:
        printing = True
        while printing or not self._exited():
            if printing:
                printing = self._pass_on(write, on_output)
            else:
                self._pause()
            if cancel.is_set() or self._kill_at is not None:
                self._end()

    def _pass_on(self, write: Callable[[bytes], object], on_output: Callable[[bytes], object]) -> bool:
        """Pass on what was printed; tell whether to look for more: not at the end, nor long after the command's."""
        exited = self._exited()
        chunk = self._read()
        if chunk:
            write(chunk)
            on_output(chunk)
        if not exited:
            return chunk != b""
        self._drain_until = self._drain_until or time.monotonic() + _DRAIN
        return bool(chunk) and time.monotonic() < self._drain_until

    def _read(self) -> bytes | None:
        """Return what was printed, b"" at the end of the output, None when there is nothing now."""
        output = self._process.stdout
        if output is None or not select.select([output], [], [], _TICK)[0]:
            return None
        return os.read(output.fileno(), _CHUNK)

    def _pause(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TICK)

    def _end(self, *, at_once: bool = False) -> None:
        """Ask the group to end; kill it when it was asked and the time is over."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace
            self._signal(signal.SIGTERM)
        elif at_once or time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)

    def _exited(self) -> bool:
        return self._process.poll() is not None

    def _signal(self, number: int) -> bool:
        """Send a signal to the group; tell whether there was anyone to take it."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
