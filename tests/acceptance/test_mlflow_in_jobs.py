"""MLflow, however a script uses it: threads and processes log to the job's run, other runs are what was meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, Spoken

MakeProject = Callable[..., Path]


@dataclass
class Ran:
    said: Spoken
    client: Any

    @property
    def run(self) -> Any:
        return self.client.get_run(self.said.json["run_id"])

    def other_runs(self) -> list[Any]:
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        job = f"tags.`dioptra.jobId` = '{self.said.json['job']}'"
        found = self.client.search_runs(experiments, filter_string=job)
        return [run for run in found if run.info.run_id != self.said.json["run_id"]]


@pytest.fixture
def ran(dioptra: Command, project: MakeProject, tmp_path: Path) -> Callable[[str], Ran]:
    """Run a script as a job in a home of its own, and look into its store."""

    def call(script: str, *more: str) -> Ran:
        from mlflow.tracking import MlflowClient

        folder = project("name: digits\nentry_points: {main: {command: python script.py}}", script=script)
        said = dioptra("run", str(folder), "--json", *more, home=tmp_path / "home")
        return Ran(said, MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}"))

    return call


IN_THREADS = """
import threading, mlflow

def work(n):
    mlflow.log_metric(f"m{n}", n)
    mlflow.log_param(f"p{n}", n)

with mlflow.start_run():
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    mlflow.log_metric("last", mlflow.get_run(mlflow.active_run().info.run_id).info.status == "RUNNING")
"""

BEFORE_THE_SCRIPT_JOINS = """
import threading, mlflow
t = threading.Thread(target=lambda: mlflow.log_metric("early", 1)); t.start(); t.join()
with mlflow.start_run() as run:
    mlflow.log_metric("late", 2)
t = threading.Thread(target=lambda: mlflow.log_metric("after", 3)); t.start(); t.join()
mlflow.log_metric("at_the_end", 4)
"""

IN_PROCESSES = """
import multiprocessing, subprocess, sys, mlflow

def work(n):
    mlflow.log_metric(f"m{n}", n)

if __name__ == "__main__":
    with mlflow.start_run():
        for n, method in enumerate(("fork", "spawn")):
            p = multiprocessing.get_context(method).Process(target=work, args=(n,)); p.start(); p.join()
            assert p.exitcode == 0
        subprocess.run([sys.executable, "-c", "import mlflow; mlflow.log_metric('m2', 2)"], check=True)
        mlflow.log_metric("last", mlflow.get_run(mlflow.active_run().info.run_id).info.status == "RUNNING")
"""


BEFORE_A_CHILD = """
import os, subprocess, sys, mlflow
subprocess.run([sys.executable, "-c", "import mlflow; mlflow.log_metric('child', 1)"], check=True)
mlflow.log_metric("running", mlflow.get_run(os.environ["DIOPTRA_RUN_ID"]).info.status == "RUNNING")
"""


@pytest.mark.parametrize(
    ("script", "metrics"),
    [
        (BEFORE_A_CHILD, {"child": 1, "running": 1}),
        (IN_THREADS, {"m0": 0, "m1": 1, "m2": 2, "m3": 3, "last": 1}),
        (BEFORE_THE_SCRIPT_JOINS, {"early": 1, "late": 2, "after": 3, "at_the_end": 4}),
        (IN_PROCESSES, {"m0": 0, "m1": 1, "m2": 2, "last": 1}),
    ],
)
def test_whoever_logs_logs_to_the_run_of_the_job(
    ran: Callable[[str], Ran], script: str, metrics: dict[str, float]
) -> None:
    job = ran(script)

    assert job.said.code == 0, job.said.out
    assert job.run.data.metrics == metrics
    assert job.run.info.status == "FINISHED"
    assert job.other_runs() == []


SECOND = """
import mlflow
with mlflow.start_run(): mlflow.log_metric("first", 1)
with mlflow.start_run(run_name="second"): mlflow.log_metric("second", 2)
"""
NESTED = """
import mlflow
with mlflow.start_run():
    with mlflow.start_run(nested=True, run_name="second"): mlflow.log_metric("second", 2)
    mlflow.log_metric("first", 1)
"""
IN_A_THREAD_OF_ITS_OWN = """
import threading, mlflow
def trial():
    with mlflow.start_run(run_name="second"): mlflow.log_metric("second", 2)
with mlflow.start_run():
    t = threading.Thread(target=trial); t.start(); t.join()
    mlflow.log_metric("first", 1)
"""
IN_A_THREAD_FIRST = """
import threading, mlflow
def trial():
    with mlflow.start_run(run_name="second"): mlflow.log_metric("second", 2)
t = threading.Thread(target=trial); t.start(); t.join()
with mlflow.start_run(): mlflow.log_metric("first", 1)
"""
IN_A_THREAD_OF_A_NESTED_RUN = """
import threading, mlflow
with mlflow.start_run():
    mlflow.log_metric("first", 1)
    with mlflow.start_run(nested=True, run_name="second"):
        t = threading.Thread(target=mlflow.log_metric, args=("second", 2)); t.start(); t.join()
"""
BY_CLIENT = """
import mlflow, os
client = mlflow.MlflowClient()
run = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], run_name="second")
client.log_metric(run.info.run_id, "second", 2)
client.set_terminated(run.info.run_id)
with mlflow.start_run(): mlflow.log_metric("first", 1)
"""


@pytest.mark.parametrize(
    "script", [SECOND, NESTED, IN_A_THREAD_OF_ITS_OWN, IN_A_THREAD_FIRST, IN_A_THREAD_OF_A_NESTED_RUN, BY_CLIENT]
)
def test_a_run_that_the_script_starts_is_its_own_and_carries_the_job(ran: Callable[[str], Ran], script: str) -> None:
    job = ran(script)

    assert job.said.code == 0, job.said.out
    assert job.run.data.metrics == {"first": 1}
    (other,) = job.other_runs()
    assert other.data.metrics == {"second": 2}
    assert other.info.run_name == "second"
    assert other.info.status == "FINISHED"
    if script is NESTED:
        assert other.data.tags["mlflow.parentRunId"] == job.said.json["run_id"]


def test_the_experiment_of_the_job_may_be_set_again(ran: Callable[[str], Ran]) -> None:
    job = ran("import mlflow\nmlflow.set_experiment('digits')\nwith mlflow.start_run(): mlflow.log_metric('m', 1)")

    assert job.said.code == 0, job.said.out
    assert job.run.data.metrics == {"m": 1}


def test_another_experiment_is_explained(ran: Callable[..., Ran]) -> None:
    script = "import mlflow\nmlflow.set_experiment('mnist')\nwith mlflow.start_run(): mlflow.log_metric('m', 1)"
    job = ran(script)

    assert job.said.code == 1
    assert "the script asks for experiment 'mnist', but the job's run is in 'digits'; run it with" in job.said.out
    assert job.client.get_experiment_by_name("mnist") is None
    assert job.run.info.status == "FAILED"


def test_a_later_run_may_be_in_another_experiment(ran: Callable[[str], Ran], tmp_path: Path) -> None:
    script = (
        "import mlflow\nwith mlflow.start_run(): mlflow.log_metric('m', 1)\n"
        "mlflow.set_experiment('mnist')\nwith mlflow.start_run(): mlflow.log_text('x', 'x.txt')"
    )
    job = ran(script)

    assert job.said.code == 0, job.said.out
    (other,) = job.other_runs()
    assert other.info.experiment_id == job.client.get_experiment_by_name("mnist").experiment_id
    assert other.info.artifact_uri.startswith((tmp_path / "home" / "artifacts").as_uri())


def test_a_sitecustomize_of_the_user_has_its_turn(dioptra: Command, project: MakeProject, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sitecustomize.py").write_text("import os; os.environ['MINE'] = 'was here'")
    script = (
        "import os, sys; print(os.environ.get('MINE'), 'mlflow' in sys.modules, sys.meta_path[0].__class__.__name__)"
    )
    folder = project("entry_points: {main: {command: python script.py}}", script=script)

    without = dioptra("run", str(folder))
    with_one = dioptra("run", str(folder), PYTHONPATH=str(tmp_path / "mine"))

    assert without.out == "None False _Watcher\n"
    assert with_one.out == "was here False _Watcher\n"
