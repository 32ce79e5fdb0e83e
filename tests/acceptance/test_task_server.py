"""`python my_script.py server`: predictions for other programs, of the last model or of a past version."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import pytest

from dioptra.experiment import Library
from dioptra.learning import PredictClient
from tests.acceptance.task_scripts import TaskFolder, make_task_folder
from tests.integration.inference import eventually

SESAME = "open-sesame"


@pytest.fixture(scope="module")
def mean(tmp_path_factory: pytest.TempPathFactory, made_store: Path) -> TaskFolder:
    """A task with two snapshots: the first predicts 3, the second 5."""
    folder = make_task_folder(tmp_path_factory.mktemp("served"), made_store)
    assert folder.run("train").code == 0
    folder.change()
    assert folder.run("train", "-m", "other data").code == 0
    return folder


@contextmanager
def serving(mean: TaskFolder, *args: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the server inside the block; gives its address and its process."""
    process = mean.start("server", *args)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.fullmatch(r"serving at (\S+); Ctrl-C ends it\n", said)
        assert found, said + process.stderr.read()
        yield found[1], process
    finally:
        process.kill()
        process.communicate()


def test_the_last_model_is_served(mean: TaskFolder) -> None:
    snapshot = Library(mean.home / "experiments").get_snapshot("last")
    with serving(mean) as (address, process), PredictClient(address) as client:
        assert address.startswith("http://127.0.0.1:")
        assert client.healthy()
        assert client.predict([[1.0], [2.0]]).tolist() == [5.0, 5.0]
        about = client.snapshot()
        process.send_signal(signal.SIGINT)
        process.wait(30)

    assert (about["snapshot"], about["commit"], about["comment"]) == (snapshot.name, snapshot.commit, "other data")
    assert about["model"] == "epoch2.txt"
    assert process.returncode == 0


def test_only_a_test_of_the_served_model_is_told(mean: TaskFolder) -> None:
    with serving(mean) as (address, _), PredictClient(address) as client:
        assert client.snapshot()["test_data"] == {}
    assert mean.run("test").code == 0
    with serving(mean) as (address, _), PredictClient(address) as client:
        assert client.snapshot()["test_data"] == {"error": 2.0}


def test_a_past_version_is_served_with_its_own_code(mean: TaskFolder) -> None:
    with serving(mean, "--snapshot", "last~1") as (address, _), PredictClient(address) as client:
        assert client.predict([[1.0]]).tolist() == [3.0]
        assert client.snapshot()["comment"] == "from the script"


def test_a_job_says_which_snapshot_it_serves(mean: TaskFolder, tmp_path: Path) -> None:
    shutil.copytree(mean.folder, tmp_path / "served")
    command = f"python mean.py server --socket {tmp_path}/s"
    (tmp_path / "served" / "MLproject").write_text(
        f"entry_points: {{train: {{command: python mean.py train}}, main: {{command: {command}}}}}"
    )
    argv = [sys.executable, "-m", "dioptra", "run", "."]
    environment, place = mean.environment(), tmp_path / "served"
    subprocess.run([*argv, "-e", "train"], cwd=place, env=environment, check=True, capture_output=True)
    with subprocess.Popen(argv, cwd=place, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            with PredictClient(f"unix:{tmp_path}/s") as client:
                assert eventually(client.healthy)
                about = client.snapshot()
        finally:
            process.send_signal(signal.SIGINT)

    assert about["snapshot"] == Library(mean.home / "experiments").get_snapshot("last").name
    assert about["model"] == "epoch2.txt"


def test_changed_code_serves_the_last_model_when_it_is_told_to(mean: TaskFolder, tmp_path: Path) -> None:
    (mean.folder / "notes.txt").touch()
    try:
        with serving(mean, "--ignore") as (address, _), PredictClient(address) as client:
            assert client.predict([[1.0]]).tolist() == [5.0]
    finally:
        (mean.folder / "notes.txt").unlink()


def test_a_unix_socket(mean: TaskFolder, tmp_path: Path) -> None:
    with serving(mean, "--socket", str(tmp_path / "s")) as (address, _), PredictClient(address) as client:
        assert client.predict([[1.0]]).tolist() == [5.0]
        with closing(HTTPConnection("any.name")) as connection:  # no web page can reach a file
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(tmp_path / "s"))
            connection.request("GET", "/snapshot")
            assert connection.getresponse().status == 200


def test_the_limits_can_be_set(mean: TaskFolder) -> None:
    limits = ("--max-batch", "3", "--max-wait", "40", "--queue-limit", "17")
    with serving(mean, *limits) as (address, _), urlopen(f"{address}/docs") as answer:  # noqa: S310  # on this machine
        page = answer.read().decode()
    assert "within 40 milliseconds are joined into batches of at most 3 samples; at most 17 samples wait." in page


def test_a_token(mean: TaskFolder, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SESAME}\n")
    with serving(mean, "--token-file", str(tmp_path / "token")) as (address, _):
        with PredictClient(address, token=SESAME) as client:
            assert client.predict([[1.0]]).tolist() == [5.0]
        with PredictClient(address) as client, pytest.raises(Exception, match="token"):
            client.predict([[1.0]])


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("--host", "0.0.0.0"), 2, "there is no token"),  # noqa: S104
        (("--token-file", "gone"), 7, "the token file 'gone' cannot be read"),
        (("--snapshot", "nope"), 3, "no snapshot 'nope' in experiment 'means'"),
        (("--port", "70000"), 2, "70000"),
        (("--socket", "s", "--port", "0"), 2, "--socket takes the place of --host and --port"),
        (("--max-batch", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_is_refused(mean: TaskFolder, args: tuple[str, ...], code: int, sentence: str) -> None:
    said = mean.run("server", *args)

    assert said.code == code, said
    assert sentence in said.err
