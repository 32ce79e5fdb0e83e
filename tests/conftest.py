"""Fixtures that every rung shares: projects, a home, and the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Spoken:
    """What the command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


Command = Callable[..., Spoken]

_MAKE_STORE = """
import sys
from pathlib import Path
from dioptra.tracking import Tracking
folder = Path(sys.argv[1])
Tracking(database=folder / "mlflow.db", artifacts=folder / "artifacts").count_experiments()
"""


def clean_environment(**additions: str) -> dict[str, str]:
    """Return this process's environment without what would lead a test out of its own folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DIOPTRA_", "MLFLOW_"))}
    return kept | {"COLUMNS": "160"} | additions


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("DIOPTRA_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for tests that only add to it: making MLflow's tables takes a second."""
    return tmp_path_factory.mktemp("shared") / "home"


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store with its tables, to be copied into new homes."""
    folder = tmp_path_factory.mktemp("store")
    done = subprocess.run(
        [sys.executable, "-c", _MAKE_STORE, str(folder)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "mlflow.db"


@pytest.fixture
def dioptra(shared_home: Path, tmp_path: Path) -> Command:
    """The real command, in a process of its own."""

    def call(*args: str, cwd: Path | None = None, home: Path | None = None, **environment: str) -> Spoken:
        done = subprocess.run(
            [sys.executable, "-m", "dioptra", *args],
            cwd=cwd or tmp_path,
            env=clean_environment(**{"DIOPTRA_HOME": str(home or shared_home)} | environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Spoken(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Make a project folder from the text of an MLproject file and of other files."""

    def make(mlproject: str, name: str = "project", **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "MLproject").write_text(mlproject, encoding="utf-8")
        for stem, text in files.items():
            (folder / f"{stem}.py").write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
