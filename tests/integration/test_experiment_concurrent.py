"""Many processes at one experiment: captures, edits, collections and kills, none of which harms another."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dioptra.experiment import Experiment, Library
from tests.integration.repositories import contents, fingerprint, git, repository, write

PROCESSES, CAPTURES = 8, 25
Start = Callable[..., "subprocess.Popen[str]"]

PRELUDE = """
import itertools, os, random, shutil, sys, time
from pathlib import Path
from dioptra.experiment import Experiment, Library

library, project, number = Library(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
random.seed(number)

def capture():
    return library.open_experiment("x").capture(project, conditions=dict)

print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def experiment(library: Library) -> Experiment:
    return library.open_experiment("x")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository large enough that its objects are packed, with a change that is not committed."""
    made = repository(tmp_path / "project", {f"d{n % 7}/f{n}.py": f"{n}\n" * 20 for n in range(250)})
    return write(made, {"d1/f1.py": "changed", "new": ""})


@pytest.fixture
def start(library: Library) -> Iterator[Start]:
    """Start a process that waits for a line; what still runs when the test ends is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(code: str, project: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, str(library.path), str(project), str(len(started))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        kill(process)
        process.communicate()


def kill(process: subprocess.Popen[str], *, with_children: bool = True) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL) if with_children else process.kill()


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Let processes begin at the same moment."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def well(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for the end of processes, which must be a good one, and return the lines that they printed."""
    lines = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert not err
        lines += out.splitlines()
    return lines


def check(experiment: Experiment, project: Path, tmp_path: Path) -> None:
    """Check that an experiment works: it captures what is there, gives back all that it has, and can be cleared up."""
    snapshot = experiment.capture(project, conditions=dict).snapshot
    fresh = Library(tmp_path / "fresh").open_experiment(f"x{time.monotonic_ns()}")
    assert snapshot.tree == fresh.capture(project, conditions=dict).snapshot.tree
    assert experiment.broken() == []
    experiment.collect()
    assert list((experiment.path / "index").iterdir()) == []
    assert experiment.capture(project, conditions=dict).snapshot == snapshot
    git(experiment.code.git_dir, "fsck", "--full", "--strict")
    for number, kept in enumerate(experiment.snapshots()[-5:]):
        experiment.lay_out(kept, tmp_path / f"check-{time.monotonic_ns()}-{number}")


MANY = f"""
for _ in range({CAPTURES}):
    captured = capture()
    print(captured.snapshot.name, captured.snapshot.tree, captured.repository["dirty"])
"""


def test_captures_of_an_unchanged_project_at_once_are_one_snapshot(
    start: Start, library: Library, project: Path, tmp_path: Path
) -> None:
    status = git(project, "status", "--porcelain")
    before = fingerprint(project)
    processes = [start(MANY, project) for _ in range(PROCESSES)]
    go(processes)
    lines = well(processes)

    assert fingerprint(project) == before
    assert git(project, "status", "--porcelain") == status
    (snapshot,) = library.get_experiment("x").snapshots()
    assert lines == [f"{snapshot.name} {snapshot.tree} True"] * (PROCESSES * CAPTURES)
    assert library.names() == ["x"]
    assert [path.name for path in library.path.iterdir()] == ["x"]
    check(library.get_experiment("x"), project, tmp_path)


WITH_LOOKS = """
for turn in range(8):
    snapshot = capture().snapshot
    if turn % 4 == 0:
        place = project.parent / f"out-{number}-{turn}"
        library.get_experiment("x").lay_out(snapshot, place)
        assert (place / "d0/f0.py").exists()
"""

EDITS = """
for turn in itertools.count():
    name = project / f"d{turn % 7}" / f"f{turn % 250}.py"
    folder = project / f"g{turn % 3}"
    match random.randrange(6):
        case 0 if name.is_file():
            name.write_text(f"{turn:06}" * 10)  # of the same size each time
        case 1:
            aside = project / "aside"
            aside.write_text(f"{turn}")
            aside.replace(name)
        case 2 if name.name != "f0.py":
            name.unlink(missing_ok=True)
        case 3 if folder.is_symlink() or not folder.is_dir():
            folder.unlink(missing_ok=True)
            folder.mkdir()
            (folder / "x").write_text("x")
        case 4 if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
            folder.symlink_to("d0") if turn % 2 else folder.write_text("x")
        case 5:
            (project / ".gitignore").write_text(random.choice(["g0\\n", "*.tmp\\n", "f7?.py\\n"]))
    time.sleep(0.001)
"""


def test_captures_while_files_are_edited(start: Start, experiment: Experiment, project: Path, tmp_path: Path) -> None:
    editor = start(EDITS, project)
    processes = [start(WITH_LOOKS, project) for _ in range(PROCESSES)]
    go([editor, *processes])
    well(processes)
    assert editor.poll() is None, editor.communicate()
    kill(editor)
    editor.wait()

    assert len(experiment.snapshots()) > PROCESSES
    check(experiment, project, tmp_path)


OF_ITS_OWN = """
project = project.parent / f"own-{number}"
project.mkdir()
for turn in range(10):
    (project / "a").write_text(f"{number} {turn}")
    snapshot = capture().snapshot
    place = project.parent / f"out-{number}-{turn}"
    library.get_experiment("x").lay_out(snapshot, place)
    assert (place / "a").read_text() == f"{number} {turn}"
    if turn % 2:
        library.get_experiment("x").remove(snapshot)
"""

COLLECTS = """
for _ in range(6):
    library.get_experiment("x").collect()
"""


def test_collections_while_others_capture(start: Start, experiment: Experiment, project: Path, tmp_path: Path) -> None:
    processes = [start(OF_ITS_OWN, project) for _ in range(4)] + [start(COLLECTS, project) for _ in range(2)]
    go(processes)
    well(processes)

    assert len(experiment.snapshots()) == 20
    experiment.collect()
    assert len(git(experiment.code.git_dir, "rev-list", "--all").split()) == 20
    check(experiment, project, tmp_path)


ENDLESS = """
for turn in itertools.count():
    (project / f"d{turn % 7}" / "of-this-process").write_text(f"{number} {turn}")
    if turn % 3 == 0:
        for n in range(150):
            (project / "d0" / f"many{n}").write_text(f"{number} {turn} {n}")
    capture()
    if turn % 5 == 4:
        library.get_experiment("x").collect()
"""


@pytest.mark.parametrize("with_children", [True, False])
def test_killed_processes_leave_an_experiment_that_works(
    start: Start, experiment: Experiment, project: Path, tmp_path: Path, with_children: bool
) -> None:
    moments = random.Random(with_children)  # noqa: S311 - not for secrets
    for _ in range(4):
        processes = [start(ENDLESS, project) for _ in range(3)]
        go(processes)
        for process in processes:
            time.sleep(moments.uniform(0.05, 0.4))
            kill(process, with_children=with_children)
        for process in processes:
            assert process.stderr is not None
            assert process.stderr.read() == ""
        experiment.capture(project, conditions=dict)

    check(experiment, project, tmp_path)


def test_what_a_killed_git_leaves_is_in_nobodys_way(experiment: Experiment, project: Path, tmp_path: Path) -> None:
    """Locks and packs that were not finished, as they lie there after a kill at the worst moment."""
    tree = experiment.capture(project, conditions=dict).snapshot.tree
    write(project, {"new": "2"})
    again = Library(tmp_path / "other").open_experiment("x").capture(project, conditions=dict).snapshot.tree
    packs = [pack.with_suffix(".keep").name for pack in experiment.code.git_dir.glob("objects/pack/*.pack")]
    left = [f"refs/code/{again}.lock", f"refs/code/{tree}.lock", "packed-refs.lock", "gc.pid", "HEAD.lock",
            "objects/pack/tmp_pack_x", "objects/ab/tmp_obj_x", *(f"objects/pack/{name}" for name in packs)]  # fmt: skip
    write(experiment.code.git_dir, dict.fromkeys(left, ""))
    write(experiment.path / "index", {"now-x/index": "", "now-x/index.lock": ""})

    assert experiment.capture(project, conditions=dict).snapshot.tree == again
    experiment.remove(experiment.snapshots()[0])
    check(experiment, project, tmp_path)
    assert not any((experiment.code.git_dir / name).exists() for name in left)
    assert set(contents(experiment.path / "snapshots")) == {f"{experiment.snapshots()[0].name}/snapshot.json"}
