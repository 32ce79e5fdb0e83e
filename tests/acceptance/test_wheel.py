"""What a user gets who has only the wheel: the command, the examples and the demonstration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import clean_environment

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.own_environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds nothing but the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    run = {"check": True, "cwd": folder, "env": clean_environment()}
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", str(ROOT)], **run)  # type: ignore[call-overload]
    subprocess.run([sys.executable, "-m", "venv", "env"], **run)  # type: ignore[call-overload]
    (wheel,) = (folder / "dist").iterdir()
    pip = [str(folder / "env/bin/python"), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, str(wheel)], **run)  # type: ignore[call-overload]
    return folder / "env" / "bin"


def test_the_demonstration_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environment = clean_environment(DIOPTRA_HOME=str(tmp_path / "home"), COLUMNS="100")
    (tmp_path / "empty").mkdir()

    done = subprocess.run(
        [str(installed / "dioptra"), "demo"],
        cwd=tmp_path / "empty",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    lines = [line for line in done.stdout.splitlines() if line.strip("│ ").startswith("0.")]
    assert [line.strip("│ ").split()[0] for line in lines] == ["0.05", "0.1", "0.15", "0.2", "0.25", "0.3"]
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["dioptra-demo.html"]
    assert "13 jobs in" in done.stdout


def test_the_example_can_be_copied_and_run(installed: Path, tmp_path: Path) -> None:
    def dioptra(*args: str) -> None:
        subprocess.run([str(installed / "dioptra"), *args], cwd=tmp_path, env=clean_environment(), check=True)

    dioptra("init", "mine", "--example", "digits")
    dioptra("run", "mine", "-e", "train", "--dry-run")

    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        ".dioptra",
        "MLproject",
        "README.md",
        "fgm.py",
        "infer.py",
        "train.py",
    ]
