"""The supervisor of an attempt, seen from the worker: started, spoken to, and ended when it does not answer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dioptra.worker._descendants import ATTEMPT_VARIABLE, sweep
from dioptra.worker._lease import Lease
from dioptra.worker._supervisor import descendant_groups, read

__all__ = ["SupervisorProcess"]

_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); import _supervisor; _supervisor.main()"
_FLAGS = ["-I", "-S", "-E", "-X", "utf8"]
_PIPE = 1_048_576  # bytes that may be printed while the worker is at something else
_EXIT = 5.0  # seconds for its exit after its last word


class SupervisorProcess:
    """The process, the socket to it, and the pipe with what its attempt prints."""

    def __init__(self, marker: str, lease: Lease | None = None) -> None:
        """Start the process: it becomes ready while the attempt is prepared, and waits for `start`.

        Args:
            marker: `<job id>/<number>` of the attempt.
            lease: How long it may go on unless this is renewed.

        Raises:
            OSError: It cannot be started.
        """
        self._marker = marker
        self._heard = b""
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as handed_over:
            self.control, theirs = socket.socketpair()
            opened.callback(self.control.close)
            handed_over.callback(theirs.close)
            self.control.setblocking(False)
            output, printed = os.pipe()
            self.output = opened.enter_context(open(output, "rb", buffering=0))  # noqa: PTH123 - a descriptor
            handed_over.callback(os.close, printed)
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE)
            self._entry = opened.enter_context(tempfile.TemporaryFile(buffering=0))
            if lease is not None:
                lease.tell(self.renew)  # it lies there when the supervisor starts
            descriptors = theirs.fileno(), self._entry.fileno()
            self._process = subprocess.Popen(
                [sys.executable, *_FLAGS, "-c", _PROGRAM, str(Path(__file__).parent), *map(str, descriptors)],
                env={**_environment(), ATTEMPT_VARIABLE: marker},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=descriptors,
                start_new_session=True,
            )
            self._opened = opened.pop_all()

    def start(
        self, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], grace: float, timeout: float
    ) -> None:
        """Start the entry point; see `Supervised`."""
        values = [f"{name}={value}" for name, value in {**environment, ATTEMPT_VARIABLE: self._marker}.items()]
        self._entry.write(b"\0".join(map(os.fsencode, [str(cwd), str(len(argv)), *argv, *values])))
        self.say(f"start {grace!r} {timeout!r}")

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def renew(self, seconds: float, since: float) -> None:
        """Pass a lease on, counted from a moment of the clock that all processes of a machine share."""
        self.say(f"lease {seconds!r} {since!r}")

    def say(self, line: str) -> None:
        """Say a line to the supervisor. One that does not listen any more is noticed elsewhere."""
        with contextlib.suppress(OSError):
            self.control.send(line.encode() + b"\n")

    def hear(self) -> list[dict[str, Any]] | None:
        """Return what the supervisor has said, None when it is gone and will say no more."""
        try:
            heard = self.control.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            return None
        *lines, self._heard = (self._heard + heard).split(b"\n")
        return [json.loads(line) for line in lines] if heard else None

    def is_stopped(self) -> bool:
        """Tell whether a signal has stopped the process."""
        return read(f"/proc/{self.pid}/stat").rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])

    def end(self) -> None:
        """End it and all of its attempt at once, from outside."""
        if self._process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                for group in descendant_groups(self.pid):
                    with contextlib.suppress(OSError):
                        os.killpg(group, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        sweep(self._marker)

    def close(self) -> None:
        """Let go of a supervisor that has said its last word."""
        ends = select.poll()
        ends.register(self.control, select.POLLHUP)
        if ends.poll(_EXIT * 1000):
            self._process.wait()
        else:
            self.end()
        self._opened.close()

    def abandon(self) -> None:
        """Let go of a supervisor that was told to start nothing."""
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)
        self.close()


def _environment() -> dict[str, str]:
    """Return what the interpreter may need for its own start."""
    return {name: value for name, value in os.environ.items() if name.startswith(("LD_", "DYLD_"))}
