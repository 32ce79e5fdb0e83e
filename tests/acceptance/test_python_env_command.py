"""Projects with a python_env, through the command and a worker: built first, run in it, recorded, repeated."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dioptra.records import Job, JobStatus
from dioptra.worker import Conditions
from tests.acceptance.workbench import Workbench, is_gone, wait_for
from tests.conftest import Spoken
from tests.wheels import make_waiting_package, make_wheel

ROOT = Path(__file__).parents[2]
MLPROJECT = "name: asks\npython_env: python_env.yaml\nentry_points: {main: {command: python show.py}}\n"
SHOW = "import sys, tiny\nprint(tiny.VERSION, sys.prefix)\n"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    make_wheel(tmp_path / "wheels", "tiny", "1.0")
    make_wheel(tmp_path / "wheels", "tiny", "2.0")
    make_wheel(tmp_path / "wheels", "dioptra-testbed", "0.0.1")  # a project that names it gets the one that it names
    return Workbench(tmp_path / "home", tmp_path)


def asking(bench: Workbench, *lines: str) -> Path:
    """Make a project that asks for packages."""
    folder = bench.project("project", MLproject=MLPROJECT, show_py=SHOW)
    text = "".join(f"- {line}\n" for line in ("dioptra-testbed", *lines))
    (folder / "python_env.yaml").write_text(f"dependencies:\n{text}")
    return folder


def offline(bench: Workbench) -> dict[str, str]:
    wheels, cache = str(bench.folder / "wheels"), str(bench.folder / "cache")
    return {"PIP_NO_INDEX": "1", "UV_FIND_LINKS": wheels, "UV_CACHE_DIR": cache, "UV_PYTHON_DOWNLOADS": "never"}


def dioptra(bench: Workbench, *args: str) -> Spoken:
    return bench.dioptra(*args, cwd=None, **offline(bench))


def conditions(bench: Workbench, job: Job) -> Conditions:
    return Conditions.load(bench.testbed.paths(job))


def test_a_job_runs_in_the_environment_that_its_project_asks_for(bench: Workbench) -> None:
    asking(bench, "tiny<2")

    first = dioptra(bench, "run", "project")
    second = dioptra(bench, "run", "project", "--json")

    (env,) = (path for path in (bench.home / "envs").iterdir() if path.is_dir())
    assert (first.code, first.out) == (0, f"1.0 {env}\n"), first.err
    assert first.err.splitlines()[0] == "building the environment of python_env.yaml (2 dependencies) ..."
    assert "building" not in second.err
    found = conditions(bench, bench.testbed.job(second.json["job"]))
    assert found.env_manager == "uv"
    assert found.environment["python_env"] == env.name
    assert found.environment["packages"] == {"dioptra-testbed": "0.0.1", "tiny": "1.0"}
    assert f"python_env   {env.name[:12]}, CPython" in dioptra(bench, "job", "show", second.json["job"]).out
    assert dioptra(bench, "job", "show", second.json["job"], "--json").json["environment"]["python_env"] == env.name


def test_what_differs_is_shown_and_a_repetition_has_the_same(bench: Workbench) -> None:
    before = dioptra(bench, "run", str(asking(bench, "tiny<2")), "--json").json["job"]
    after = dioptra(bench, "run", str(asking(bench, "tiny")), "--json").json["job"]

    different = dioptra(bench, "snapshot", "diff", before, after).out
    again = dioptra(bench, "snapshot", "verify", before)
    waiting = dioptra(bench, "job", "retry", after)
    dioptra(bench, "worker", "--burst")

    assert "    tiny: 1.0 -> 2.0" in different
    assert "    python_env: " in different
    assert (again.code, again.out.splitlines()[-1].split()[-1]) == (0, "verified")
    assert "not as recorded" not in again.err
    rerun = bench.testbed.job(waiting.out.strip())
    assert rerun.status is JobStatus.FINISHED, rerun.reason
    assert conditions(bench, rerun).environment == conditions(bench, bench.testbed.job(after)).environment


def test_a_repetition_says_which_packages_are_not_as_recorded(bench: Workbench) -> None:
    job = dioptra(bench, "run", str(asking(bench, "tiny<2")), "--json").json["job"]
    for path in (bench.home / "envs").glob("*/lib/python*/site-packages/tiny-1.0.dist-info"):
        path.rename(path.with_name("tiny-1.5.dist-info"))

    assert "Warning: not as recorded: tiny: 1.0 -> 1.5" in dioptra(bench, "snapshot", "verify", job).err


def test_a_worker_builds_too_and_says_so(bench: Workbench) -> None:
    asking(bench, "tiny")
    job_id = dioptra(bench, "submit", "project").out.strip()

    worker = dioptra(bench, "worker", "--burst")

    job = bench.testbed.job(job_id)
    assert job.status is JobStatus.FINISHED, job.reason
    assert f"job {job_id[:8]}: building the environment of python_env.yaml (2 dependencies) ..." in worker.err
    assert bench.testbed.paths(job).log_file.read_text().startswith("2.0 ")


def test_an_environment_that_cannot_be_built_is_one_sentence_and_no_job(bench: Workbench) -> None:
    asking(bench, "not-there")

    said = dioptra(bench, "run", "project")

    assert said.code == 7
    place = bench.folder / "project" / "python_env.yaml"
    assert said.err.splitlines()[-1].startswith(f"Error: {place}: the environment cannot be built (No solution")
    assert len(said.err.splitlines()) == 2
    assert not (bench.home / "jobs").exists()


def test_a_job_whose_environment_cannot_be_built_fails_on_a_worker(bench: Workbench) -> None:
    asking(bench, "not-there")
    job_id = dioptra(bench, "submit", "project").out.strip()

    dioptra(bench, "worker", "--burst")

    job = bench.testbed.job(job_id)
    assert (job.status, job.run_id) == (JobStatus.FAILED, None)
    assert "python_env.yaml: the environment cannot be built (No solution" in job.reason


def test_local_runs_in_that_of_the_testbed(bench: Workbench) -> None:
    project = asking(bench, "not-there")
    (project / "show.py").write_text("import dioptra, sys\nprint(sys.prefix)\n")

    here = dioptra(bench, "run", "project", "--env-manager", "local", "--json")
    there = dioptra(bench, "submit", "project", "--env-manager", "local").out.strip()
    dioptra(bench, "worker", "--burst")
    again = dioptra(bench, "snapshot", "verify", here.json["job"])

    assert here.code == 0, here.err
    assert bench.testbed.job(there).status is JobStatus.FINISHED
    assert again.code == 0, again
    assert not (bench.home / "envs").exists()
    assert "python_env " not in dioptra(bench, "job", "show", there).out


@pytest.mark.parametrize("kind", ["conda_env: conda.yaml", "docker_env: {image: x}"])
def test_other_environments_are_refused_when_planned(bench: Workbench, kind: str) -> None:
    bench.project("other", MLproject=f"name: other\n{kind}\nentry_points: {{main: {{command: ls}}}}\n")

    for command in ("run", "submit"):
        said = dioptra(bench, command, "other")
        assert said.code == 7
        assert f"MLproject line 2: {kind.partition(':')[0]} is not an environment that can be built" in said.err
        assert said.err.rstrip().endswith("is installed with --env-manager local, as 0.x did")
    assert not bench.home.exists()
    assert dioptra(bench, "run", "other", "--env-manager", "local").code == 0


def test_a_file_that_was_not_captured_is_named(bench: Workbench) -> None:
    (asking(bench, "tiny") / ".dioptraignore").write_text("python_env.yaml\n")

    said = dioptra(bench, "run", "project")

    assert said.code == 7
    assert "only what was captured is there when a job runs" in said.err
    assert f"{bench.folder}/project/MLproject line 2: python_env: 'python_env.yaml' is not there" in said.err


def test_a_program_of_the_environment_is_looked_for_when_it_is_built(bench: Workbench) -> None:
    project = asking(bench, "tiny")
    (project / "MLproject").write_text(MLPROJECT.replace("python show.py", "not-there --help"))

    said = dioptra(bench, "run", "project")

    assert said.code == 7
    assert "the program 'not-there' was not found on the PATH" in said.err
    assert (bench.home / "envs").exists()
    assert not (bench.home / "jobs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_ends_uv_and_keeps_no_job(bench: Workbench, number: int) -> None:
    make_waiting_package(bench.folder / "wheels", bench.folder / "place")
    asking(bench, "waits")
    process = bench.start("run", "project", cwd=None, **offline(bench))
    backend = int(wait_for(bench.folder / "place" / "started"))

    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert is_gone(backend)
    assert not (bench.home / "jobs").exists()
    assert not [path for path in (bench.home / "envs").iterdir() if path.is_dir()]


def test_a_job_that_is_cancelled_while_its_environment_is_built_is_cancelled(bench: Workbench) -> None:
    make_waiting_package(bench.folder / "wheels", bench.folder / "place")
    asking(bench, "waits")
    job_id = dioptra(bench, "submit", "project").out.strip()
    worker = bench.start("worker", "--burst", cwd=None, **offline(bench))
    backend = int(wait_for(bench.folder / "place" / "started"))

    dioptra(bench, "job", "cancel", job_id)
    worker.communicate(timeout=60)

    assert bench.testbed.job(job_id).status is JobStatus.CANCELLED
    assert is_gone(backend)


@pytest.mark.own_environment
def test_a_script_has_the_testbed_mlflow_and_what_it_asks_for(tmp_path: Path) -> None:
    bench = Workbench(tmp_path / "home", tmp_path)
    script = """\
import dioptra, dioptra_builtins, mlflow, six, sys
from dioptra import Flow, task

@task
def number():
    return 3

with Flow("own") as flow:
    number()
flow.run()
mlflow.log_metric("m", 1.0)
print(six.__version__, mlflow.__version__, sys.prefix)
"""
    project = bench.project("full", MLproject=MLPROJECT.replace("asks", "full"), show_py=script)
    (project / "python_env.yaml").write_text("dependencies: [-r requirements.txt]\n")
    (project / "requirements.txt").write_text("six==1.17.0\n")

    said = bench.dioptra("run", "full", "--json", UV_CONSTRAINT=str(ROOT / "constraints.txt"))

    assert said.code == 0, said.err
    six, mlflow, prefix = next(line for line in said.out.splitlines() if line.startswith("1.")).split()
    job = bench.testbed.job(said.json["job"])
    found = conditions(bench, job).environment
    assert (six, found["packages"]["six"]) == ("1.17.0", "1.17.0")
    assert found["packages"]["mlflow"] == mlflow
    assert {"dioptra-testbed", "numpy"} <= found["packages"].keys()
    assert "pytest" not in found["packages"]
    assert Path(prefix) == bench.home / "envs" / found["python_env"]
    assert bench.testbed.tracking.run(str(job.run_id)).metrics["m"] == 1.0
    assert [flow.flow for flow in bench.testbed.flows(job)] == ["own"]
    assert bench.dioptra("snapshot", "verify", job.id).code == 0
