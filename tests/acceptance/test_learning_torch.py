"""Torch tasks, in an environment that has torch: what torch_cases.py says, a training that is killed, the example."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dioptra.experiment import DataFolder
from tests.conftest import clean_environment
from tests.docs.blocks import Reader
from tests.environments import TORCH, python_with

pytestmark = pytest.mark.own_environment

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "digits_torch"
SLOW = """
import time
from digits import Digits, make_model


class Slow(Digits):
    epochs = 6

    def after_epoch(self, losses):
        time.sleep(0.2)


task = Slow(make_model)
task.main()
"""
UNDISTURBED = """
import sys
from pathlib import Path
from dioptra.experiment import DataFolder
from slow import task

task.snapshot = DataFolder(Path(sys.argv[1]))
task.train()
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter that has torch, and all that we have."""
    return python_with(TORCH, beside=True)


def environment(home: Path) -> dict[str, str]:
    # With one thread sums are the same each time, and two busy cores are no trouble.
    return clean_environment(DIOPTRA_HOME=str(home), OMP_NUM_THREADS="1")


def test_cases(python: Path, tmp_path: Path) -> None:
    cases = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/acceptance/torch_cases.py"]
    done = subprocess.run(
        cases,
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@contextmanager
def training(python: Path, project: Path, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [str(python), "slow.py", "train"]
    with subprocess.Popen(argv, cwd=project, env=environment(home), stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def snapshots(home: Path) -> list[Path]:
    return sorted((home / "experiments" / "project" / "snapshots").glob("*-*"))


def has_saved(home: Path, epochs: int) -> bool:
    return any(len(DataFolder(path).train_data.get("loss", [])) > epochs for path in snapshots(home))


def test_a_training_that_is_killed_goes_on_as_if_nothing_had_been(python: Path, tmp_path: Path) -> None:
    home, project, whole = tmp_path / "home", tmp_path / "project", tmp_path / "whole"
    shutil.copytree(EXAMPLE, project)
    whole.mkdir()
    (project / "slow.py").write_text(SLOW)
    (tmp_path / "undisturbed.py").write_text(UNDISTURBED)

    with training(python, project, home) as process:
        until = time.monotonic() + 120
        while not has_saved(home, 2):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    (snapshot,) = snapshots(home)
    assert (snapshot / "checkpoint.pt").exists()
    assert not (snapshot / "final.safetensors").exists()

    with training(python, project, home) as process:
        _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert b"epoch 6/6" in told
    assert b"epoch 1/6" not in told

    undisturbed = [str(python), str(tmp_path / "undisturbed.py"), str(whole)]
    subprocess.run(undisturbed, cwd=project, env=environment(home) | {"PYTHONPATH": str(project)}, check=True)
    assert snapshots(home) == [snapshot]
    killed, expected = DataFolder(snapshot), DataFolder(whole)
    assert len(killed.train_data["loss"]) == 6
    for kind in ("train_data", "val_data", "custom_data"):
        assert dict(getattr(killed, kind)) == dict(getattr(expected, kind))
    assert (snapshot / "final.safetensors").read_bytes() == (whole / "final.safetensors").read_bytes()
    assert not (snapshot / "checkpoint.pt").exists()


def test_the_example(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))  # the reader's HOME moves with its folder
    shutil.copytree(EXAMPLE, tmp_path / EXAMPLE.name)
    Reader(tmp_path, python).follow(EXAMPLE / "README.md")
