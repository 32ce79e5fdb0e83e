"""Runs of MLflow: in the home's SQLite store, in PostgreSQL, with artifacts on S3."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dioptra.errors import InvalidParameterError, NotFoundError
from dioptra.tracking import Tracking
from tests.conftest import clean_environment
from tests.integration.conftest import s3_client

SCRIPT = """
import mlflow
with mlflow.start_run() as run:
    mlflow.log_metric("accuracy", 0.75)
    mlflow.log_text("content", "note.txt")
"""


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    home = tmp_path_factory.mktemp("home")
    return Tracking(database=home / "mlflow.db", artifacts=home / "artifacts")


def join(environment: dict[str, str], cwd: Path) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], env=clean_environment(**environment), cwd=cwd, check=True)


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_is_started_joined_and_ended(tracking: Tracking, tmp_path: Path, status: str) -> None:
    started = tracking.start("first", name="a run", parameters={"a": "1", "b": ""}, tags={"t": "x"})
    assert tracking.run(started.run_id).status == "RUNNING"

    join(started.environment(), tmp_path)
    tracking.end(started.run_id, status)

    run = tracking.run(started.run_id)
    assert (run.status, run.metrics, run.parameters) == (status, {"accuracy": 0.75}, {"a": "1", "b": ""})
    assert run.tags["t"] == "x"
    assert run.tags["mlflow.runName"] == "a run"
    assert tracking.download(started.run_id, "note.txt", tmp_path).read_text() == "content"
    assert list(tmp_path.glob("mlruns")) == []


def test_many_parameters_and_long_ones(tracking: Tracking) -> None:
    parameters = {f"p{n}": str(n) for n in range(250)} | {"long": "x" * 90_000}

    recorded = tracking.run(tracking.start("many", name="r", parameters=parameters, tags={}).run_id).parameters

    assert len(recorded) == 251
    assert recorded["p249"] == "249"
    assert recorded["long"] == "x" * 5997 + "..."  # what MLflow keeps of it


def test_one_experiment_however_many_start_it_at_once(tracking: Tracking) -> None:
    ids: list[str] = []
    tracking.start("before", name="r", parameters={}, tags={})

    def start() -> None:
        ids.append(tracking.start("together", name="r", parameters={}, tags={}).experiment_id)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 8
    assert len(set(ids)) == 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".", "-x", "a\nb", "x" * 101, "é/", "<b>", "a\0"])
def test_a_bad_name_is_refused(tracking: Tracking, name: str) -> None:
    with pytest.raises(InvalidParameterError, match="cannot be an experiment's name; use 1 to 100"):
        tracking.start(name, name="r", parameters={}, tags={})


def test_a_run_that_registered_nothing(tracking: Tracking) -> None:
    run_id = tracking.start("none", name="r", parameters={}, tags={}).run_id

    with pytest.raises(NotFoundError, match="registered no model"):
        tracking.registered_version(run_id)


def test_a_run_that_is_not_there(tracking: Tracking) -> None:
    with pytest.raises(NotFoundError, match="not found"):
        tracking.run("0" * 32)


def test_a_group_keeps_runs_in_postgresql_and_artifacts_on_s3(
    postgresql: str, s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_client(s3).create_bucket(Bucket="results")
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    from mlflow.tracking import MlflowClient

    tracking = Tracking(database=tmp_path / "unused.db", artifacts=tmp_path / "unused", uri=postgresql)
    MlflowClient(postgresql).create_experiment("group", artifact_location="s3://results/group")

    started = tracking.start("group", name="r", parameters={"a": "1"}, tags={})
    join(started.environment() | s3, tmp_path)
    tracking.end(started.run_id, "FINISHED")

    run = tracking.run(started.run_id)
    assert (run.status, run.metrics, run.parameters) == ("FINISHED", {"accuracy": 0.75}, {"a": "1"})
    assert tracking.download(started.run_id, "note.txt", tmp_path).read_text() == "content"
    keys = [entry["Key"] for entry in s3_client(s3).list_objects_v2(Bucket="results")["Contents"]]
    assert keys == [f"group/{started.run_id}/artifacts/note.txt"]
    assert not (tmp_path / "unused.db").exists()


def test_the_s3_server_of_these_tests_is_a_real_one(s3: dict[str, str]) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError):
        s3_client(s3 | {"AWS_SECRET_ACCESS_KEY": "wrong"}).list_buckets()
