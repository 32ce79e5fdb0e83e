"""`dioptra run`, with the real command line, real scripts and a real store."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dioptra.testbed import Testbed
from tests.acceptance.workbench import is_gone
from tests.conftest import Command, clean_environment

MakeProject = Callable[..., Path]

ECHO = """\
name: echo
entry_points:
  main:
    parameters:
      text: {type: string, default: hello}
      rate: {type: float, default: 1e-3}
    command: python echo.py {text} --rate={rate}
"""
ECHO_PY = "import json, sys; print(json.dumps(sys.argv[1:])); print('to stderr', file=sys.stderr)"


def test_a_job_runs_streams_and_is_recorded(dioptra: Command, project: MakeProject, shared_home: Path) -> None:
    folder = project(ECHO, echo=ECHO_PY)

    said = dioptra("run", str(folder), "-P", "text=it's $(id)", "-P", "more=1", "--json")

    assert said.code == 0
    assert said.out.splitlines()[0] == json.dumps(["it's $(id)", "--rate=1e-3", "--more", "1"])
    assert said.out.splitlines()[1] == "to stderr"
    assert set(said.json) == {"job", "status", "run_id", "exit_code", "snapshot"}
    assert (said.json["status"], said.json["exit_code"]) == ("finished", 0)
    testbed = Testbed(shared_home)
    job = testbed.job(said.json["job"][:8])
    run = testbed.tracking.run(said.json["run_id"])
    assert testbed.paths(job).log_file.read_text().splitlines() == said.out.splitlines()[:2]
    assert testbed.paths(job).folder == shared_home / "jobs" / job.id / "attempt-1"
    assert run.status == "FINISHED"
    assert run.parameters == {"text": "it's $(id)", "rate": "1e-3", "more": "1"}
    assert run.tags["mlflow.source.name"] == str(folder)
    assert run.tags["mlflow.project.entryPoint"] == "main"
    assert run.tags["dioptra.jobId"] == job.id


def test_the_home_is_closed_to_others(dioptra: Command, project: MakeProject, shared_home: Path) -> None:
    said = dioptra("run", str(project("entry_points: {main: {command: 'true'}}")), "--json")

    attempt = shared_home / "jobs" / said.json["job"] / "attempt-1"
    assert attempt.stat().st_mode & 0o077 == 0
    assert shared_home.stat().st_mode & 0o077 == 0


SCRIPT = """\
import os, mlflow
with mlflow.start_run() as run:
    mlflow.log_metric("accuracy", 0.5)
    mlflow.log_param("inner", "1")
    (open(os.path.join(os.environ["DIOPTRA_OUTPUT_DIR"], "a.txt"), "w")).write("x")
    mlflow.log_artifact(os.path.join(os.environ["DIOPTRA_OUTPUT_DIR"], "a.txt"))
    print(run.info.run_id, run.info.experiment_id == os.environ["MLFLOW_EXPERIMENT_ID"])
"""


def test_a_script_joins_the_run(dioptra: Command, project: MakeProject, shared_home: Path, tmp_path: Path) -> None:
    folder = project("name: joins\nentry_points: {main: {command: python script.py}}", script=SCRIPT)

    said = dioptra("run", str(folder), "--json", "--experiment", "My experiment")

    testbed = Testbed(shared_home)
    run = testbed.tracking.run(said.json["run_id"])
    assert said.out.splitlines()[-2] == f"{said.json['run_id']} True"
    assert run.metrics == {"accuracy": 0.5}
    assert run.parameters == {"inner": "1"}
    assert testbed.job(said.json["job"]).experiment == "My experiment"
    assert testbed.tracking.download(said.json["run_id"], "a.txt", tmp_path).read_text() == "x"
    assert (shared_home / "artifacts" / "My experiment").is_dir()
    assert not (folder / "mlruns").exists()


@pytest.mark.parametrize(
    ("code", "exit_code", "reason"),
    [
        ("raise SystemExit(7)", 7, "exit code 7"),
        ("import mlflow\nwith mlflow.start_run(): pass\nraise SystemExit(1)", 1, "exit code 1"),
        ("import os; os.kill(os.getpid(), 9)", -9, "ended by SIGKILL (out of memory?)"),
    ],
)
def test_a_job_that_fails(
    dioptra: Command, project: MakeProject, shared_home: Path, code: str, exit_code: int, reason: str
) -> None:
    folder = project("entry_points: {main: {command: python bad.py}}", bad=code)

    said = dioptra("run", str(folder), "--json")

    assert said.code == 1
    assert (said.json["status"], said.json["exit_code"]) == ("failed", exit_code)
    assert f"failed ({reason})" in said.err
    assert Testbed(shared_home).tracking.run(said.json["run_id"]).status == "FAILED"


def test_a_long_value_reaches_the_script_though_the_store_keeps_less(dioptra: Command, project: MakeProject) -> None:
    folder = project(ECHO, echo="import sys; print(len(sys.argv[1]))")

    said = dioptra("run", str(folder), "-P", "text=" + "x" * 90_000)

    assert (said.code, said.out) == (0, "90000\n")


def test_dry_run_shows_the_argument_list_and_stores_nothing(
    dioptra: Command, project: MakeProject, tmp_path: Path
) -> None:
    folder, home = project(ECHO), tmp_path / "no home"

    said = dioptra("run", str(folder), "--dry-run", "--json", "-P", "text=a b", home=home)
    plain = dioptra("run", str(folder), "--dry-run", "-P", "text=a b", home=home)

    assert said.code == plain.code == 0
    assert said.json == {
        "argv": ["python", "echo.py", "a b", "--rate=1e-3"],
        "parameters": {"text": "a b", "rate": "1e-3"},
    }
    assert plain.out == "python echo.py 'a b' --rate=1e-3\n"
    assert not home.exists()


def test_json_has_a_line_of_its_own(dioptra: Command, project: MakeProject) -> None:
    folder = project("entry_points: {main: {command: printf y}}")

    said = dioptra("run", str(folder), "--json")

    assert said.out.splitlines()[0] == "y"
    assert said.json["status"] == "finished"


def test_python_is_the_interpreter_that_runs_dioptra(dioptra: Command, project: MakeProject) -> None:
    folder = project("entry_points: {main: {command: python which.py}}", which="import sys; print(sys.prefix)")

    assert dioptra("run", str(folder)).out.strip() == sys.prefix


def test_a_program_of_the_project_runs_as_it_is(dioptra: Command, project: MakeProject) -> None:
    folder = project("entry_points: {main: {command: './tool {a}', parameters: {a: string}}}")
    (folder / "tool").write_text('#!/bin/sh\necho "got <$1> in $PWD"\n')
    (folder / "tool").chmod(0o755)

    said = dioptra("run", str(folder), "-P", "a=x  y").out
    assert re.fullmatch(r"got <x  y> in .*/jobs/[0-9a-f-]{36}/attempt-1/code\n", said)


def test_odd_places(dioptra: Command, project: MakeProject, tmp_path: Path) -> None:
    folder = project("entry_points: {main: {command: python echo.py}}", name="a b 'c' $d é", echo="print('here')")

    said = dioptra("run", ".", "--experiment", "odd", cwd=folder, home=tmp_path / "home of é 'x'")

    assert (said.code, said.out) == (0, "here\n")


def test_a_reader_that_goes_away_does_not_end_the_job(project: MakeProject, shared_home: Path) -> None:
    folder = project("entry_points: {main: {command: python many.py}}", many="for n in range(100000): print(n)")
    command = [sys.executable, "-m", "dioptra", "run", str(folder), "--experiment", "head"]

    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(DIOPTRA_HOME=str(shared_home)),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(60) == 0

    assert "finished" in err
    assert "Traceback" not in err
    log_file = Path(err.rpartition("log: ")[2].strip())
    assert log_file.read_text().endswith("99999\n")


def start(folder: Path, home: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dioptra", "run", str(folder), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(DIOPTRA_HOME=str(home)),
        start_new_session=True,
    )


SLEEPER = "import subprocess, sys, time\nprint(subprocess.Popen(['sleep', '60']).pid)\ntime.sleep(60)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_all_and_says_so(project: MakeProject, shared_home: Path, number: int) -> None:
    folder = project("entry_points: {main: {command: python sleeper.py}}", sleeper=SLEEPER)
    process = start(folder, shared_home, "--json", "--experiment", "interrupted")
    assert process.stdout is not None
    child = int(process.stdout.readline())

    process.send_signal(number)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "cancelled" in err
    assert "Traceback" not in err
    end = json.loads(out.splitlines()[-1])
    testbed = Testbed(shared_home)
    assert end["status"] == "cancelled"
    assert testbed.job(end["job"]).status == "cancelled"
    assert testbed.tracking.run(end["run_id"]).status == "KILLED"
    assert is_gone(child)


def test_an_interrupt_before_the_start_leaves_nothing(project: MakeProject, tmp_path: Path) -> None:
    folder = project("entry_points: {main: {command: python sleeper.py}}", sleeper=SLEEPER)
    process = start(folder, tmp_path / "home")
    time.sleep(0.3)  # MLflow is being imported
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list((tmp_path / "home").glob("jobs/*"))


def test_two_first_runs_at_once_make_one_store(project: MakeProject, tmp_path: Path) -> None:
    folder = project("entry_points: {main: {command: python once.py}}", once="print('ran')")
    processes = [start(folder, tmp_path / "home", "--json") for _ in range(3)]

    ends = [process.communicate(timeout=120) for process in processes]

    assert [json.loads(out.splitlines()[-1])["status"] for out, _ in ends] == ["finished"] * 3, ends
    assert len(Testbed(tmp_path / "home").jobs()) == 3
    with closing(sqlite3.connect(tmp_path / "home" / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


def test_a_tracking_uri_that_is_set_is_used(dioptra: Command, project: MakeProject, tmp_path: Path) -> None:
    folder = project("entry_points: {main: {command: python script.py}}", script=SCRIPT)
    uri = f"sqlite:///{tmp_path / 'other.db'}"

    said = dioptra("run", str(folder), "--json", home=tmp_path / "home", MLFLOW_TRACKING_URI=uri)

    assert said.code == 0, said.err
    assert (tmp_path / "other.db").exists()
    assert not (tmp_path / "home" / "mlflow.db").exists()


FLOW = """\
from dioptra import Flow, Parameter, task

@task
def double(x):
    if x < 0:
        raise ValueError("negative")
    return 2 * x

with Flow("doubling") as flow:
    result = double(Parameter("x"))
    double(result)

import sys
flow.run(parameters={"x": int(sys.argv[1])})
"""


@pytest.mark.parametrize(
    ("x", "code", "states"), [("2", 0, ["Success", "Success"]), ("-1", 1, ["Failed", "TriggerFailed"])]
)
def test_a_flow_writes_what_its_tasks_did(
    dioptra: Command, project: MakeProject, shared_home: Path, x: str, code: int, states: list[str]
) -> None:
    text = "entry_points: {main: {parameters: {x: float}, command: 'python flow_script.py {x}'}}"
    folder = project(text, flow_script=FLOW)

    said = dioptra("run", str(folder), "-P", f"x={x}", "--json", "--experiment", "flows")

    assert said.code == code
    flow_file = Testbed(shared_home).paths(Testbed(shared_home).job(said.json["job"])).flow_file
    tasks: list[dict[str, Any]] = [json.loads(line) for line in flow_file.read_text().splitlines()]
    tasks = [entry for entry in tasks if entry["event"] == "task" and entry["task"] == "double"]
    assert [entry["state"] for entry in tasks] == states
    if code == 0:
        assert [entry["result"]["value"] for entry in tasks] == [4, 8]
        assert "double" in said.out  # the log says it to people
    else:
        assert "ValueError: negative" in said.out


def test_jobs_can_be_listed_shown_and_read(dioptra: Command, project: MakeProject, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert dioptra("job", "list", home=home).out == "no jobs yet; `dioptra demo` makes some\n"
    folder = project(ECHO, echo=ECHO_PY)
    job_id = dioptra("run", str(folder), "--json", home=home).json["job"]

    listed = dioptra("job", "list", home=home)
    shown = dioptra("job", "show", job_id[:6], home=home)
    as_json = dioptra("job", "show", job_id[:6].upper(), "--json", home=home).json

    assert job_id[:8] in listed.out
    assert "finished" in listed.out
    assert f"id           {job_id}" in shown.out
    assert as_json["parameters"] == {"text": "hello", "rate": "1e-3"}
    assert dioptra("job", "logs", job_id[:6], home=home).out == '["hello", "--rate=1e-3"]\nto stderr\n'
    assert [entry["id"] for entry in dioptra("job", "list", "--json", home=home).json["jobs"]] == [job_id]


def test_init_makes_a_home_that_is_found_from_below(dioptra: Command, tmp_path: Path) -> None:
    said = dioptra("init", "mine", "--example", "digits")
    (tmp_path / "mine" / "deep").mkdir()
    environment = {"DIOPTRA_HOME": ""}

    listed = dioptra("run", "..", "-e", "train", "--dry-run", cwd=tmp_path / "mine" / "deep", **environment)

    assert said.code == 0
    assert (tmp_path / "mine" / ".dioptra" / ".gitignore").read_text() == "*\n"
    assert listed.out.startswith("python train.py")
    assert dioptra("init", "mine", "--example", "digits").code == 4


def test_no_file_of_the_project_is_changed(dioptra: Command, project: MakeProject) -> None:
    folder = project("entry_points: {main: {command: python script.py}}", script="print('x')")
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))

    dioptra("run", str(folder))

    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


@pytest.mark.parametrize("as_json", ["", "1"])
def test_a_flow_that_fails_says_so_in_words(dioptra: Command, project: MakeProject, as_json: str) -> None:
    script = """\
from dioptra import Flow, task
from dioptra.errors import BaseTaskPluginError
from dioptra.sdk.utilities.logging import attach_stdout_stream_handler, configure_structlog, set_logging_level

attach_stdout_stream_handler(bool(__import__("os").environ["AS_JSON"]))
set_logging_level("INFO")
configure_structlog()

@task
def refuse():
    raise BaseTaskPluginError("eps must be at least 0, got -1", hint="give 0.3")

with Flow("refusing") as flow:
    refuse()

flow.run()
"""
    folder = project("entry_points: {main: {command: python refuse.py}}", refuse=script)

    said = dioptra("run", str(folder), AS_JSON=as_json)

    assert said.code == 1
    assert "refuse-1: BaseTaskPluginError: eps must be at least 0, got -1; give 0.3" in said.out
    assert "Traceback" not in said.out
    if as_json:
        assert all(json.loads(line) for line in said.out.splitlines())
