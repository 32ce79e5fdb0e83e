"""What the integration rung shares: PostgreSQL and S3, each started once; inference servers; captures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dioptra.experiment import Experiment, Library
from tests.integration.inference import BODY_LIMIT, TOKEN, Server, Start, start_server, starting
from tests.integration.repositories import Take, repository, taker
from tests.postgres import postgres

ACCESS_KEY, SECRET_KEY = "tester", "only for these tests"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a real PostgreSQL server."""
    with postgres() as server:
        yield server.get_uri()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment with which a process reaches a real S3 server."""
    folder = tmp_path_factory.mktemp("s3")
    ports = free_ports(10)
    process = subprocess.Popen(
        _weed_command(folder, ports),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=(folder / "weed.log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    environment = {
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{ports[0]}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        _wait_for_s3(environment, process, folder / "weed.log")
        yield environment
    finally:
        process.kill()  # nothing of it is kept
        process.wait()


def _weed_command(folder: Path, ports: list[int]) -> list[str]:
    program = str(Path(sys.executable).with_name("weed"))
    identity = {
        "name": "tester",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
             "filer.port", "filer.port.grpc")  # fmt: skip
    return [
        program, "server", "-s3", "-filer", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-master.telemetry=false", f"-s3.config={folder / 's3.json'}", "-master.volumeSizeLimitMB=64",
        "-volume.max=500", "-s3.port.iceberg=0", "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=False)),
    ]  # fmt: skip


def _wait_for_s3(environment: dict[str, str], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            client = s3_client(environment)
            bucket = f"ready-{time.monotonic_ns()}"
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key="x", Body=b"x")
            return
        except Exception:
            time.sleep(0.2)
    raise RuntimeError(f"the S3 server did not start:\n{log.read_text()[-2000:]}")


def s3_client(environment: dict[str, str]):  # type: ignore[no-untyped-def]
    """Return a client of the test's S3 server."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}, connect_timeout=1, read_timeout=5),
    )


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """A new experiment."""
    return Library(tmp_path / "library").open_experiment("x")


@pytest.fixture
def take(experiment: Experiment, tmp_path: Path) -> Take:
    """Capture a project, lay it out again, and return what lies there."""
    (tmp_path / "out").mkdir()
    return taker(experiment, tmp_path / "out")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A repository to make a submodule of."""
    return repository(tmp_path / "module", {"lib.py": "", ".gitignore": "*.tmp\n", "a.log": ""})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An inference server for tests that leave it as it was."""
    server = start_server(tmp_path_factory.mktemp("shared"), body_limit=BODY_LIMIT)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An inference server that wants a token."""
    server = start_server(tmp_path_factory.mktemp("guarded"), host="0.0.0.0", token=TOKEN)  # noqa: S104
    yield server
    server.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start inference servers that are stopped at the end."""
    with starting(tmp_path) as start:
        yield start
