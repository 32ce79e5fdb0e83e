"""Libraries, experiments, and the ways to name a snapshot."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from pathlib import Path

import pytest

from dioptra.errors import (
    ExperimentNotFoundError,
    GitError,
    InvalidParameterError,
    RefusedError,
    SnapshotNotFoundError,
    UsageError,
)
from dioptra.experiment import Experiment, Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "train.py").write_text("print(0)\n")
    return made


@pytest.fixture
def experiment(library: Library, folder: Path) -> Experiment:
    made = library.add_experiment("digits")
    made.link_local_repo(folder)
    return made


def versions(experiment: Experiment, folder: Path, count: int) -> list[str]:
    names = []
    for number in range(count):
        (folder / "train.py").write_text(f"print({number})\n")
        names.append(experiment.make_snapshot(f"number {number}").name)
    return names


def test_the_default_place_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIOPTRA_HOME", str(tmp_path / "home"))

    assert Library().path == tmp_path / "home" / "experiments"
    assert not (tmp_path / "home").exists()


def test_adding_and_getting(library: Library) -> None:
    with pytest.raises(ExperimentNotFoundError, match="no experiment 'digits'"):
        library.get_experiment("digits")
    made = library.add_experiment("digits")

    assert library.names() == ["digits"]
    assert library.get_experiment("digits").path == made.path
    assert library.open_experiment("digits").path == made.path
    with pytest.raises(RefusedError, match="there is an experiment 'digits' already"):
        library.add_experiment("digits")
    with pytest.raises(ExperimentNotFoundError, match="did you mean 'digits'"):
        library.get_experiment("digit")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 101])
def test_names_that_cannot_be(library: Library, name: str) -> None:
    for verb in (library.add_experiment, library.get_experiment, library.open_experiment):
        with pytest.raises(InvalidParameterError):
            verb(name)


@pytest.mark.parametrize("harm", ["no record", "not json", "other name", "no code", "no snapshots", "a list"])
def test_a_broken_experiment_is_reported(library: Library, harm: str) -> None:
    library.add_experiment("good")
    path = library.add_experiment("bad").path
    match harm:
        case "no record":
            (path / "experiment.json").unlink()
        case "no code":
            shutil.rmtree(path / "code.git")
        case "no snapshots":
            (path / "snapshots").rmdir()
        case _:
            texts = {"not json": "{", "other name": '{"name": "x"}', "a list": "[]"}
            (path / "experiment.json").write_text(texts[harm])

    assert list(library.load_experiments()) == ["good"]
    assert list(library.broken()) == ["bad"]
    assert str(path) in library.broken()["bad"]
    with pytest.raises(RefusedError, match="is broken"):
        library.get_experiment("bad")


def test_a_snapshot_records_what_it_is(experiment: Experiment, folder: Path) -> None:
    made = experiment.make_snapshot("a first try", script="train.py")

    again = experiment.get_snapshot(made.name)
    assert again == made
    assert re.fullmatch(r"\d{8}-\d{6}-[a-z]{8}", made.name)
    assert made.name == f"{made.created_at:%Y%m%d-%H%M%S}-{made.uid}"
    assert (again.comment, again.script, again.project_dir) == ("a first try", "train.py", str(folder))
    assert again.repository is None
    assert again.conditions["environment"]["packages"]["click"]
    assert again.conditions["argv"]


def test_without_a_message_there_is_no_comment(experiment: Experiment) -> None:
    assert experiment.make_snapshot().comment == "(no comment)"


def test_each_way_to_name_a_snapshot(experiment: Experiment, folder: Path) -> None:
    names = versions(experiment, folder, 4)

    assert [snapshot.name for snapshot in experiment.snapshots()] == names
    for name in names:
        found = experiment.get_snapshot(name)
        assert experiment.get_snapshot(found.uid) == experiment.get_snapshot(found.uid[:5]) == found
        assert experiment.get_snapshot(found.commit) == experiment.get_snapshot(found.commit[:9]) == found
    assert experiment.get_snapshot("last").name == experiment.get_last_snapshot().name == names[3]
    assert experiment.get_snapshot("last~0").name == names[3]
    assert experiment.get_snapshot("last~3").name == names[0]


@pytest.mark.parametrize("address", ["last~4", "last~", "zzzzzzzzz", "", "../x", "*", "last~999999999", "0" * 41])
def test_addresses_that_mean_nothing(experiment: Experiment, folder: Path, address: str) -> None:
    versions(experiment, folder, 4)

    with pytest.raises(SnapshotNotFoundError, match=re.escape(f"no snapshot {address!r} in experiment 'digits'")):
        experiment.get_snapshot(address)


def test_an_ambiguous_address(experiment: Experiment, folder: Path) -> None:
    names = versions(experiment, folder, 2)

    with pytest.raises(UsageError, match="is ambiguous") as caught:
        experiment.get_snapshot("20")
    assert all(name in str(caught.value) for name in names)


def test_an_empty_experiment_has_no_last_snapshot(experiment: Experiment) -> None:
    with pytest.raises(SnapshotNotFoundError, match="no snapshot 'last'"):
        experiment.get_last_snapshot()


def test_addresses_across_experiments(library: Library, experiment: Experiment, folder: Path) -> None:
    first = experiment.make_snapshot()
    second = library.add_experiment("other").make_snapshot(project=folder)

    assert library.get_snapshot("last") == second
    assert library.get_snapshot("last~1") == first
    assert library.get_snapshot("last", "digits") == first
    assert library.get_snapshot(first.uid) == first
    assert library.experiment_of(first).name == "digits"
    with pytest.raises(SnapshotNotFoundError):
        library.get_snapshot(first.uid, "other")


def test_many_snapshots_of_one_second_keep_their_order(experiment: Experiment, folder: Path) -> None:
    names = versions(experiment, folder, 12)

    assert [snapshot.name for snapshot in experiment.snapshots()] == names
    assert experiment.get_last_snapshot().name == names[-1]


def test_a_clock_that_went_back_does_not_change_which_is_the_last(experiment: Experiment) -> None:
    first = experiment.make_snapshot()
    record = json.loads((first.folder / "snapshot.json").read_text())
    later = "20991231-235959-" + first.uid
    (first.folder / "snapshot.json").write_text(
        json.dumps(record | {"name": later, "created_at": "2099-12-31T23:59:59.999999+00:00"})
    )
    first.folder.rename(first.folder.with_name(later))

    second = experiment.make_snapshot()

    assert experiment.get_last_snapshot() == second
    assert second.created_at > experiment.get_snapshot(later).created_at


def test_a_damaged_snapshot_is_named_and_left_out(experiment: Experiment, folder: Path) -> None:
    names = versions(experiment, folder, 2)
    damaged = experiment.path / "snapshots" / names[1] / "snapshot.json"
    damaged.write_text("{")

    assert [snapshot.name for snapshot in experiment.snapshots()] == names[:1]
    assert experiment.broken() == [damaged]
    with pytest.raises(RefusedError, match="cannot be read, so that 'last' may be another snapshot"):
        experiment.get_last_snapshot()
    with pytest.raises(RefusedError, match="cannot be read"):
        experiment.get_snapshot(names[1])
    with pytest.raises(RefusedError, match="snapshots that cannot be read"):
        experiment.collect()


def test_changes_since_the_last_snapshot(experiment: Experiment, folder: Path) -> None:
    (folder / "old.py").write_text("old\n")
    assert experiment.check_changes().untracked == ("old.py", "train.py")
    experiment.make_snapshot()
    assert not experiment.check_changes()

    (folder / "train.py").write_text("other\n")
    (folder / "old.py").unlink()
    (folder / "new.py").write_text("new\n")

    changes = experiment.check_changes()
    assert (changes.modified, changes.removed, changes.untracked) == (("train.py",), ("old.py",), ("new.py",))


def test_a_project_must_be_known(library: Library, tmp_path: Path) -> None:
    experiment = library.add_experiment("digits")

    with pytest.raises(UsageError, match="does not know its project; link_local_repo"):
        experiment.capture()
    with pytest.raises(UsageError, match="is not a folder"):
        experiment.link_local_repo(tmp_path / "gone")
    with pytest.raises(UsageError, match="is not a folder"):
        experiment.capture(tmp_path / "gone")


def test_removing_and_collecting(experiment: Experiment, folder: Path, tmp_path: Path) -> None:
    secret = "k" * 300_000 + str(tmp_path)
    (folder / "key.txt").write_bytes(secret.encode() + bytes(range(256)) * 4000)
    first = experiment.make_snapshot()
    (folder / "key.txt").unlink()
    second = experiment.make_snapshot()

    experiment.remove(first)
    experiment.collect()

    assert experiment.snapshots() == [second]
    experiment.lay_out(second, tmp_path / "out")
    assert (tmp_path / "out" / "train.py").read_text() == "print(0)\n"
    objects = experiment.code._git.run("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
    assert sorted(objects) == [b"blob", b"commit", b"tree"]


def test_a_snapshot_whose_making_was_cut_short_is_no_snapshot(experiment: Experiment) -> None:
    made = experiment.make_snapshot()
    half = experiment.path / "snapshots" / "20990101-000000-abcdefgh"
    half.mkdir()

    assert experiment.snapshots() == [made]
    assert experiment.broken() == []
    experiment.collect()
    assert not half.exists()


def test_content_that_was_swapped_is_not_laid_out(experiment: Experiment, folder: Path, tmp_path: Path) -> None:
    (folder / "other.py").write_text("other\n")
    made = experiment.make_snapshot()
    oids = [line.split("\t")[0] for line in listing(experiment, made.tree)]
    places = [experiment.code.git_dir / "objects" / oid[:2] / oid[2:] for oid in oids]
    places[0].chmod(0o644)
    places[0].write_bytes(places[1].read_bytes())

    with pytest.raises(GitError, match=f"the code of snapshot {made.name} is damaged: .* is not what was captured"):
        experiment.lay_out(made, tmp_path / "out")


def listing(experiment: Experiment, tree: str) -> list[str]:
    """Return `oid<TAB>path` of the files of a tree."""
    lines = experiment.code._git.run("ls-tree", "-r", tree).decode().splitlines()
    return [line.split(" ")[2] for line in lines]


@pytest.mark.parametrize("harm", ["gone", "empty", "cut", "other"])
def test_a_damaged_object_is_stored_anew(experiment: Experiment, folder: Path, tmp_path: Path, harm: str) -> None:
    made = experiment.make_snapshot()
    (line,) = listing(experiment, made.tree)
    oid = line.split("\t")[0]
    place = experiment.code.git_dir / "objects" / oid[:2] / oid[2:]
    place.chmod(0o644)
    content = place.read_bytes()
    place.unlink() if harm == "gone" else place.write_bytes(
        {"empty": b"", "cut": content[:5]}.get(harm, zlib.compress(b"blob 1\0x"))
    )
    with pytest.raises(GitError, match=f"the code of snapshot {made.name} is damaged"):
        experiment.lay_out(made, tmp_path / "out")

    again = experiment.capture().snapshot

    assert again == made
    experiment.lay_out(again, tmp_path / "again")
    assert (tmp_path / "again" / "train.py").read_text() == "print(0)\n"
