"""`dioptra snapshot verify`: real jobs, run again by the real command, in a state of the world that may be another."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dioptra.records import Job
from dioptra.testbed import example_dir
from tests.acceptance.workbench import Workbench, is_gone, wait_for
from tests.conftest import Spoken

# `state` names a file that the testbed knows nothing of: with it a test changes what a script gives when it runs again.
MLPROJECT = """\
name: verified
entry_points:
  words: {command: python words.py}
  tasks: {parameters: {state: string}, command: "python tasks.py {state}"}
  metrics: {parameters: {state: string, seed: {type: int, default: 1}}, command: "python metrics.py {state} {seed}"}
  fails: {parameters: {state: string}, command: "python fails.py {state}"}
  reads: {parameters: {data: path}, command: "python reads.py {data}"}
  registers: {parameters: {state: string}, command: "python registers.py {state}"}
"""
WORDS = """\
from dioptra import Flow, task

@task
def join():
    return " ".join({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"})

with Flow("words") as flow:
    join()
flow.run()
"""
TASKS = """\
import pathlib, sys
from dioptra import Flow, task

@task
def steady():
    return 1

@task
def read(after):
    return int(pathlib.Path(sys.argv[1]).read_text())

@task
def use(found):
    return found + 1

with Flow("counting") as flow:
    use(read(steady()))
flow.run()
"""
METRICS = """\
import pathlib, sys, mlflow
factor = float(pathlib.Path(sys.argv[1]).read_text())
with mlflow.start_run():
    mlflow.log_metrics({"accuracy": 0.5 * factor, "seconds_fit": 1000 * (factor - 1), "steady": 1.0})
"""
FAILS = """\
import pathlib, sys
state = pathlib.Path(sys.argv[1])
sys.exit(3 if state.exists() else 0)
"""
READS = "import sys; print(open(sys.argv[1]).read())"
REGISTERS = """\
import os, pathlib, subprocess, sys, time
from mlflow import MlflowClient
client = MlflowClient()
if not client.search_registered_models("name = 'sleeper'"):
    client.create_registered_model("sleeper")
client.create_model_version("sleeper", "file:///nowhere", run_id=os.environ["MLFLOW_RUN_ID"])
state = pathlib.Path(sys.argv[1])
if state.exists():
    child = subprocess.Popen(["sleep", "60"])
    state.write_text(str(child.pid))
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("verify")
    made = Workbench(folder / "home", folder)
    scripts = {"words_py": WORDS, "tasks_py": TASKS, "metrics_py": METRICS, "fails_py": FAILS}
    made.project("project", MLproject=MLPROJECT, **scripts, reads_py=READS, registers_py=REGISTERS)
    return made


def job(bench: Workbench, entry_point: str, **values: str) -> Job:
    """Return a job of the project, run once."""
    return bench.job(bench.project("project"), entry_point, **values)


def job_with_state(bench: Workbench, entry_point: str, content: str | None) -> tuple[Job, Path]:
    """Return a new job that found this in its state file, or no such file, and the file."""
    state = bench.folder / f"{entry_point}.state"
    if content is not None:
        state.write_text(content)
    return bench.run(bench.project("project"), entry_point, state=str(state)), state


def verify(bench: Workbench, address: str | Job, *args: str, code: int) -> Spoken:
    said = bench.dioptra("snapshot", "verify", address.id if isinstance(address, Job) else address, *args)
    assert said.code == code, said.out + said.err
    assert "Traceback" not in said.err
    return said


def broken(bench: Workbench, address: Job) -> str:
    """Verify a job that must be broken, and return why it is said to be."""
    said = verify(bench, address, "--json", code=1)
    (entry,) = said.json["jobs"]
    assert said.json["verdict"] == entry["verdict"] == "broken"
    assert f"job {address.id[:8]} ({address.entry_point})" in said.err
    return str(entry["why"])


@contextmanager
def kept(file: Path) -> Iterator[None]:
    """Put a file back as it was."""
    content = file.read_bytes()
    try:
        yield
    finally:
        file.write_bytes(content)


def test_what_depends_on_the_order_of_a_set_is_verified(bench: Workbench) -> None:
    first = job(bench, "words")

    said = verify(bench, first, code=0)

    again = bench.testbed.jobs()[-1]
    assert said.out.splitlines() == [
        f"job {first.id[:8]} (words), run again as {again.id[:8]}, verified: 0 metrics and 1 task the same",
        f"snapshot {first.snapshot} verified",
    ]
    assert said.err.splitlines() == [
        f"snapshot {first.snapshot}: 1 job to run again",
        f"job {first.id[:8]}, once more: words",
    ]
    assert (again.verifies, again.status, again.snapshot) == (first.id, "finished", first.snapshot)
    assert again.run_id
    run = bench.testbed.tracking.run(again.run_id)
    assert run.tags["dioptra.verifies"] == first.id
    assert run.tags["mlflow.runName"] == f"verify-words-{again.id[:8]}"
    assert f"verifies {first.id[:8]}" in bench.dioptra("snapshot", "show", first.snapshot).out


def test_a_snapshot_is_verified_by_the_last_job_of_each_values_and_not_by_repetitions(bench: Workbench) -> None:
    folder = bench.project("steps", MLproject="{entry_points: {main: {command: 'true'}, other: {command: 'true'}}}")
    first, twice, other = (bench.run(folder, entry, "steps") for entry in ("main", "main", "other"))

    said = verify(bench, "last", "--experiment", "steps", "--json", code=0).json
    again = verify(bench, first.snapshot, "-e", "main", "--json", code=0).json

    assert set(said) == {"snapshot", "verdict", "jobs"}
    assert (said["snapshot"], said["verdict"]) == (first.snapshot, "verified")
    assert [entry["job"] for entry in said["jobs"]] == [twice.id, other.id]
    assert [entry["job"] for entry in again["jobs"]] == [twice.id]
    keys = {"job", "entry_point", "verdict", "rerun", "why", "metrics", "task", "compared", "environment", "ignored"}
    assert set(said["jobs"][0]) == keys
    assert said["jobs"][0]["environment"] == []


def test_a_task_that_gives_something_else_has_drifted_and_is_the_first_one_named(bench: Workbench) -> None:
    first, state = job_with_state(bench, "tasks", "1")
    state.write_text("2")

    said = verify(bench, first, code=10)

    assert (
        f"(tasks), run again as {bench.testbed.jobs()[-1].id[:8]}, drifted: the results of tasks differ\n" in said.out
    )
    assert "  first task that differs: read of 'counting': value 2 instead of 1\n" in said.out
    assert said.out.endswith(f"snapshot {first.snapshot} drifted\n")
    with_tolerance = verify(bench, first, "--tolerance", "0.5", "--json", code=10)  # no metric can decide
    assert with_tolerance.json["jobs"][0]["task"]["task"] == "read"


def test_metrics_that_differ_are_told_with_how_much_and_can_be_left_out(bench: Workbench) -> None:
    first, state = job_with_state(bench, "metrics", "1")
    state.write_text("1.0000001")

    drifted = verify(bench, first, code=10)
    verified = verify(bench, first, "--ignore", "seconds*", "--tolerance", "1e-6", "--json", code=0).json["jobs"][0]

    assert (
        "drifted: 2 of 3 metrics differ\n  metric accuracy: 0.5 -> 0.50000005 (+5e-08)\n  metric seconds_fit: 0 -> "
        in drifted.out
    )
    assert "steady" not in drifted.out
    assert (verified["verdict"], verified["metrics"]) == ("verified", [])
    assert verified["compared"] == {"metrics": 2, "tasks": 0}
    assert verified["ignored"] == ["seconds_fit"]


def test_a_script_that_fails_now_is_broken_and_its_log_is_named(bench: Workbench) -> None:
    first, state = job_with_state(bench, "fails", None)
    state.touch()

    why = broken(bench, first)

    found = re.fullmatch(r"run again, it failed \(exit code 3\); see (.*)", why)
    assert found
    assert Path(found[1]).is_file()


def test_data_that_is_not_what_it_was_is_broken_and_nothing_is_run(bench: Workbench) -> None:
    data = bench.folder / "data.csv"
    data.write_text("1,2")
    first = job(bench, "reads", data=str(data))
    before = {path.name for path in (bench.home / "jobs").iterdir()}

    data.write_text("1,3")
    assert broken(bench, first) == f"the input 'data' ({data}) is not what it was: its content has another hash"
    data.unlink()
    assert f"parameter 'data': there is no file or folder '{data}'" in broken(bench, first)

    assert {path.name for path in (bench.home / "jobs").iterdir()} == before


def test_a_shared_folder_that_is_not_what_it_was_is_broken(bench: Workbench) -> None:
    folder = bench.project("sharing", MLproject="{name: sharing, entry_points: {main: {command: 'cat data/a'}}}")
    (folder / "dioptra.toml").write_text('share = ["data"]')
    (folder / "data").mkdir()
    (folder / "data" / "a").write_text("1")
    first = bench.run(folder)

    (folder / "data" / "b").touch()
    assert broken(bench, first) == "the shared folder 'data' is not what it was: its content has another hash"
    (folder / "data").rename(folder / "elsewhere")
    assert "the shared folder 'data' is not a folder of" in broken(bench, first)


def test_a_project_that_is_gone_does_no_harm_but_code_that_is_gone_does(bench: Workbench) -> None:
    code = "print('here')\n"
    folder = bench.project("going", MLproject="{name: going, entry_points: {main: {command: python a.py}}}", a_py=code)
    first = bench.run(folder)
    folder.rename(bench.folder / "gone")

    verify(bench, first, code=0)

    blob = hashlib.sha1(f"blob {len(code)}\0{code}".encode(), usedforsecurity=False).hexdigest()
    (bench.home / "experiments" / "going" / "code.git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert blob in broken(bench, first)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seeds": 1}', "inputs"])
def test_a_job_whose_conditions_are_damaged_is_broken(bench: Workbench, content: str) -> None:
    first = job(bench, "words")
    file = bench.testbed.paths(first).conditions_file

    with kept(file):
        whole = file.read_text()
        file.write_text(whole.replace('"inputs": {', '"inputs": {"a": 1') if content == "inputs" else content)
        assert f"what the job ran with cannot be read from '{file}'" in broken(bench, first)


def test_a_job_whose_run_is_gone_is_broken(bench: Workbench) -> None:
    first = bench.run(bench.project("project"), "words", "runless")
    with closing(sqlite3.connect(bench.testbed.home.tracking_file)) as connection, connection:
        connection.execute("DELETE FROM runs WHERE run_uuid = ?", [first.run_id])

    assert broken(bench, first) == f"its metrics cannot be read (Run with id={first.run_id} not found)"


def test_what_cannot_be_verified_is_refused(bench: Workbench) -> None:
    folder = bench.project("refused", MLproject="{name: refused, entry_points: {main: {command: 'false'}}}")
    failed = bench.run(folder)
    sentences = {
        (failed.id,): f"job {failed.id[:8]} failed: only a finished job can be verified",
        (failed.snapshot,): f"snapshot {failed.snapshot} has no finished job, so there is nothing to verify",
        (failed.snapshot, "-e", "x"): f"snapshot {failed.snapshot} has no finished job of entry point 'x', so there is",
    }

    for args, sentence in sentences.items():
        assert f"Error: {sentence}" in verify(bench, args[0], *args[1:], code=4).err
    assert verify(bench, failed, "--tolerance", "-1", code=2).out == ""


def test_a_store_that_does_not_answer_says_nothing_about_the_job(bench: Workbench) -> None:
    first = job(bench, "words")

    said = bench.dioptra("snapshot", "verify", first.id, MLFLOW_TRACKING_URI="http://127.0.0.1:9")

    assert (said.code, said.out) == (6, "")
    assert "http://127.0.0.1:9" in said.err


def test_another_environment_is_said_first(bench: Workbench) -> None:
    first = job(bench, "words")
    file = bench.testbed.paths(first).conditions_file
    with kept(file):
        conditions = json.loads(file.read_text())
        conditions["environment"]["packages"] |= {"numpy": "0.1", "gone": "3"}
        conditions["plugins"]["dioptra_builtins"] = "0" * 64
        file.write_text(json.dumps(conditions))
        said = verify(bench, first, "--json", code=0)

    environment: list[dict[str, Any]] = said.json["jobs"][0]["environment"]
    assert [entry["name"] for entry in environment] == ["gone", "numpy", "plugins dioptra_builtins"]
    assert said.err.splitlines()[1] == "Warning: not as recorded: gone: 3 -> (none)"
    assert said.err.splitlines()[2].startswith("Warning: not as recorded: numpy: 0.1 -> ")
    assert said.err.splitlines()[3].startswith("Warning: not as recorded: plugins dioptra_builtins: 000000000000 -> ")
    assert said.err.splitlines()[4] == f"job {first.id[:8]}, once more: words"


def test_a_repetition_leaves_no_model_and_ctrl_c_ends_all_of_it(bench: Workbench) -> None:
    first, state = job_with_state(bench, "registers", None)

    verify(bench, first, code=0)
    assert [version.run_id for version in versions(bench, "sleeper")] == [first.run_id]

    state.touch()
    process = bench.start("snapshot", "verify", first.id)
    child = int(wait_for(state))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "interrupted")
    assert "Traceback" not in err
    assert (bench.testbed.jobs()[-1].status, bench.testbed.jobs()[-1].verifies) == ("cancelled", first.id)
    assert is_gone(child)
    assert [version.run_id for version in versions(bench, "sleeper")] == [first.run_id]


def versions(bench: Workbench, name: str) -> list[Any]:
    from mlflow import MlflowClient

    return list(MlflowClient(bench.testbed.tracking.uri).search_model_versions(f"name = '{name}'"))


def test_the_demonstration_is_verified_and_without_a_seed_it_has_drifted(bench: Workbench) -> None:
    """The promise of the demonstration."""
    digits = example_dir("digits")
    seeded = bench.run(digits, "train", "digits", seed="1")
    unseeded = bench.run(digits, "train", "digits")

    verified = verify(bench, seeded, "--json", code=0).json["jobs"][0]
    drifted = verify(bench, unseeded, code=10)

    assert verified["compared"]["metrics"] == 1
    assert verified["compared"]["tasks"] > 10
    assert "first task that differs: init_rng of 'Train a classifier on handwritten digits': " in drifted.out
    assert {version.run_id for version in versions(bench, "digits")} == {seeded.run_id, unseeded.run_id}
