"""A home of its own with the real command line, for modules whose tests share jobs: a job costs more than a second."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dioptra.records import Job
from dioptra.testbed import Testbed
from tests.conftest import Spoken, clean_environment


@dataclass(frozen=True)
class Workbench:
    """A home, and a folder for projects."""

    home: Path
    folder: Path
    _jobs: dict[object, Job] = field(default_factory=dict)

    @property
    def testbed(self) -> Testbed:
        """The same home, seen from Python."""
        return Testbed(self.home)

    def environment(self, **more: str) -> dict[str, str]:
        """Return what the command runs with."""
        return clean_environment(**{"DIOPTRA_HOME": str(self.home)} | more)

    def dioptra(self, *args: str, cwd: Path | None = None, **environment: str) -> Spoken:
        """Run the real command to its end, in a process of its own."""
        process = self.start(*args, cwd=cwd, **environment)
        out, err = process.communicate(timeout=120)
        return Spoken(process.returncode, out, err)

    def start(self, *args: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        """Start the real command."""
        return subprocess.Popen(
            [sys.executable, "-m", "dioptra", *args],
            cwd=cwd or self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def in_terminal(self, *args: str, columns: int = 160) -> str:
        """Run the real command with a terminal as its stdout, and return what it wrote there."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "dioptra", *args],
            cwd=self.folder,
            env=self.environment(COLUMNS=str(columns), TERM="xterm"),
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        written = b"".join(iter(lambda: _read(master), b""))
        os.close(master)
        assert process.wait(60) == 0, written
        return written.decode().replace("\r\n", "\n")

    def project(self, name: str, **files: str) -> Path:
        """Make a project, or write some files of one anew; `MLproject=` and `toy_py=` name `MLproject` and `toy.py`."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for stem, text in files.items():
            (folder / stem.replace("_", ".")).write_text(text, encoding="utf-8")
        return folder

    def run(self, project: Path, entry_point: str = "main", experiment: str | None = None, **values: str) -> Job:
        """Run a real job from this process, which has imported MLflow already."""
        return self.testbed.run(project, entry_point, values, experiment=experiment)

    def job(self, project: Path, entry_point: str = "main", **values: str) -> Job:
        """Return a job that tests share; it is run for the first of them."""
        key = project, entry_point, frozenset(values.items())
        if key not in self._jobs:
            self._jobs[key] = self.run(project, entry_point, **values)
        return self._jobs[key]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@contextmanager
def own_environment() -> Iterator[None]:
    """Leave out of this process's environment what would lead the fixture of a module out of its own folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("DIOPTRA_", "MLFLOW_")):
                patch.delenv(name)
        yield


def wait_for(file: Path, seconds: float = 60) -> str:
    """Return what a process writes into a file, once it has."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if file.exists() and (content := file.read_text()):
            return content
        time.sleep(0.02)
    raise TimeoutError(f"nothing came into {file}")


def is_gone(pid: int, seconds: float = 5) -> bool:
    """Tell whether a process ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False
