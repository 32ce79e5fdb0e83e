"""`dioptra snapshot` and `dioptra experiment`: the real command on real snapshots, whole and damaged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dioptra.experiment import Snapshot
from dioptra.records import Job
from tests.acceptance.workbench import Workbench, own_environment
from tests.integration.repositories import contents, git, write

MLPROJECT = """\
name: work
entry_points:
  main:
    parameters: {eps: {type: float, default: 0.5}, seed: {type: int, default: 1}, data: {type: path, default: data.csv}}
    command: python train.py {eps}
  plain: {parameters: {text: {default: a}}, command: "echo {text}"}
"""
TRAIN = """\
import sys, mlflow
with mlflow.start_run():
    mlflow.log_metrics({"accuracy": float(sys.argv[1]), "steady": 1.0})
"""
NEWER = TRAIN.replace("steady", "steadier") + "# -- the end\n"


@dataclass(frozen=True)
class Shelf:
    """A home that no test changes: an experiment with two snapshots and three jobs, another one with one of each."""

    bench: Workbench
    project: Path
    jobs: tuple[Job, ...]

    @property
    def names(self) -> list[str]:
        """The names of the snapshots, oldest first."""
        return list(dict.fromkeys(job.snapshot for job in self.jobs))

    @property
    def snapshots(self) -> list[Snapshot]:
        return [self.bench.testbed.library.get_snapshot(name) for name in self.names]

    def json(self, *args: str) -> Any:
        said = self.bench.dioptra(*args, "--json")
        assert said.code == 0, said.err
        return said.json


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("shelf")
    bench = Workbench(folder / "home", folder)
    project = write(
        folder / "work", {"MLproject": MLPROJECT, "train.py": TRAIN, "data.csv": "1,2\n", "tool": "#!/bin/sh"}
    )
    (project / "tool").chmod(0o755)
    (project / "link").symlink_to("train.py")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    with own_environment():
        jobs = [bench.run(project), bench.run(project, "plain", text="b" * 300)]
        write(project, {"train.py": NEWER, "data.csv": "1,3\n", "odd\tname.txt": "\x1b[31mred\n"})
        jobs += [bench.run(project, seed="2", eps="0.25")]
        write(project, {"more.txt": "more\n"})
        jobs += [bench.run(project, "plain", "Other work")]
    return Shelf(bench, project, tuple(jobs))


def test_snapshots_are_listed_newest_first(shelf: Shelf) -> None:
    said = shelf.bench.dioptra("snapshot", "list")
    found = shelf.json("snapshot", "list")["snapshots"]

    head = git(shelf.project, "rev-parse", "HEAD")
    first, second, third = shelf.snapshots
    assert [line.split() for line in said.out.splitlines()] == [
        ["snapshot", "experiment", "jobs", "commit", "HEAD", "comment"],
        [third.name, "Other", "work", "1", third.commit[:7], f"{head[:7]}+"],
        [second.name, "work", "1", second.commit[:7], f"{head[:7]}+"],
        [first.name, "work", "2", first.commit[:7], head[:7]],
    ]
    assert said.err == ""
    assert [entry["name"] for entry in found] == shelf.names[::-1]
    keys = (
        "experiment",
        "name",
        "commit",
        "tree",
        "created_at",
        "script",
        "comment",
        "project_dir",
        "repository",
        "jobs",
    )
    assert set(found[0]) == set(keys)
    assert found[0]["repository"]["head"] == head
    of_one = shelf.json("snapshot", "list", "--experiment", "work")["snapshots"]
    assert [entry["name"] for entry in of_one] == shelf.names[1::-1]


def test_experiments_are_listed_and_shown(shelf: Shelf) -> None:
    listed = shelf.bench.dioptra("experiment", "list")
    found = shelf.json("experiment", "list")
    shown = shelf.bench.dioptra("experiment", "show", "work")

    path = shelf.bench.home / "experiments" / "work"
    work = {"experiment": "work", "snapshots": 2, "jobs": 3, "last": shelf.names[1]}
    other = {"experiment": "Other work", "snapshots": 1, "jobs": 1, "last": shelf.names[2]}
    assert found == {"experiments": [other, work], "broken": {}}
    assert listed.out.splitlines()[2] == f"work        2          3     {shelf.names[1]}"
    details = {"folder": str(path), "code": str(path / "code.git"), "names": shelf.names[:2]}
    assert shelf.json("experiment", "show", "work") == work | details
    assert f"snapshots      2\njobs           3\nlast           {shelf.names[1]}\nfolder         {path}\n" in shown.out
    assert listed.err == shown.err == ""


def test_where_there_is_nothing(tmp_path: Path) -> None:
    empty = Workbench(tmp_path / "none", tmp_path)

    assert empty.dioptra("snapshot", "list").out == "no snapshots yet; the first `dioptra run` makes one\n"
    assert empty.dioptra("experiment", "list").out == "no experiments yet; the first `dioptra run` makes one\n"
    assert empty.dioptra("snapshot", "gc").out == "freed 0 bytes in 0 experiments\n"
    assert empty.dioptra("snapshot", "show", "last").code == 3
    assert not (tmp_path / "none").exists()


def test_addresses(shelf: Shelf) -> None:
    first, second, third = shelf.snapshots
    meanings = {
        (first.name,): first,
        (first.uid,): first,
        (first.uid[:5],): first,
        (second.commit,): second,
        (second.commit[:12],): second,
        ("last",): third,
        ("last~2",): first,
        ("last", "--experiment", "work"): second,
        ("last~1", "--experiment", "work"): first,
        (shelf.jobs[0].id,): first,
        (shelf.jobs[2].id[:8],): second,
    }
    for args, snapshot in meanings.items():
        said = shelf.bench.dioptra("snapshot", "show", *args, "--json")
        assert (said.code, said.json.get("name")) == (0, snapshot.name), args


def test_refusals(shelf: Shelf) -> None:
    first, _, third = shelf.names
    home, job = shelf.bench.home, shelf.jobs[0].id
    day = third[: len("20261120")]  # "20" alone could be the beginning of a job too
    refusals = {
        ("show", "nope"): (
            3,
            f"no snapshot and no job 'nope' in {home}; see `dioptra snapshot list` and `dioptra job list`",
        ),
        ("show", ""): (3, "no snapshot and no job ''"),
        ("show", "last~3"): (3, "no snapshot and no job 'last~3'"),
        ("show", third, "--experiment", "work"): (3, f"no snapshot and no job '{third}' in experiment 'work'"),
        ("show", job, "--experiment", "Other work"): (3, f"no snapshot and no job '{job}' in experiment 'Other work'"),
        ("show", day): (2, f"'{day}' is ambiguous; write more of it: {third}, {first}, "),
        ("list", "--experiment", "wok"): (3, "no experiment 'wok'; did you mean 'work'? (have: Other work, work)"),
        ("list", "--experiment", "../x"): (7, "'../x' cannot be an experiment's name"),
        ("diff", "last", "nope"): (3, "no snapshot and no job 'nope'"),
        ("checkout", "last", str(shelf.project)): (4, f"'{shelf.project}' is there already and not an empty folder"),
        ("rm", "last", first): (
            4,
            f"snapshot {third} is what job {shelf.jobs[3].id[:8]} ran; give --force to remove it",
        ),
        ("rm", first): (4, f"snapshot {first} is what 2 jobs, {shelf.jobs[1].id[:8]} for one, ran; give --force"),
        ("rm", "--force", job): (2, f"'{job}' is a job; name its snapshot, {first}"),
        ("rm",): (2, "Missing argument 'ID...'"),
    }
    for args, (code, sentence) in refusals.items():
        said = shelf.bench.dioptra("snapshot", *args, "--json")
        assert (said.code, "Traceback" in said.err) == (code, False), said
        assert sentence in said.err
        assert said.json["error"]["code"]
    assert shelf.bench.dioptra("experiment", "show", "wok").code == 3
    assert len(shelf.json("snapshot", "list")["snapshots"]) == 3


def test_an_address_that_means_a_snapshot_and_a_job_is_ambiguous(shelf: Shelf) -> None:
    commit = shelf.snapshots[0].commit
    record = shelf.jobs[0].changed(id=f"{commit[:6]}00-0000-4000-8000-000000000000")
    shelf.bench.testbed.database.jobs.put(record)

    said = shelf.bench.dioptra("snapshot", "show", commit[:6])
    shelf.bench.testbed.remove(record)

    assert said.code == 2
    assert f"'{commit[:6]}' is ambiguous; write more of it: snapshot {shelf.names[0]}, job {record.id}" in said.err


def test_what_is_known_of_a_snapshot_is_shown(shelf: Shelf) -> None:
    first = shelf.snapshots[0]
    shown = shelf.bench.dioptra("snapshot", "show", first.name, COLUMNS="40").out
    found = shelf.json("snapshot", "show", first.name)

    for line in (f"name         {first.name}", f"commit       {first.commit}", f"project_dir  {shelf.project}"):
        assert f"{line}\n" in shown
    assert (
        f"branch       main\nremote       \nstaged       False\ndirty        False\nfolder       {first.folder}"
        in shown
    )
    assert re.search(
        r"python       CPython 3\S+\nplatform     Linux .*\npackages     \d+; all are in --json\n\n", shown
    )
    *_, one, two = shown.splitlines()
    assert one.split()[:5] == [shelf.jobs[0].id[:8], "finished", "main", str(shelf.jobs[0].run_id)[:8], "eps=0.5"]
    assert two.endswith(f"text={'b' * 300}")  # where there is no terminal, nothing is cut off
    assert [job["id"] for job in found["jobs"]] == [job.id for job in shelf.jobs[:2]]
    assert "numpy" in found["conditions"]["environment"]["packages"]
    assert found["conditions"]["parameters"]["eps"] == "0.5"
    assert {"train_data", "val_data", "test_data", "custom_data", "model_files"} < found.keys()


def test_a_diff_shows_all_that_differs(shelf: Shelf) -> None:
    first, second, _ = shelf.names
    said = shelf.bench.dioptra("snapshot", "diff", first, second)
    found = shelf.json("snapshot", "diff", first, second)
    (main, plain) = found["jobs"]

    assert said.err == ""
    head, _, rest = said.out.partition("\ndiff --git")
    assert head.splitlines() == [
        f"{first} -> {second}",
        "",
        "code:",
        "  data.csv: modified",
        "  odd\\tname.txt: added",
        "  train.py: modified",
    ]
    patch, _, values = f"diff --git{rest}".partition(
        f"\n\nmain: job {shelf.jobs[0].id[:8]} -> {shelf.jobs[2].id[:8]}\n"
    )
    assert "\n-    mlflow.log_metrics" in patch
    assert "\n+\x1b[31mred\n" in patch  # as it is in the file
    assert f"{patch}\n" == found["code"]["patch"]
    assert [entry.pop("name") for entry in main["seeds"]] == ["PYTHONHASHSEED"]  # drawn, and so in JSON only
    hashes = [entry[key] for entry in main["inputs"] for key in ("before", "after")]
    assert values.splitlines() == [
        "  parameters:",
        "    eps: 0.5 -> 0.25",
        "    seed: 1 -> 2",
        "  seeds: the same",
        "  environment: the same",
        "  plugins: the same",
        "  inputs:",
        f"    data: {hashes[0]} -> {hashes[1]}",
        "  repository:",
        "    dirty: False -> True",
        "  metrics:",
        "    accuracy: 0.5 -> 0.25 (-0.25)",
        "    steadier: (none) -> 1.0",
        "    steady: 1.0 -> (none)",
        "",
        "plain: only the first has a finished job of it",
    ]
    assert found["before"] == {"name": first, "commit": shelf.snapshots[0].commit}
    assert found["code"]["files"] == {"data.csv": "modified", "odd\tname.txt": "added", "train.py": "modified"}
    assert main["metrics"][0] == {"name": "accuracy", "before": 0.5, "after": 0.25}
    assert (plain["before"], plain["after"], plain["why"]) == (shelf.jobs[1].id, None, "")


def test_a_diff_of_jobs_compares_these(shelf: Shelf) -> None:
    main, plain, _, other = (job.id for job in shelf.jobs)
    (both,) = shelf.json("snapshot", "diff", main, plain)["jobs"]
    (mixed,) = shelf.json("snapshot", "diff", other, shelf.names[0])["jobs"]
    same = shelf.bench.dioptra("snapshot", "diff", main, main)

    assert (both["entry_point"], both["before"], both["after"]) == ("main and plain", main, plain)
    assert (mixed["entry_point"], mixed["before"], mixed["after"]) == ("plain", other, plain)
    assert "\ncode: the same\n" in same.out
    assert same.out.count(": the same\n") == 8


def test_snapshots_of_two_experiments_are_compared(shelf: Shelf) -> None:
    found = shelf.json("snapshot", "diff", shelf.names[1], shelf.names[2])

    assert found["code"]["files"] == {"more.txt": "added"}
    assert "+more\n" in found["code"]["patch"]
    by_entry = {entry["entry_point"]: (entry["before"], entry["after"]) for entry in found["jobs"]}
    assert by_entry == {"main": (shelf.jobs[2].id, None), "plain": (None, shelf.jobs[3].id)}


def test_a_job_that_cannot_be_compared_does_not_hide_the_code(shelf: Shelf) -> None:
    file = shelf.bench.testbed.paths(shelf.jobs[0]).conditions_file
    file.rename(file.with_suffix(".away"))
    said = shelf.bench.dioptra("snapshot", "diff", "last~2", "last~1")
    file.with_suffix(".away").rename(file)

    assert said.code == 0
    assert "\n-    mlflow.log_metrics" in said.out
    assert f"  cannot be compared: what the job ran with cannot be read from '{file}' (FileNotFoundError" in said.out


def test_a_checkout_is_the_same_files(shelf: Shelf, tmp_path: Path) -> None:
    said = shelf.bench.dioptra("snapshot", "checkout", shelf.names[0], str(tmp_path / "old"))
    as_json = shelf.json("snapshot", "checkout", "last", str(tmp_path / "new"))

    assert said.out == f"laid out {shelf.names[0]} in {tmp_path / 'old'}\n"
    old = contents(tmp_path / "old")
    assert old == {
        "MLproject": ("file", MLPROJECT.encode()),
        "data.csv": ("file", b"1,2\n"),
        "link": ("link", b"train.py"),
        "tool": ("program", b"#!/bin/sh"),
        "train.py": ("file", TRAIN.encode()),
    }
    assert as_json == {"snapshot": shelf.names[2], "folder": str(tmp_path / "new")}
    assert (tmp_path / "new" / "more.txt").read_text() == "more\n"


def test_only_a_terminal_gets_colors_and_cut_columns(shelf: Shelf) -> None:
    diff = shelf.bench.in_terminal("snapshot", "diff", "last~2", "last~1")
    shown = shelf.bench.in_terminal("snapshot", "show", "last~2", columns=60)

    assert "\x1b[1mdiff --git a/data.csv b/data.csv\x1b[0m\n" in diff
    assert "\x1b[36m@@ -1 +1 @@\x1b[0m\n\x1b[31m-1,2\x1b[0m\n\x1b[32m+1,3\x1b[0m\n" in diff
    assert "\x1b[32m+# -- the end\x1b[0m\n" in diff
    assert "\x1b[32m+\\x1b[31mred\x1b[0m\n" in diff  # what is in a file does not color the terminal
    assert "\x1b[1mjob       status    entry  run       parameters\x1b[0m\n" in shown
    *_, one, two = shown.splitlines()
    assert len(one) == len(two) == 60
    assert re.search(r"text=b+\.\.\.$", two)
    piped = shelf.bench.dioptra("snapshot", "diff", "last~2", "last~1").out
    assert piped.count("\x1b") == 1  # the file's own
