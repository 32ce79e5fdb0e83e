"""Bad input: one sentence, the right exit code, no traceback, nothing half written."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Command

GOOD = """\
name: good
entry_points:
  train: {command: 'python train.py --eps {eps} --data {data}', parameters: {eps: float, data: path}}
  infer: {command: "true"}
  shell: {command: 'a && b "{eps}"', parameters: {eps: float}}
  typo: {command: pyhton x.py}
  closed: {command: ./closed.sh}
"""


@pytest.fixture
def good(project: Callable[..., Path]) -> Path:
    folder = project(GOOD)
    (folder / "closed.sh").write_text("#!/bin/sh\n")
    return folder


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["run", "nowhere"], 7, "there is no folder"),
        (["run", "empty"], 7, "no MLproject file in"),
        (["run", "project"], 3, "no entry point 'main' (have: closed, infer, shell, train, typo)"),
        (["run", "project", "-e", "trian"], 3, "no entry point 'trian'; did you mean 'train'? (have: "),
        (["run", "project", "-e", "train"], 7, "missing parameters 'eps' (float), 'data' (path); give -P eps=..."),
        (
            ["run", "project", "-e", "train", "-P", "eps=abc", "-P", "data=."],
            7,
            "parameter 'eps': 'abc' is not a number",
        ),
        (["run", "project", "-e", "train", "-P", "eps=1", "-P", "data=gone"], 7, "there is no file or folder"),
        (["run", "project", "-e", "infer", "-P", "eps"], 2, "-P 'eps' is not a parameter; write -P name=value"),
        (["run", "project", "-e", "infer", "-P", "a=1", "-P", "a=2"], 2, "-P a is given twice ('1' and '2')"),
        (["run", "project", "-e", "infer", "--experiment", "../x"], 7, "'../x' cannot be an experiment's name"),
        (["run", "project", "-e", "shell", "-P", "eps=1"], 7, "the command uses {eps} inside quotes; take the quotes"),
        (["run", "project", "-e", "typo"], 7, "the program 'pyhton' was not found on the PATH"),
        (["run", "project", "-e", "closed"], 7, "the program './closed.sh' cannot be executed"),
        (["job", "show", "nope"], 3, "no job 'nope'"),
        (["job", "show", ""], 3, "no job ''"),
        (["job", "logs", "../x"], 3, "no job '../x'"),
        (["init", "project/MLproject"], 2, "is not a folder"),
        (
            ["init", "new", "--example", "nope"],
            3,
            "there is no example 'nope' (have: digits, digits_sklearn, digits_torch)",
        ),
    ],
)
def test_one_sentence_and_an_exit_code(
    dioptra: Command, good: Path, tmp_path: Path, args: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    home = tmp_path / "home"

    said = dioptra(*args, home=home)

    assert said.code == code, said
    assert said.err.startswith("Error: ")
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert not home.exists()
    assert not (tmp_path / "new").exists()


def test_an_error_is_json_when_json_is_asked_for(dioptra: Command, good: Path) -> None:
    said = dioptra("run", str(good), "-e", "trian", "--json")

    assert said.code == 3
    assert said.json == {
        "error": {
            "code": "entry-point-not-found",
            "message": "no entry point 'trian'",
            "where": str(good / "MLproject"),
            "hint": "did you mean 'train'? (have: closed, infer, shell, train, typo)",
        }
    }


@pytest.mark.parametrize("args", [["rnu"], ["run", "--nope"], ["run", "a", "b"], ["job"], ["job", "nope"]])
def test_wrong_use_is_2(dioptra: Command, args: list[str]) -> None:
    said = dioptra(*args)

    assert said.code == 2
    assert "Usage: " in said.err + said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--help"],
        ["-h"],
        ["run", "-h"],
        ["job", "-h"],
        ["demo", "-h"],
        ["init", "-h"],
        ["submit", "-h"],
        ["worker", "-h"],
    ],
)
def test_help_fits_a_screen(dioptra: Command, args: list[str]) -> None:
    said = dioptra(*args)

    assert "Usage: dioptra" in said.out + said.err
    assert len((said.out + said.err).splitlines()) <= 24


def test_a_home_that_is_a_file(dioptra: Command, good: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    said = dioptra("run", str(good), "-e", "infer", home=tmp_path / "file")

    assert said.code == 2
    assert "cannot be made" in said.err
    assert "set DIOPTRA_HOME to a folder that you can write to" in said.err


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+pymysql"])
def test_a_store_that_is_not_there(dioptra: Command, good: Path, tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}://user:s3cret%21@127.0.0.1:{free_port()}/x"
    home = tmp_path / "home"

    said = dioptra("run", str(good), "-e", "infer", "--json", home=home, MLFLOW_TRACKING_URI=uri)

    assert said.code == 6
    assert "cannot be reached (Connection refused); check MLFLOW_TRACKING_URI" in said.err
    assert "s3cret" not in said.err + said.out
    assert json.loads(said.out)["error"]["code"] == "store-unreachable"
    assert not list(home.glob("jobs/*"))


@pytest.mark.parametrize("uri", ["nonsense://x", "sqlite:////nowhere/at/all.db/x", "http://127.0.0.1:port"])
def test_a_store_that_cannot_be(dioptra: Command, good: Path, tmp_path: Path, uri: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").touch()
    uri = uri.replace("/nowhere", str(tmp_path / "home" / "file"))

    said = dioptra("run", str(good), "-e", "infer", home=tmp_path / "home", MLFLOW_TRACKING_URI=uri)

    assert said.code == 6, said
    assert "Traceback" not in said.err
    assert not list((tmp_path / "home").glob("jobs/*"))


def test_a_store_that_is_no_database(dioptra: Command, good: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "mlflow.db").write_bytes(b"this is no database" * 100)

    said = dioptra("run", str(good), "-e", "infer", home=home)

    assert said.code == 6
    assert "cannot be used (file is not a database)" in said.err
    assert "Traceback" not in said.err


def test_an_experiment_that_was_deleted(dioptra: Command, good: Path, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    home = tmp_path / "home"
    assert dioptra("run", str(good), "-e", "infer", home=home).code == 0
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    client.delete_experiment(client.get_experiment_by_name("good").experiment_id)

    said = dioptra("run", str(good), "-e", "infer", home=home)

    assert said.code == 4
    assert "experiment 'good' was deleted from the tracking store; restore it" in said.err
