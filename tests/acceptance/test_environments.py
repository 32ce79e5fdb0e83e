"""Environments for peers are made once, also when two processes ask, and again when the first attempt broke off."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.environments import python_with

pytestmark = pytest.mark.own_environment


def test_one_is_made_for_all_who_ask(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(python_with, [(), ()], [tmp_path / "envs"] * 2)
    assert first == second
    subprocess.run([first, "-c", "import sys; assert sys.prefix != sys.base_prefix"], check=True)
    made = (complete := first.parents[1] / "complete").stat().st_mtime_ns
    python_with((), tmp_path / "envs")
    assert complete.stat().st_mtime_ns == made
    complete.unlink()
    first.unlink()
    subprocess.run([python_with((), tmp_path / "envs"), "-c", "pass"], check=True)


def test_what_pip_says_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        python_with(("no/such/folder",), tmp_path / "envs")
    assert "no/such/folder" in "".join(caught.value.__notes__)
