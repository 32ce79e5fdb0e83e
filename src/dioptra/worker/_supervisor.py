"""The supervisor of one attempt: a small process between worker and entry point that outlives neither worker nor lease.

A bare interpreter (no site, nothing of dioptra) imports this file by its folder, so that it starts in about 10 ms.
It is the entry point's parent and the one to which daemonized descendants fall, and it ends all of them.

The worker starts it early, and makes the attempt ready meanwhile. It speaks to it in lines over a socket: `lease
<seconds> <since>`, `start <grace> <timeout>` once the entry point lies in the file that both share, `cancel`, `kill`;
the end of the file says that the worker is gone. It answers in lines of JSON: `started`, or `failed` with an error
number; at last `ended`.
"""

from __future__ import annotations

# `signal` would import `enum`, and `subprocess` much more: 4 and 14 ms for each attempt
import _signal as signal  # type: ignore[import-not-found]
import ctypes
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LEFT_BEHIND = 2.0  # seconds for what is still there when the entry point has ended by itself
_AGAIN = 0.02  # seconds between two kills of what does not die
_PASSES = 50  # looks for what was started meanwhile, before all that was found is killed
_LONGEST = 3600.0  # seconds of one wait
_NEVER = float("inf")


def main() -> None:
    """Supervise the attempt of the worker at the other end of a socket, with what it writes into a file."""
    supervisor = _Supervisor(*map(int, sys.argv[1:]))
    supervisor.run()
    os._exit(0)  # no time for a tidy interpreter: the worker waits


class _Supervisor:
    def __init__(self, control: int, entry: int) -> None:
        self._entry = entry
        os.set_inheritable(control, False)
        os.set_inheritable(entry, False)
        os.set_blocking(control, False)
        self._control = control
        self._heard = b""
        self._ready = False
        self._grace = 0.0
        self._timeout_at = _NEVER
        self._lapse_at = self._lease_kill_at = _NEVER
        self._kill_at = _NEVER
        self._cause = ""
        self._child = 0
        self._status: int | None = None
        self._reaper = read("/proc/self/stat") != b"" and prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._oom_kills = oom_kills()
        self._wake = _wake_at_signals()
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)

    def run(self) -> None:
        """Start the entry point when it is there, wait for it, end what it left behind, and tell the worker."""
        while not (self._ready or self._cause):
            self._wait()
            self._look_at_clock()
        if self._cause or self._start():
            while self._reap():
                self._look_at_clock()
                self._wait()
            self._report()

    def _start(self) -> bool:
        cwd, count, *words = [word.decode("utf-8", "surrogateescape") for word in _whole(self._entry).split(b"\0")]
        argv, environment = words[: int(count)], words[int(count) :]
        failed, tell_failure = os.pipe()
        parent = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            _become(cwd, argv, environment, parent, tell_failure)
        os.close(tell_failure)
        problem = os.read(failed, 16)  # its end is closed by a successful exec
        os.close(failed)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the second stays: a fault of this file shows in the log
        if problem:
            self._tell(failed=int(problem))
        else:
            self._tell(started=self._child)
        return not problem

    def _reap(self) -> bool:
        """Take the ends of children and of what fell to this process; tell whether anything is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return self._child != 0 and not self._reaper and self._signal(0, self._groups())
            if pid == 0:
                return True
            if pid == self._child:
                self._status = os.waitstatus_to_exitcode(status)

    def _wait(self) -> None:
        """Wait for a word of the worker, for the end of a child, or for the next moment to act."""
        until = min(self._killing_at(), self._lapse_at, self._timeout_at if self._kill_at == _NEVER else _NEVER)
        seconds = min(max(until - time.monotonic(), _AGAIN), _LONGEST)
        for descriptor, _ in self._poll.poll(seconds * 1000):
            if descriptor == self._control:
                self._listen()
            else:
                os.read(self._wake, 4096)

    def _listen(self) -> None:
        try:
            heard = os.read(self._control, 4096)
        except BlockingIOError:
            return
        except OSError:  # the worker left while words for it were on their way
            heard = b""
        if not heard:
            self._poll.unregister(self._control)
            self._end("orphaned", self._grace)
        *lines, self._heard = (self._heard + heard).split(b"\n")
        for line in lines:
            self._obey(*line.decode().split())

    def _obey(self, word: str, *values: str) -> None:
        if word == "lease" and self._cause != "lapsed":
            seconds, since = map(float, values)
            over_at = min(since, time.monotonic()) + seconds
            margin = min(1.0, seconds / 5)
            self._lapse_at = over_at - min(self._grace + margin, seconds / 2)
            self._lease_kill_at = over_at - margin
        elif word == "start":
            self._ready = True
            self._grace, timeout = map(float, values)
            self._timeout_at = time.monotonic() + timeout
        elif word == "cancel":
            self._end("cancelled", self._grace)
        elif word == "kill":
            self._end("cancelled", 0.0)

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if now >= self._lapse_at:
            self._lapse_at = _NEVER
            self._end("lapsed", self._grace)
        if now >= self._timeout_at and self._kill_at == _NEVER:
            self._end("timed out", self._grace)
        if self._status is not None and self._kill_at == _NEVER:
            self._end("", min(self._grace, _LEFT_BEHIND))
        if now >= self._killing_at():
            self._kill()

    def _killing_at(self) -> float:
        return min(self._kill_at, self._lease_kill_at)

    def _end(self, cause: str, grace: float) -> None:
        """Ask all to end, and note why and when they are killed; what is asked later can only hasten that."""
        first = self._kill_at == _NEVER
        self._kill_at = min(self._kill_at, time.monotonic() + grace)
        if first and self._status is None:
            self._cause = cause
        if first and grace:
            groups = set(self._groups())
            self._signal(signal.SIGTERM, groups)
            self._signal(signal.SIGCONT, groups)

    def _kill(self) -> None:
        """Kill all: stop them first, so that none starts another while the others die."""
        stopped: set[int] = set()
        for _ in range(_PASSES):
            before = len(stopped)
            for group in self._groups():
                if group not in stopped:
                    self._signal(signal.SIGSTOP, [group])
                    stopped.add(group)
            if len(stopped) == before:
                break
        self._signal(signal.SIGKILL, stopped)

    def _groups(self) -> Iterator[int]:
        """Find the process groups of what is to be ended: a signal to a group cannot be outrun by a fork."""
        if self._reaper:
            own = os.getpgid(0)
            yield from (group for group in descendant_groups(os.getpid()) if group != own)
        elif self._child:
            yield self._child

    def _signal(self, number: int, groups: Iterable[int]) -> bool:
        """Send a signal to groups; tell whether there was anyone to take it."""
        taken = False
        for group in groups:
            try:
                os.killpg(group, number)
                taken = True
            except OSError:  # gone, or of another user
                pass
        return taken

    def _report(self) -> None:
        status = -signal.SIGTERM if self._status is None else self._status
        killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        out_of_memory = killed and oom_kills() > self._oom_kills
        self._tell(ended=status, cause=self._cause, out_of_memory=out_of_memory, whole=self._reaper)

    def _tell(self, **values: int | str) -> None:
        """Tell the worker something, as one line of JSON; importing that takes longer than all of this."""
        entries = (
            f'"{name}": ' + (f'"{value}"' if isinstance(value, str) else str(value).lower())
            for name, value in values.items()
        )
        try:  # noqa: SIM105 - contextlib takes long to import, too
            os.write(self._control, ("{" + ", ".join(entries) + "}\n").encode())
        except OSError:  # the worker is gone
            pass


def _become(cwd: str, argv: list[str], environment: list[str], parent: int, tell_failure: int) -> None:
    """Become the entry point: in a session of its own, with plain signals, and dead when the supervisor is."""
    try:
        os.setsid()
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.chdir(cwd)
        values = dict(entry.split("=", 1) for entry in environment)
        os.execvpe(argv[0], argv, values | {"DIOPTRA_WORKER_PID": str(parent)})  # noqa: S606
    except OSError as error:
        os.write(tell_failure, b"%d" % (error.errno or 0))
    finally:
        os._exit(127)


def _whole(descriptor: int) -> bytes:
    """Return what a file holds that another process has written."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _wake_at_signals() -> int:
    """Return a descriptor that can be read once a child has ended; other signals end nothing here."""
    wake, written = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return wake


def prctl(option: int, value: int) -> bool:
    """Set an attribute of this process; tell whether the system could."""
    try:
        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (AttributeError, OSError):
        return False


def descendant_groups(root: int) -> Iterator[int]:
    """Find the process groups of all descendants of a process, each as soon as it is seen, the newest first."""
    known = {root}
    waiting: dict[int, list[tuple[int, int]]] = {}  # by a parent that was not seen yet
    for pid in processes():
        fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if not fields:
            continue
        parent, group = int(fields[1]), int(fields[2])
        if parent not in known:
            waiting.setdefault(parent, []).append((pid, group))
            continue
        found = [(pid, group)]
        while found:
            pid, group = found.pop()
            known.add(pid)
            found += waiting.pop(pid, [])
            yield group


def processes() -> Iterator[int]:
    """List the processes of this machine, the newest first."""
    return (int(name) for name in reversed(os.listdir("/proc")) if name.isdigit())  # noqa: PTH208 - pathlib is slow


def oom_kills(proc: str = "/proc", cgroups: str = "/sys/fs/cgroup") -> int:
    """Return how often the system has ended a process for want of memory: in our control group, else anywhere."""
    for line in read(f"{proc}/self/cgroup").decode(errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        file = {"": f"{path}/memory.events", "memory": f"/memory{path}/memory.oom_control"}.get(controllers)
        count = file and _counted(read(cgroups + file))
        if isinstance(count, int):
            return count
    return _counted(read(f"{proc}/vmstat")) or 0


def _counted(text: bytes) -> int | None:
    counts = [line.split()[1] for line in text.splitlines() if line.startswith(b"oom_kill ")]
    return int(counts[0]) if counts else None


def read(path: str) -> bytes:
    """Return what a file holds, nothing when it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        chunks = []
        while chunk := os.read(descriptor, 131_072):
            chunks.append(chunk)
        return b"".join(chunks)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
