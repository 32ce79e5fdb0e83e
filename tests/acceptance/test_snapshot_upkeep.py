"""`dioptra snapshot rm` and `gc`, and what becomes of the verbs when something in the home is damaged."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from dioptra.experiment import Snapshot
from tests.acceptance.workbench import Workbench
from tests.integration.repositories import git, write


@pytest.fixture
def yard(tmp_path: Path) -> Workbench:
    """A home that a test may spoil."""
    return Workbench(tmp_path / "home", tmp_path)


def capture(bench: Workbench, name: str, message: str = "said", **files: str) -> Snapshot:
    experiment = bench.testbed.library.open_experiment(name)
    return experiment.capture(bench.project(name, **files), message=message).snapshot


def test_removing_and_collecting_frees_a_secret(yard: Workbench) -> None:
    secret = os.urandom(30_000).hex()
    first = capture(yard, "work", a_py="1", secret_txt=secret)
    (yard.folder / "work" / "secret.txt").unlink()
    second = capture(yard, "work", message="clean")
    experiment = yard.testbed.library.get_experiment("work")

    removed = yard.dioptra("snapshot", "rm", first.uid, first.name, "--json")
    freed = yard.dioptra("snapshot", "gc")

    assert removed.json == {"removed": [first.name]}
    assert re.fullmatch(r"freed \d\d\.\d kB in 1 experiment\n", freed.out)
    assert freed.err == ""
    blob = git(experiment.code.git_dir, "hash-object", str(write(yard.folder, secret_txt_=secret) / "secret_txt_"))
    git(experiment.code.git_dir, "cat-file", "-e", blob, ok=(1,))
    git(experiment.code.git_dir, "cat-file", "-e", first.commit, ok=(1, 128))
    assert [entry["comment"] for entry in yard.dioptra("snapshot", "list", "--json").json["snapshots"]] == ["clean"]
    assert yard.dioptra("snapshot", "checkout", second.name, "out").out == f"laid out {second.name} in out\n"
    assert (yard.folder / "out" / "a.py").read_text() == "1"
    assert yard.dioptra("snapshot", "rm", "last").out == (
        f"removed {second.name}; `dioptra snapshot gc` frees what their code took\n"
    )
    assert yard.dioptra("experiment", "list").out.splitlines()[1].split() == ["work", "0", "0"]


def test_a_snapshot_that_jobs_ran_is_removed_when_forced(yard: Workbench) -> None:
    folder = yard.project("ran", MLproject="{name: ran, entry_points: {main: {command: 'true'}}}")
    job = yard.run(folder)

    assert yard.dioptra("snapshot", "rm", "last").code == 4
    forced = yard.dioptra("snapshot", "rm", "last", "--force")
    assert forced.code == 0
    assert forced.err == f"Warning: 1 job still has the code in {yard.home / 'jobs'}\n"
    said = yard.dioptra("snapshot", "verify", job.id)
    assert said.code == 3
    assert said.err == f"Error: the snapshot {job.snapshot} of job {job.id[:8]} has been removed\n"


def test_what_is_damaged_is_reported_and_harms_nothing_else(yard: Workbench) -> None:
    kept, damaged = (capture(yard, "whole", a_py=text) for text in "12")
    broken = capture(yard, "broken", a_py="3")
    record = damaged.folder / "snapshot.json"
    record.write_text("{")
    (broken.folder.parent.parent / "experiment.json").write_text("[]")

    listed = yard.dioptra("snapshot", "list", "--json")
    experiments = yard.dioptra("experiment", "list", "--json")
    collected = yard.dioptra("snapshot", "gc", "--json")

    assert [entry["name"] for entry in listed.json["snapshots"]] == [kept.name]
    sentence = f"the experiment in '{broken.folder.parent.parent}' is broken (TypeError: "
    assert f"Warning: {sentence}" in listed.err
    assert f"Warning: the record {record} cannot be read and is left out\n" in listed.err
    assert listed.code == experiments.code == 0
    assert [entry["experiment"] for entry in experiments.json["experiments"]] == ["whole"]
    assert experiments.json["broken"]["broken"].startswith(sentence)
    assert f"the record {record} cannot be read" in yard.dioptra("experiment", "show", "whole").err
    assert (yard.dioptra("experiment", "show", "broken").code, yard.dioptra("snapshot", "show", damaged.uid).code) == (
        4,
        4,
    )
    unsure = yard.dioptra("snapshot", "show", "last")
    assert (unsure.code, "so that 'last' may be another snapshot; name the one that is meant" in unsure.err) == (
        4,
        True,
    )
    assert yard.dioptra("snapshot", "show", kept.uid, "--json").json["name"] == kept.name
    assert (collected.code, collected.json["freed"], set(collected.json["refused"])) == (4, {}, {"broken", "whole"})
    assert f"repair or remove {record}" in collected.err
    assert json.loads((kept.folder / "snapshot.json").read_text())["name"] == kept.name


def test_a_checkout_tells_of_data_that_is_not_in_it(yard: Workbench) -> None:
    (yard.project("shares") / "data").mkdir()
    taken = capture(yard, "shares", dioptra_toml='share = ["data"]', a_py="")

    said = yard.dioptra("snapshot", "checkout", "last", "out")

    assert said.err == f"Warning: data is shared data, and no part of the snapshot; it is in {taken.project_dir}\n"
