"""Workers that start at once: real processes, forked from one that has imported all that a worker needs.

A worker may be given a point at which it kills itself: a method, and whether that is to be run first.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from dioptra.records import Job
from dioptra.testbed import Submission
from tests.acceptance.processes import is_alive, marked, parent, until
from tests.acceptance.workbench import Workbench
from tests.conftest import clean_environment

__all__ = ["BEAT", "LEASE", "Herd", "bench_of", "is_alive", "marked", "marks", "said", "submit", "until"]

LEASE, BEAT = 3.0, 0.3
_HERD = """
import importlib, json, os, signal, sys
import dioptra.testbed, dioptra.worker, dioptra.database._store, dioptra.database._queue, dioptra.database._workers
import mlflow.tracking, mlflow.store.tracking.sqlalchemy_store

def arm(module, owner, method, when):
    kind = getattr(importlib.import_module(module), owner)
    real = getattr(kind, method)
    def armed(*args, **options):
        found = None if when == "before" else real(*args, **options)
        if when == "before" or found is not None:
            os.write(1, b"killed here\\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    setattr(kind, method, armed)

def work(given):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out = os.open(given["out"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(out, 1), os.dup2(out, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(given["environment"], DIOPTRA_HOME=given["home"])
    if given["point"]:
        arm(*given["point"])
    say = lambda sentence: print(sentence, flush=True)
    testbed = dioptra.testbed.Testbed()
    testbed.worker(name=given["name"], lease=LEASE, beat=BEAT, poll=0.2, on_event=say).run()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(json.loads(line))
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    print(pid, flush=True)
""".replace("LEASE", str(LEASE)).replace("BEAT", str(BEAT))
_MLPROJECT = """\
name: toys
entry_points:
  main:
    parameters: {seconds: {type: float, default: 0.2}}
    command: python toy.py {seconds}
"""
# Says when it begins and when it ends, in one file of all jobs.
_TOY = """
import os, sys, time
def mark(word):
    file = os.open(os.path.join(os.environ["MARKS"], "marks"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(file, f"{os.environ['DIOPTRA_ATTEMPT']} {word}\\n".encode())
    os.close(file)
mark("begins")
time.sleep(float(sys.argv[1]))
mark("ends")
"""


class Herd:
    """The process that workers are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HERD],
            env=clean_environment(MLFLOW_DISABLE_TELEMETRY="true"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"
        self._started: list[int] = []

    def start(self, bench: Workbench, name: str, point: tuple[str, ...] = ()) -> int:
        """Start a worker, with this process's settings, and return its id; what it says is in `<name>.out`."""
        given = {
            "home": str(bench.home),
            "name": name,
            "point": point,
            "out": str(bench.folder / f"{name}.out"),
            "environment": {"MARKS": str(bench.folder), **_settings()},
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        self._started.append(int(self._line()))
        return self._started[-1]

    def kill(self, pid: int) -> None:
        """Kill a worker, if it is still one of the herd."""
        if is_alive(pid) and parent(pid) == self._process.pid:
            os.kill(pid, signal.SIGKILL)

    def end_workers(self) -> None:
        """Kill those that were started."""
        for pid in self._started:
            self.kill(pid)
        self._started.clear()

    def close(self) -> None:
        """End the process."""
        self.end_workers()
        with self._process:
            self._process.kill()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("DIOPTRA_", "MLFLOW_TRACKING"))}


def bench_of(home: Path, folder: Path, made_store: Path) -> Workbench:
    """Return a home with a project whose jobs say in `marks` when they begin and end."""
    home.mkdir(exist_ok=True)
    shutil.copy(made_store, home / "mlflow.db")
    made = Workbench(home, folder)
    made.project("toys", MLproject=_MLPROJECT, toy_py=_TOY)
    return made


def submit(bench: Workbench, seconds: float = 0.2, retries: int = 0) -> Job:
    """Submit a job that takes some seconds."""
    how = Submission(retries=retries)
    return bench.testbed.submit(bench.folder / "toys", parameters={"seconds": str(seconds)}, submission=how)


def said(bench: Workbench, name: str) -> str:
    """Return what a worker has said."""
    out = bench.folder / f"{name}.out"
    return out.read_text() if out.exists() else ""


def marks(bench: Workbench) -> dict[str, list[str]]:
    """Return what the attempts of each job have said, in the order of time, as `1 begins`."""
    found: dict[str, list[str]] = defaultdict(list)
    file = bench.folder / "marks"
    for line in file.read_text().splitlines() if file.exists() else ():
        job, _, word = line.partition("/")
        found[job].append(word)
    return found
