"""Odd streams, odd folders, odd stores."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra.testbed import Testbed
from tests.conftest import Command, clean_environment

MakeProject = Callable[..., Path]
SHOUT = "for n in range(1000): print('line', n)"
LOG = "import mlflow\nwith mlflow.start_run(): mlflow.log_text('x', 'n.txt')"


def in_shell(line: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(DIOPTRA_HOME=str(home), **more)
    line = line.replace("dioptra", f"{sys.executable} -m dioptra", 1)
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", "2>&-"])
def test_a_terminal_that_takes_nothing_does_not_harm_the_job(
    project: MakeProject, shared_home: Path, redirection: str
) -> None:
    folder = project("entry_points: {main: {command: python shout.py}}", shout=SHOUT)
    before = {job.id for job in Testbed(shared_home).jobs()}

    done = in_shell(f"dioptra run {folder} --experiment shout {redirection}", shared_home)

    assert "Traceback" not in done.stderr
    (job,) = [job for job in Testbed(shared_home).jobs() if job.id not in before]
    assert job.status == "finished"
    assert Testbed(shared_home).paths(job).log_file.read_text().endswith("line 999\n")
    if redirection != "> /dev/full":
        assert done.returncode == 0


def test_a_terminal_that_lacks_characters(project: MakeProject, shared_home: Path) -> None:
    folder = project("name: x\nnm€e: y\nentry_points: {main: {command: 'true'}}")

    done = in_shell(f"dioptra run {folder} --dry-run", shared_home, PYTHONIOENCODING="latin-1")

    assert done.returncode == 0
    assert "'nm?e' means nothing in the file" in done.stderr


def test_a_folder_that_is_gone(shared_home: Path, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()

    done = in_shell(f"cd {tmp_path}/gone && rmdir ../gone && dioptra run", shared_home)

    assert done.returncode in (1, 7)
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("args", [["run", "x" * 300], ["run", ".", "-P", "data=" + "x" * 300]])
def test_names_that_are_too_long(dioptra: Command, project: MakeProject, args: list[str]) -> None:
    folder = project("entry_points: {main: {command: 'run {data}', parameters: {data: path}}}")

    said = dioptra(*args, cwd=folder)

    assert said.code == 7
    assert len(said.err.splitlines()) == 1


def test_a_name_that_the_store_cannot_keep_is_refused_at_the_door(dioptra: Command, project: MakeProject) -> None:
    folder = project("entry_points: {main: {command: 'true'}}")

    said = dioptra("run", str(folder), "-P", f"{'n' * 251}=1")

    assert said.code == 7
    assert "cannot be a parameter's name" in said.err


@pytest.mark.parametrize("uri", ["sqlite:///rel.db", "sqlite:///{folder}/abs.db"])
def test_a_database_that_was_named_is_one_store_with_artifacts_in_the_home(
    dioptra: Command, project: MakeProject, tmp_path: Path, uri: str
) -> None:
    folder = project("entry_points: {main: {command: python log.py}}", log=LOG)
    (tmp_path / "work").mkdir()

    said = dioptra(
        "run",
        str(folder),
        "--json",
        cwd=tmp_path / "work",
        home=tmp_path / "home",
        MLFLOW_TRACKING_URI=uri.format(folder=tmp_path / "work"),
    )

    assert said.code == 0, said.err
    assert [path.name for path in (tmp_path / "work").glob("*.db")] == [uri.rpartition("/")[2]]
    assert len(list((tmp_path / "home" / "artifacts").rglob("n.txt"))) == 1
    assert not list(tmp_path.rglob("mlruns"))


def test_a_job_may_run_jobs(dioptra: Command, project: MakeProject, tmp_path: Path) -> None:
    inner = project("name: inner\nentry_points: {main: {command: python log.py}}", name="inner", log=LOG)
    outer = project(f"name: outer\nentry_points: {{main: {{command: 'python -m dioptra run {inner}'}}}}", name="outer")

    said = dioptra("run", str(outer), home=tmp_path / "home")

    assert said.code == 0, said.out
    assert len(list((tmp_path / "home" / "artifacts" / "inner").rglob("n.txt"))) == 1
    assert sorted(job.experiment for job in Testbed(tmp_path / "home").jobs()) == ["inner", "outer"]
    assert not list(tmp_path.rglob("mlruns"))


@pytest.mark.parametrize("name", ["h?x", "h%20x", "h#x"])
def test_a_home_whose_path_the_store_cannot_have_is_refused(
    dioptra: Command, project: MakeProject, tmp_path: Path, name: str
) -> None:
    said = dioptra("run", str(project("entry_points: {main: {command: 'true'}}")), home=tmp_path / name)

    assert said.code == 2
    assert "in its path, which the tracking store cannot have" in said.err
    assert not (tmp_path / "h").exists()


def test_a_store_that_breaks_while_the_job_runs(dioptra: Command, project: MakeProject, tmp_path: Path) -> None:
    home = tmp_path / "home"
    spoil = """
import os
for ending in ("", "-wal", "-shm"):
    open(os.environ["DIOPTRA_HOME"] + "/mlflow.db" + ending, "wb").write(b"x" * 9999)
"""
    folder = project("entry_points: {main: {command: python spoil.py}}", spoil=spoil)

    said = dioptra("run", str(folder), "--json", home=home)

    assert said.code == 6
    assert "but its run could not be ended" in said.err
    assert said.json["status"] == "finished"
    assert said.json["error"]["code"] == "run-not-ended"
    assert Testbed(home).job(said.json["job"]).status == "finished"


def test_a_damaged_record_harms_no_other(dioptra: Command, project: MakeProject, tmp_path: Path) -> None:
    home = tmp_path / "home"
    job_id = dioptra("run", str(project("entry_points: {main: {command: 'true'}}")), "--json", home=home).json["job"]
    for name, text in (("a" * 8, ""), ("b" * 8, "[]"), ("c" * 8, '{"id": 1}')):
        (home / "jobs" / name).mkdir()
        (home / "jobs" / name / "job.json").write_text(text)
    record = home / "jobs" / job_id / "job.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"from_a_newer_version": 1}))

    listed = dioptra("job", "list", "--json", home=home)

    assert [job["id"] for job in listed.json["jobs"]] == [job_id]
    assert dioptra("doctor", home=home).out.count("job.json cannot be read; repair it, or move it away") == 3
    shown = dioptra("job", "show", "aaaa", home=home)
    assert (shown.code, len(shown.err.splitlines())) == (3, 1)


def test_a_home_without_its_database_gets_it_again_from_the_records(
    dioptra: Command, project: MakeProject, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    job_id = dioptra("run", str(project("entry_points: {main: {command: 'true'}}")), "--json", home=home).json["job"]
    before = dioptra("job", "show", job_id, "--json", home=home).json
    (home / "jobs" / "damaged").mkdir()
    (home / "jobs" / "damaged" / "job.json").write_text("[]")
    for file in home.glob("testbed.db*"):
        file.unlink()

    assert dioptra("job", "show", job_id, "--json", home=home).json == before


@pytest.mark.parametrize(
    ("name", "experiment", "code", "sentence"),
    [
        ("a/b", None, 7, "the project's name 'a/b' cannot be an experiment's name; change `name:`, or give another"),
        ("été", None, 0, ""),
        ("a/b", "fine", 0, ""),
        ("fine", "", 7, "'' cannot be an experiment's name"),
    ],
)
def test_names_of_experiments_are_checked_before_anything_runs(
    dioptra: Command, project: MakeProject, name: str, experiment: str | None, code: int, sentence: str
) -> None:
    folder = project(f"name: {name}\nentry_points: {{main: {{command: 'true'}}}}")
    more = [] if experiment is None else ["--experiment", experiment]

    said = dioptra("run", str(folder), "--dry-run", *more)

    assert said.code == code
    assert sentence in said.err
    if name == "été":
        assert dioptra("run", str(folder)).code == 0


def test_wrong_use_is_json_too_when_json_is_asked_for(dioptra: Command) -> None:
    said = dioptra("run", "--nope", "--json")

    assert said.code == 2
    assert said.json["error"]["code"] == "usage"
    assert "--nope" in said.json["error"]["message"]


def test_only_warnings_that_concern_the_entry_point_are_said(dioptra: Command, project: MakeProject) -> None:
    text = "entry_points: {a: {command: 'true', comand: x}, b: {command: 'true'}}"
    folder = project(text)

    assert "'comand' means nothing" in dioptra("run", str(folder), "-e", "a", "--dry-run").err
    assert dioptra("run", str(folder), "-e", "b", "--dry-run").err == ""


@pytest.mark.parametrize(
    ("text", "warning", "error"),
    [
        (
            "entry_points: {main: {command: 'x {eps}', parameters: {eps: {type: float, default 1}}}}",
            "'default 1' means nothing in entry_points.main.parameters.eps; did you mean 'default'?",
            "missing parameter 'eps' (float)",
        ),
        (
            "entry_points: {main: {command: 'x {eps}', paramters: {eps: float}}}",
            "'paramters' means nothing in entry_points.main; did you mean 'parameters'?",
            "uses {eps}, which is not a parameter",
        ),
        ("entrypoints: {main: {command: x}}", "did you mean 'entry_points'?", "no entry point 'main' (have: none)"),
    ],
)
def test_what_is_odd_about_a_file_is_said_with_the_error(
    dioptra: Command, project: MakeProject, text: str, warning: str, error: str
) -> None:
    said = dioptra("run", str(project(text)))

    assert said.code in (3, 7)
    assert said.err.splitlines()[0].startswith("Warning: ")
    assert warning in said.err.splitlines()[0]
    assert error in said.err.splitlines()[1]


def test_a_mistyped_parameter_is_passed_on_and_said(dioptra: Command, project: MakeProject) -> None:
    text = "entry_points: {main: {command: 'echo {batch_size}', parameters: {batch_size: {default: 1}}}}"

    said = dioptra("run", str(project(text)), "-P", "bacth_size=3")

    assert said.out == "1 --bacth_size 3\n"
    assert "'bacth_size' is not declared and is passed on as --bacth_size; did you mean 'batch_size'?" in said.err
