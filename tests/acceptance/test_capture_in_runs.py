"""What `dioptra run` captures, and that it runs exactly that: real processes, real repositories, the real command."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from dioptra.storage import hash_content
from tests.acceptance.workbench import Workbench, wait_for
from tests.integration.repositories import git, write

SAYS = "{name: says, entry_points: {main: {command: python says.py}}}"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("capture")
    return Workbench(folder / "home", folder)


def attempt(bench: Workbench, job_id: str) -> Path:
    return bench.home / "jobs" / job_id / "attempt-1"


def conditions(bench: Workbench, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((attempt(bench, job_id) / "conditions.json").read_text())
    return found


def test_a_job_runs_what_was_captured_while_the_project_goes_on(bench: Workbench) -> None:
    script = f"""\
import os, pathlib, time
print(os.getcwd(), os.environ["DIOPTRA_SNAPSHOT"])
pathlib.Path({str(bench.folder)!r}, "started").write_text("yes")
while not pathlib.Path({str(bench.folder)!r}, "go").exists():
    time.sleep(0.02)
import later
print(later.WORD, sorted(path.name for path in pathlib.Path().iterdir() if path.suffix == ".py"))
"""
    folder = bench.project("says", MLproject=SAYS, says_py=script, later_py="WORD = 'old'")
    process = bench.start("run", str(folder), "--json")
    wait_for(bench.folder / "started")

    bench.project("says", says_py="raise SystemExit(1)", later_py="WORD = 'new'", more_py="")
    (bench.folder / "go").touch()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    first, last, said = out.splitlines()
    job = json.loads(said)
    assert first == f"{attempt(bench, job['job']) / 'code'} {job['snapshot']}"
    assert last == "old ['later.py', 'says.py']"


def test_what_a_job_runs_with_is_kept(bench: Workbench) -> None:
    folder = write(
        bench.folder / "kept",
        {
            "MLproject": "name: kept\nentry_points: {main: {command: 'echo {data} {model_seed}{eps}', parameters: "
            "{data: path, model_seed: {type: int, default: 7}, eps: {type: float, default: 1e-3}}}}",
            "note.txt": "1",
        },
    )
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    plugins = write(bench.folder / "plugins", {"mine/__init__.py": "", "mine/__pycache__/x.pyc": "cache"})
    data = write(bench.folder / "given", {"data.csv": "1,2\n"}) / "data.csv"
    arguments = ("run", str(folder), "-P", "data=data.csv", "--json")

    said = bench.dioptra(*arguments, cwd=data.parent, DIOPTRA_PLUGIN_DIR=str(plugins), PYTHONHASHSEED="12").json
    (folder / "note.txt").write_text("2")
    again = bench.dioptra(*arguments, cwd=data.parent, PYTHONHASHSEED="").json

    kept = conditions(bench, said["job"])
    assert (kept["project_file"], kept["entry_point"]) == ("MLproject", "main")
    assert kept["given"] == {"data": str(data)}
    assert kept["parameters"] == {"data": str(data), "model_seed": "7", "eps": "1e-3"}
    assert kept["argv"] == ["echo", str(data), "71e-3"]
    assert kept["seeds"] == {"model_seed": "7", "PYTHONHASHSEED": "12"}
    sha256 = hashlib.sha256(b"1,2\n").hexdigest()
    assert kept["inputs"] == {"data": {"path": str(data), "sha256": sha256, "files": 1, "bytes": 4}}
    assert kept["shared"] == {}
    assert kept["plugins"].keys() == {"dioptra_builtins", str(plugins)}
    assert kept["plugins"][str(plugins)] == hash_content(plugins).sha256
    assert kept["environment"]["python"] == f"CPython {'.'.join(map(str, sys.version_info[:3]))}"
    assert {"platform", "cores", "packages"} < kept["environment"].keys()
    assert {"mlflow", "numpy", "dioptra-testbed"} < kept["environment"]["packages"].keys()
    assert kept["repository"]["dirty"] is False
    tags = bench.testbed.tracking.run(said["run_id"]).tags
    assert tags["mlflow.source.git.commit"] == git(folder, "rev-parse", "HEAD") == kept["repository"]["head"]
    assert tags["mlflow.source.git.branch"] == "main"
    assert tags["dioptra.snapshot"] == said["snapshot"]
    assert tags["dioptra.commit"] == bench.testbed.library.get_snapshot(said["snapshot"]).commit
    assert said["snapshot"] != again["snapshot"]
    later = conditions(bench, again["job"])
    assert later["repository"]["dirty"] is True
    assert later["plugins"].keys() == {"dioptra_builtins"}
    assert later["seeds"]["PYTHONHASHSEED"].isdigit()
    assert later["seeds"]["PYTHONHASHSEED"] != "12"


def test_an_unchanged_project_is_one_snapshot_also_for_jobs_that_start_at_once(bench: Workbench) -> None:
    folder = bench.project("twice", MLproject="{name: twice, entry_points: {main: {command: 'true'}}}")
    both = [bench.start("run", str(folder), "--json") for _ in range(2)]
    said = [json.loads(process.communicate(timeout=60)[0].splitlines()[-1]) for process in both]

    said.append(bench.dioptra("run", str(folder), "--json").json)

    assert [entry["status"] for entry in said] == ["finished"] * 3
    assert len({entry["job"] for entry in said}) == 3
    assert len({entry["snapshot"] for entry in said}) == 1
    assert len(bench.testbed.library.get_experiment("twice").snapshots()) == 1


def test_where_paths_are_looked_up(bench: Workbench) -> None:
    mlproject = """\
name: paths
entry_points:
  main:
    parameters:
      kept: {type: path, default: data/kept.txt}
      ignored: {type: path, default: data/ignored.txt}
      given: path
    command: printf '%s\\n' {kept} {ignored} {given}
"""
    folder = write(
        bench.folder / "paths",
        {"MLproject": mlproject, ".gitignore": "ignored.txt", "data/kept.txt": "1", "data/ignored.txt": "2"},
    )
    here = write(bench.folder / "here", {"data/kept.txt": "3"})

    said = bench.dioptra("run", str(folder), "-P", "given=data/kept.txt", "--json", cwd=here)

    *printed, last = said.out.splitlines()
    job_id = json.loads(last)["job"]
    in_copy = attempt(bench, job_id) / "code" / "data" / "kept.txt"
    assert printed == [str(in_copy), str(folder / "data" / "ignored.txt"), str(here / "data" / "kept.txt")]
    assert conditions(bench, job_id)["given"] == {"given": str(here / "data" / "kept.txt")}
    hashes = [entry["sha256"] for entry in conditions(bench, job_id)["inputs"].values()]
    assert hashes == [hashlib.sha256(content).hexdigest() for content in (b"1", b"2", b"3")]


def test_a_shared_folder_is_linked_and_its_content_is_known(bench: Workbench) -> None:
    script = (
        "import sys, pathlib; pathlib.Path('data/b').write_text('x') if sys.argv[1:] else print(open('data/a').read())"
    )
    mlproject = "{name: shares, entry_points: {main: {command: python a.py}, writes: {command: python a.py x}}}"
    folder = write(bench.folder / "shares", {"MLproject": mlproject, "a.py": script, "data/a": "shared"})
    (folder / "dioptra.toml").write_text('share = ["data"]')

    said = bench.dioptra("run", str(folder), "--json")
    read = json.loads(said.out.splitlines()[-1])
    writes = bench.dioptra("run", str(folder), "-e", "writes", "--json")

    assert said.out.startswith("shared\n")
    place = attempt(bench, read["job"]) / "code" / "data"
    assert place.is_symlink()
    assert place.resolve() == folder / "data"
    content = hashlib.sha256(b"shared").digest()
    expected = hashlib.sha256(b"file 1:a32:" + content).hexdigest()
    assert conditions(bench, read["job"])["shared"] == {"data": {"sha256": expected, "files": 1, "bytes": 6}}
    assert (writes.code, writes.json["status"], writes.json["exit_code"]) == (1, "failed", 0)
    why = "the shared folder 'data' was changed while the job ran; what it read is not known"
    assert f"failed ({why})" in writes.err
    assert writes.json["snapshot"] == read["snapshot"]  # what is shared is no code


def jobs(bench: Workbench) -> set[str]:
    return {path.name for path in (bench.home / "jobs").glob("*")}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"dioptra.toml": 'share = ["data"]'},
            "dioptra.toml: the shared folder 'data' is not a folder of '{folder}'; make it, or take it out of `share`",
        ),
        (
            {".gitignore": "MLproject"},
            "MLproject is not part of what was captured of '{folder}'; see .gitignore and .dioptraignore",
        ),
        (
            {"dioptra.toml": 'file_limit = "1 MB"', "data/model.bin": "x" * 2_000_000},
            "{folder}: 'data/model.bin' has 2,000,000 bytes, the limit is 1,000,000; raise `file_limit` in ",
        ),
        (
            {"MLproject": "entry_points: {main: {command: ./tool}}", ".dioptraignore": "tool"},
            "{folder}/MLproject line 1, entry point 'main': the program './tool' was not found in '{folder}'",
        ),
        ({"dioptra.toml": "shared = 1"}, "dioptra.toml: 'shared' is not a setting; did you mean 'share'?"),
    ],
)
def test_a_project_that_cannot_be_captured_or_run_is_refused_and_no_job_is_left(
    bench: Workbench, files: dict[str, str], sentence: str
) -> None:
    shutil.rmtree(bench.folder / "refused", ignore_errors=True)
    folder = write(bench.folder / "refused", {"MLproject": SAYS, "says.py": "print(1)", "tool": "#!/bin/sh\n"} | files)
    (folder / "tool").chmod(0o755)
    before = jobs(bench)

    said = bench.dioptra("run", str(folder), "--experiment", "refused")

    assert said.code == 7
    assert sentence.format(folder=folder) in said.err.splitlines()[-1]
    assert "Traceback" not in said.err
    assert jobs(bench) == before


def test_without_git_nothing_is_run(bench: Workbench) -> None:
    folder = bench.project("gitless", MLproject=SAYS, says_py="")
    (bench.folder / "bin").mkdir()
    before = jobs(bench)

    said = bench.dioptra("run", str(folder), "--experiment", "gitless", PATH=str(bench.folder / "bin"))

    assert said.code == 6
    assert said.err == "Error: git was not found on the PATH, and the code of runs is kept with it; install git\n"
    assert jobs(bench) == before


def test_a_home_in_the_project_is_no_part_of_it(bench: Workbench) -> None:
    folder = bench.project("around", MLproject=SAYS, says_py="import os; print(sorted(os.listdir()))")

    inside = Workbench(folder / "my home", folder)

    said = inside.dioptra("run", str(folder), "--json")
    job = inside.run(folder)  # from Python, where the home was given and not found

    assert said.out.splitlines()[0] == "['MLproject', 'says.py']"
    assert job.snapshot == said.json["snapshot"]
