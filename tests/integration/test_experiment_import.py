"""Past versions as live objects, from real snapshots: two or twenty at once, with nothing checked out."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dioptra.errors import GitError, NotFoundError, RefusedError, SnapshotNotFoundError
from dioptra.experiment import Experiment, Library, Snapshot
from tests.integration.repositories import fingerprint, git, repository, write
from tests.live_task import Process

SCRIPT = """
import helper
from models import net
from tests.live_task import Task


class Digits(Task):
    def describe(self):
        from models.late import when

        return f"{helper.NAME} {net.Net().size} {when()}"

    def data(self):
        from importlib import resources

        return (resources.files("models") / "weights.bin").read_bytes()


Digits().main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return repository(tmp_path / "project", version(1))


@pytest.fixture
def experiment(tmp_path: Path, folder: Path) -> Experiment:
    made = Library(tmp_path / "library").add_experiment("digits")
    made.link_local_repo(folder)
    return made


def version(number: int) -> Mapping[str, str | bytes]:
    return {
        "train.py": SCRIPT,
        "helper.py": f"NAME = 'version {number}'\n",
        "models/__init__.py": "",
        "models/net.py": f"from . import sizes\nclass Net:\n    size = sizes.SIZE + {number}\n",
        "models/sizes.py": f"SIZE = {number * 10}\n",
        "models/late.py": f"def when():\n    return 'late {number}'\n",
        "models/weights.bin": bytes([number, 0, 255, 13, 10]),
    }


def keep(experiment: Experiment, folder: Path, files: Mapping[str, str | bytes] | None = None) -> Snapshot:
    write(folder, files)
    return experiment.make_snapshot(script="train.py", conditions=dict)


def test_two_versions_live_side_by_side(experiment: Experiment, folder: Path) -> None:
    kept = [keep(experiment, folder, version(number)) for number in (1, 2)]
    write(folder, version(3))
    on_disk, before = fingerprint(folder), Process()

    tasks = [experiment.import_snapshot(kept[0]), experiment.import_snapshot(kept[1].uid)]

    for number, task in ((1, tasks[0]), (2, tasks[1]), (1, tasks[0])):
        assert task.describe() == f"version {number} {number * 11} late {number}"
        assert task.data() == bytes([number, 0, 255, 13, 10])
    assert before.is_as_before()
    assert fingerprint(folder) == on_disk


def test_the_present_project_may_be_imported_too(
    experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = keep(experiment, folder)
    write(folder, version(2))
    monkeypatch.syspath_prepend(str(folder))
    import helper  # type: ignore[import-not-found]
    import models.net  # type: ignore[import-not-found]

    task = experiment.import_snapshot(old)

    try:
        assert task.describe() == "version 1 11 late 1"
        assert (helper.NAME, models.net.Net.size) == ("version 2", 22)
        assert sys.modules["helper"] is helper
    finally:
        for name in ("helper", "models", "models.net", "models.sizes"):
            del sys.modules[name]


def test_a_version_keeps_what_the_project_has_lost(experiment: Experiment, folder: Path) -> None:
    old = keep(experiment, folder)
    for name in ("helper.py", "models/net.py", "models/sizes.py", "train.py"):
        (folder / name).unlink()
    new = keep(experiment, folder, {"train.py": "from tests.live_task import Task\nimport helper\nTask().main()\n"})

    assert experiment.import_snapshot(old).describe() == "version 1 11 late 1"
    with pytest.raises(RefusedError, match="No module named 'helper'") as caught:
        experiment.import_snapshot(new)
    assert str(caught.value).startswith(f"train.py line 2: snapshot {new.name} cannot be imported")


def test_nothing_is_written_and_the_project_need_not_be_there(experiment: Experiment, folder: Path) -> None:
    old = keep(experiment, folder)
    folder.rename(folder.with_name("elsewhere"))
    before = fingerprint(experiment.path)

    task = experiment.import_snapshot(old)

    assert task.describe() == "version 1 11 late 1"
    assert fingerprint(experiment.path) == before
    assert not Path(type(task).describe.__globals__["__file__"]).exists()


def test_modules_that_run_later_need_no_store(experiment: Experiment, folder: Path) -> None:
    task = experiment.import_snapshot(keep(experiment, folder))
    experiment.path.rename(experiment.path.with_name("away"))

    assert task.describe() == "version 1 11 late 1"
    with pytest.raises((RefusedError, GitError)):
        task.data()


def test_each_import_is_a_task_of_its_own(experiment: Experiment, folder: Path) -> None:
    old = keep(experiment, folder)

    one, two = experiment.import_snapshot(old), experiment.import_snapshot("last")

    assert one is not two
    assert type(one) is not type(two)
    assert one.describe() == two.describe()


def test_links_of_a_project(experiment: Experiment, folder: Path) -> None:
    for name in ("helper.py", "models"):
        (folder / name).rename(folder / f"real-{name}")
        (folder / name).symlink_to(f"real-{name}")

    assert experiment.import_snapshot(keep(experiment, folder)).describe() == "version 1 11 late 1"


def test_names_beyond_ascii(experiment: Experiment, folder: Path) -> None:
    code = "import größe\nfrom tests.live_task import Task\nclass T(Task):\n    value = größe.WERT\nT().main()\n"
    old = keep(
        experiment, folder, {"train.py": code, "größe.py": "# coding: latin-1\nWERT = '\xe9'\n".encode("latin-1")}
    )

    assert experiment.import_snapshot(old).value == "é"


@pytest.mark.parametrize("same", [True, False])
def test_twenty_threads(experiment: Experiment, folder: Path, same: bool) -> None:
    numbers = [1] * 20 if same else [1 + number % 4 for number in range(20)]
    kept = {number: keep(experiment, folder, version(number)) for number in sorted(set(numbers))}
    write(folder, version(9))
    broken = keep(experiment, folder, {"models/sizes.py": "1 / 0\n"})
    together, before = threading.Barrier(24), Process()

    def describe(number: int) -> str:
        together.wait(30)
        if number == 0:
            with pytest.raises(RefusedError, match=r"^models/sizes.py line 1: .*ZeroDivisionError"):
                experiment.import_snapshot(broken)
            return ""
        task = experiment.import_snapshot(kept[number])
        return f"{task.describe()} {task.data()[0]}"

    with ThreadPoolExecutor(24) as pool:
        said = list(pool.map(describe, [*numbers, *[0] * 4], timeout=120))

    assert said[:20] == [f"version {number} {number * 11} late {number} {number}" for number in numbers]
    assert before.is_as_before()


def test_a_script_that_the_snapshot_does_not_hold(experiment: Experiment, folder: Path) -> None:
    kept = experiment.make_snapshot(script="gone.py", conditions=dict)
    unnamed = experiment.make_snapshot(conditions=dict)

    with pytest.raises(NotFoundError, match=f"snapshot {kept.name} does not hold its script 'gone.py'"):
        experiment.import_snapshot(kept)
    with pytest.raises(RefusedError, match=f"snapshot {unnamed.name} .* without naming a script"):
        experiment.import_snapshot(unnamed)


def test_snapshots_that_are_not_the_experiments(experiment: Experiment, folder: Path, tmp_path: Path) -> None:
    other = Library(tmp_path / "library").add_experiment("other")
    other.link_local_repo(folder)
    kept = keep(other, folder)

    with pytest.raises(SnapshotNotFoundError, match=f"snapshot {kept.name} is not in '{experiment.path}'"):
        experiment.import_snapshot(kept)
    with pytest.raises(SnapshotNotFoundError, match="no snapshot 'nothing'"):
        experiment.import_snapshot("nothing")


@pytest.mark.parametrize("harm", ["a blob", "the commit", "an option"])
def test_a_store_that_is_damaged(experiment: Experiment, folder: Path, harm: str) -> None:
    kept = keep(experiment, folder, {"helper.py": "NAME = 'not in any pack yet'\n"})
    match harm:
        case "a blob":
            oid = git(experiment.code.git_dir, "rev-parse", f"{kept.commit}:helper.py")
            objects = experiment.code.git_dir / "objects"
            for found in [*objects.glob("pack/*"), *objects.glob(f"{oid[:2]}/{oid[2:]}")]:
                found.unlink()
        case "the commit":
            git(experiment.code.git_dir, "update-ref", "-d", f"refs/code/{kept.tree}")
            next((experiment.code.git_dir / "objects" / kept.commit[:2]).iterdir()).unlink()
        case "an option":
            record = kept.folder / "snapshot.json"
            record.write_text(record.read_text().replace(kept.commit, "--name-only"))
            kept = Snapshot.load(kept.folder)
    before = Process()

    said = {"a blob": "helper.py.*is missing", "the commit": "git ls-tree", "an option": "is not the name of a commit"}
    with pytest.raises(GitError, match=said[harm]):
        experiment.import_snapshot(kept)
    assert before.is_as_before()


def test_what_the_project_says_to_git_is_not_obeyed(experiment: Experiment, folder: Path, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    attributes = "*.py filter=evil diff=evil text eol=crlf working-tree-encoding=UTF-16\n*.bin export-ignore\n"
    kept = keep(experiment, folder, {".gitattributes": attributes, ".gitmodules": '[submodule "x"]\n\tpath = x\n'})
    for key in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor", "core.sshCommand"):
        git(folder, "config", key, f"touch {harm}; cat")

    task = experiment.import_snapshot(kept)

    assert task.describe() == "version 1 11 late 1"
    assert task.data() == bytes([1, 0, 255, 13, 10])
    assert not harm.exists()


def test_source_of_many_tasks_is_kept_once_and_then_freed(experiment: Experiment, folder: Path) -> None:
    from dioptra.experiment import _live_files

    kept = keep(experiment, folder)
    tasks: list[Any] = [experiment.import_snapshot(kept) for _ in range(3)]
    ours = [key for key in _live_files._ALIVE if key[0] == str(kept.folder)]
    assert len(ours) == 1

    del tasks
    gc.collect()
    assert not [key for key in _live_files._ALIVE if key[0] == str(kept.folder)]


def test_a_past_version_in_a_program_of_ones_own(experiment: Experiment, folder: Path) -> None:
    kept = [keep(experiment, folder, version(number)).uid for number in (1, 2)]
    write(folder, version(3))
    program = f"""
import helper, sys
from dioptra.experiment import Library

experiment = Library({str(experiment.path.parent)!r}).get_experiment("digits")
tasks = [experiment.import_snapshot(uid) for uid in {kept!r}]
print([task.describe() for task in tasks], helper.NAME, [name for name in sys.modules if "snapshot_" in name])
"""
    write(folder, {"program.py": program})
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={"PYTHONPATH": f"{root}:{root / 'src'}", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "['version 1 11 late 1', 'version 2 22 late 2'] version 3 []\n", done.stderr
