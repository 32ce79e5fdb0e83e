"""Jobs whose flows run in threads, and on a Dask cluster: they record the same, and can be cancelled."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dioptra.testbed import example_dir
from tests.acceptance.workbench import Workbench, is_gone, wait_for


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path / "home", tmp_path)


@pytest.mark.parametrize("executor", ["threads:2", "dask:2"])
def test_a_job_gives_what_it_gives_one_task_after_the_other(workbench: Workbench, executor: str) -> None:
    """The demonstration's training: it logs metrics, a model, and registers that."""
    argv = ("run", str(example_dir("digits")), "-e", "train", "-P", "seed=1")
    done = workbench.dioptra(*argv, DIOPTRA_EXECUTOR=executor)
    assert done.code == 0, done.err
    assert "distributed" not in done.out + done.err
    again = workbench.dioptra("snapshot", "verify", "last")
    assert again.code == 0, again.out + again.err
    assert "25 tasks the same" in again.out


PROJECT = """\
name: long
entry_points:
  main: {command: "python long.py {folder}", parameters: {folder: string}}
"""
LONG = """\
import os, sys, time
from pathlib import Path
from dioptra import Flow, task

def start(folder, name):
    Path(folder, name).write_text(str(os.getpid()))
    time.sleep(60)

with Flow("long") as flow:
    for name in "ab":
        task(start)(sys.argv[1], name)
flow.run()
"""


@pytest.mark.parametrize("executor", ["threads:2", "dask:2"])
def test_cancelling_a_job_ends_its_tasks(workbench: Workbench, tmp_path: Path, executor: str) -> None:
    project = workbench.project("project", MLproject=PROJECT, long_py=LONG)
    marks = tmp_path / "marks"
    marks.mkdir()
    process = workbench.start("run", str(project), "-P", f"folder={marks}", DIOPTRA_EXECUTOR=executor)
    found = {int(wait_for(marks / name)) for name in "ab"}

    process.send_signal(signal.SIGINT)

    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert all(map(is_gone, found))
    assert len(found) == (1 if executor == "threads:2" else 2)
