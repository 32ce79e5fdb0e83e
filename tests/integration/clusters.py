"""Dask clusters for tests: a real scheduler and real workers, each a process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src"


class Cluster:
    """A scheduler, and workers that run one task at a time and lie in a folder of their own."""

    def __init__(self, folder: Path, tls: Sequence[str] = ()) -> None:
        self.folder = folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._tls = tls
        file = folder / "scheduler.json"
        scheme = "tls" if tls else "tcp"
        place = ["--host", f"{scheme}://127.0.0.1:0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        self.scheduler = self._start("scheduler", *place, "--scheduler-file", str(file))
        self.address = str(self._read(file)["address"])

    def add_worker(self, name: str, resources: Mapping[str, float] | None = None, threads: int = 1) -> int:
        """Start a worker, and return its process id."""
        asked = [f"{key}={amount}" for key, amount in (resources or {}).items()]
        self.workers[name] = self._start(
            *("worker", self.address, "--no-nanny", "--nthreads", str(threads), "--name", name, "--no-dashboard"),
            *("--local-directory", str(self.folder / "scratch"), "--host", "127.0.0.1"),
            *(["--resources", " ".join(asked)] if asked else []),
        )
        return self.workers[name].pid

    def log(self, name: str) -> str:
        """Return what a process has printed."""
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        for process in [*self.workers.values(), self.scheduler]:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _start(self, kind: str, *argv: str) -> subprocess.Popen[bytes]:
        name = argv[argv.index("--name") + 1] if "--name" in argv else kind
        elsewhere = self.folder / "elsewhere"  # nothing of the script's is there
        elsewhere.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DIOPTRA_", "MLFLOW_"))}
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *argv, *self._tls],
                cwd=elsewhere,
                env=kept | {"PYTHONPATH": str(SOURCES)},
                stdout=log,
                stderr=log,
            )

    def _read(self, file: Path) -> dict[str, object]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                found: dict[str, object] = json.loads(file.read_text())
            except (OSError, ValueError):
                time.sleep(0.05)
            else:
                return found
        raise TimeoutError(self.log("scheduler"))


def wait_for(file: Path, seconds: float = 60) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} never came"
        time.sleep(0.02)
