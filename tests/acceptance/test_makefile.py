"""`make` on a machine that lacks something says what, in one sentence, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def fake_python(folder: Path, script: str) -> Path:
    program = folder / "python-fake"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


OLD = 'case "$*" in *version_info*) exit 1;; --version) echo "Python 3.9.2";; esac'
NO_VENV = f'case "$*" in *venv*) exit 1;; *) exec {sys.executable} "$@";; esac'


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (OLD, "Python 3.11 or newer is needed; {python} is Python 3.9.2"),
        (NO_VENV, "{python} has no venv module; on Debian and Ubuntu: apt-get install python3-venv"),
    ],
)
@pytest.mark.parametrize("target", ["demo", "test", "test-all", "lint", "bench"])
def test_what_is_missing_is_said(tmp_path: Path, target: str, script: str, sentence: str) -> None:
    python = fake_python(tmp_path, script)

    done = make(target, f"PYTHON={python}", f"VENV={tmp_path / 'env'}")

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == sentence.format(python=python)
    assert not (tmp_path / "env").exists()


def test_no_python_at_all(tmp_path: Path) -> None:
    done = make("demo", "PYTHON=", f"VENV={tmp_path / 'env'}")

    assert done.returncode == 2
    assert done.stderr.startswith("Python 3.11 or newer is needed and was not found; name one: make demo PYTHON=")


def test_help_names_every_target() -> None:
    targets = [line.split()[1] for line in make("help").stdout.splitlines()]

    assert targets == ["help", "demo", "test", "test-all", "coverage", "lint", "format", "bench", "clean"]
