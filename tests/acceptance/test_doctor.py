"""`dioptra doctor` and `dioptra completion`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Command, clean_environment


def test_everything_is_in_order_here(dioptra: Command, tmp_path: Path) -> None:
    said = dioptra("doctor", "--json", home=tmp_path / "home")
    states = {finding["name"]: finding["state"] for finding in said.json["findings"]}

    assert (said.code, said.json["wrong"]) == (0, 0), said.out
    assert states["mlflow"] == states["git"] == states["home"] == states["tracking store"] == states["jobs"] == "ok"
    assert not (tmp_path / "home").exists()  # nothing is made
    assert "nothing is wrong" in dioptra("doctor", home=tmp_path / "home").out


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"DIOPTRA_HOEM": "x"}, "DIOPTRA_HOEM .* is not a setting; did you mean 'DIOPTRA_HOME'?"),
        ({"DIOPTRA_PLUGIN_DIR": "/nowhere"}, "DIOPTRA_PLUGIN_DIR .* /nowhere is not a folder"),
        ({"DIOPTRA_HOME": "/dev/null/x"}, "home .* cannot be written to; set DIOPTRA_HOME"),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, "tracking store .* cannot be reached"),
        ({"MLFLOW_TRACKING_URI": "sqlite:////nonexistent/x.db"}, "tracking store .* in a folder that does not exist"),
        ({"DIOPTRA_HOME": "/srv/ho?me"}, "tracking store .* has '?' in its path"),
    ],
)
def test_what_is_wrong_is_said(dioptra: Command, environment: dict[str, str], sentence: str) -> None:
    said = dioptra("doctor", **environment)
    wrong = [line for line in said.out.splitlines() if line.startswith("wrong")]

    assert said.code == 1
    assert len(wrong) == 1
    for part in sentence.split(" .* "):
        assert part in wrong[0]
    assert "\n1 wrong" in said.out


def test_no_password_is_shown(dioptra: Command) -> None:
    for url in ("postgresql://bob:hunter2@127.0.0.1:1/x", "postgresql://bob:12/hunter2@127.0.0.1:1/x"):
        for command in (["doctor"], ["submit", "."], ["worker"], ["job", "list"]):
            said = dioptra(*command, DIOPTRA_DATABASE_URL=url)

            assert said.code != 0
            assert "hunter2" not in said.out + said.err, (command, said)


def test_a_variable_of_0x_is_no_mistake(dioptra: Command) -> None:
    said = dioptra("doctor", DIOPTRA_RESTAPI_URI="http://localhost")

    assert said.code == 0
    assert "belongs to Dioptra 0.x and means nothing here" in said.out


def test_a_store_that_is_there_answers(dioptra: Command, project: Callable[..., Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    dioptra("run", str(project("entry_points: {main: {command: 'true'}}")), home=home)

    said = dioptra("doctor", home=home)

    assert "it answers, 2 experiments" in said.out
    assert "1 jobs" in said.out


def complete(words: str, cwd: Path, home: Path) -> list[str]:
    environment = clean_environment(
        DIOPTRA_HOME=str(home), _DIOPTRA_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    done = subprocess.run(
        [sys.executable, "-m", "dioptra"], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_the_shell_completes_what_can_be_typed(dioptra: Command, project: Callable[..., Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = project("entry_points: {train: {command: 'true', parameters: {seed: {default: 1}, rate: {default: 2}}}}")
    job_id = dioptra("run", str(folder), "-e", "train", "--json", home=home).json["job"]

    assert complete("dioptra r", folder, home) == ["run"]
    assert complete("dioptra run -e ", folder, home) == ["train"]
    assert complete("dioptra run . -e train -P ", folder, home) == ["seed=", "rate="]
    assert complete("dioptra run . -e train -P s", folder, home) == ["seed="]
    assert complete(f"dioptra job show {job_id[:2]}", folder, home) == [job_id[:8]]
    assert complete("dioptra run -e ", tmp_path, home) == []
    assert complete("dioptra run project -e ", tmp_path, home) == ["train"]
    assert complete("dioptra run project --experiment x -e train -P r", tmp_path, home) == ["rate="]
    assert complete(f"dioptra job show {job_id[:12]}", folder, home) == [job_id]
    assert complete("dioptra init mine --example d", tmp_path, home) == ["digits", "digits_sklearn", "digits_torch"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(dioptra: Command, shell: str) -> None:
    said = dioptra("completion", shell)

    assert said.code == 0
    assert f"_DIOPTRA_COMPLETE={shell}_complete" in said.out
