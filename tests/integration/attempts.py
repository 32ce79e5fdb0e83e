"""Attempts for tests: code that is hard to end, workers that can be killed, and a count of what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parents[2] / "src"

# what an entry point does: each prints "ready" once it is at it
STUBBORN = {
    "ignores TERM": """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(60)
    """,
    "has grandchildren": """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sleep = "import time; print('ready', flush=True); time.sleep(60)"
        code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}], process_group=0).wait()"
        subprocess.Popen([sys.executable, "-c", code]).wait()
    """,
    "daemonizes": """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            os.closerange(0, 3)
            time.sleep(60)
        os.wait()
        print("ready", flush=True)
        time.sleep(60)
    """,
    "forks one after the other": """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        if os.fork() == 0:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                if os.fork() != 0:
                    os._exit(0)
                os.setsid()
            os._exit(0)
        time.sleep(60)
    """,
    "forks many": """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        for n in range(400):
            if os.fork() == 0:
                time.sleep(60)
            time.sleep(0.002)
        time.sleep(60)
    """,
    "closes its descriptors": """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        os.closerange(0, 256)
        time.sleep(60)
    """,
    "prints without end": """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            print("x" * 1000)
    """,
}

_WORKER = """
    import json, os, sys, time
    from pathlib import Path
    from dioptra.worker import Lease, Supervised

    given = json.loads(sys.argv[1])
    now = time.monotonic()
    lease = Lease(given["lease"], since=now) if given.get("lease") else None
    print(now, flush=True)
    output = bytearray()
    with Supervised(
        [sys.executable, "-c", given["code"]],
        cwd=Path(given["folder"]),
        environment=dict(os.environ),
        log_file=Path(given["folder"], "log.txt"),
        on_output=output.extend,
        grace=given.get("grace", 0.3),
        marker=given["marker"],
        lease=lease,
    ) as attempt:
        print(attempt.supervisor_pid, flush=True)
        while attempt.pid is None:
            attempt.follow(0.01)
        print(attempt.pid, flush=True)
        end = None
        while end is None and b"ready" not in output:
            end = attempt.follow(0.01)
        print("ready", flush=True)
        print((end or attempt.follow()).reason, flush=True)
"""


class Worker:
    """A process that runs one attempt and can be killed."""

    def __init__(self, folder: Path, marker: str, code: str, **more: Any) -> None:
        given = {"folder": str(folder), "marker": marker, "code": textwrap.dedent(code)} | more
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_WORKER), json.dumps(given)],
            env=os.environ | {"PYTHONPATH": str(SOURCES)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.leased_at = float(self.line())  # of the clock that all processes share
        self.supervisor, self.child = int(self.line()), int(self.line())
        assert self.line() == "ready"

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        with self._process:
            self._process.kill()


def marked(marker: str) -> set[int]:
    """Return the living processes that carry a marker."""
    entry, found = f"DIOPTRA_ATTEMPT={marker}".encode(), set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if entry in file.read_bytes().split(b"\0"):
                found.add(int(file.parent.name))
        except OSError:
            continue
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_until(condition: Callable[[], bool], seconds: float = 8.0) -> bool:
    """Wait until something is so, and tell whether it is."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def clean_up(marker: str) -> None:
    """Kill what a failed test has left."""
    for _ in range(100):
        for pid in (left := marked(marker)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if not left:
            break
