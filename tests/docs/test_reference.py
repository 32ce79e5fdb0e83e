"""The reference names everything that there is, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dioptra import errors, settings
from dioptra.cli._main import cli
from dioptra.errors import DioptraError

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def headings(name: str, level: str) -> list[str]:
    return re.findall(rf"^{level} `?([^`\n]+)`?$", page(name), re.MULTILINE)


def commands(group: click.Group, path: str = "dioptra") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_settings() -> None:
    assert headings("settings", "###") == [
        setting.variable for who in ("user", "testbed") for setting in settings.SETTINGS if setting.set_by == who
    ]
    for setting in settings.SETTINGS:
        assert setting.sentence in page("settings")


def test_errors() -> None:
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, DioptraError)]

    assert headings("errors", "##") == sorted(error.__name__ for error in found)
    for error in found:
        assert (error.__doc__ or "").splitlines()[0] in page("errors")
        assert f"Code `{error.code}`, exit code {error.exit_code}, HTTP status {error.http_status};" in page("errors")


def test_commands() -> None:
    assert headings("commands", "##") == sorted(path for path, _ in commands(cli))


@pytest.mark.parametrize("path", [path for path, _ in commands(cli)])
def test_each_option_of_a_command(path: str) -> None:
    command = dict(commands(cli))[path]
    section = page("commands").partition(f"## {path}\n")[2].partition("\n## ")[0]

    for parameter in command.params:
        is_option = isinstance(parameter, click.Option)
        words = parameter.opts if is_option else [parameter.make_metavar(click.Context(command))]
        assert any(word.strip("[]") in section for word in words), f"{path} {words}"


def test_the_public_names_of_the_testbed() -> None:
    from dioptra import testbed

    for name in testbed.__all__:
        assert re.search(rf"\b{name}\b", page("testbed")), name


def test_the_public_names_of_experiments() -> None:
    from dioptra import experiment

    for name in experiment.__all__:
        assert re.search(rf"\b{name}\b", page("experiments")), name


@pytest.mark.parametrize(
    "noun", ["Capture", "Changes", "Data", "Experiment", "Library", "Logger", "Snapshot", "SnapshotRecord"]
)
def test_the_verbs_and_fields_of(noun: str) -> None:
    from dioptra import experiment

    public = {name for name in dir(getattr(experiment, noun)) if not name.startswith("_")}

    assert [name for name in sorted(public) if not re.search(rf"\b{name}\b", page("experiments"))] == []


def test_the_public_names_of_learning() -> None:
    from dioptra import learning

    headings_there = headings("learning", "##")
    assert [name for name in learning.__all__ if name not in (*headings_there, "Task")] == []
    assert "`Task` is the same class" in page("learning")


@pytest.mark.parametrize(
    "noun",
    [
        "BaseTask",
        "Life",
        "ModelFiles",
        "NoRecord",
        "PredictClient",
        "Record",
        "SklearnTask",
    ],  # PytorchTask: where torch is tested
)
def test_the_steps_and_fields_of(noun: str) -> None:
    from dioptra import learning

    public = {name for name in dir(getattr(learning, noun)) if not name.startswith("_")}

    assert [name for name in sorted(public) if not re.search(rf"\b{name}\b", page("learning"))] == []


def test_the_commands_of_a_script() -> None:
    from dioptra.learning._command_line import _commands
    from dioptra.learning._session import Session

    group = _commands(Session(None, Path("my_script.py")), None)  # type: ignore[arg-type]  # none is run

    assert headings("learning", "###")[: len(group.commands)] == list(group.commands)
    for name, command in group.commands.items():
        section = page("learning").partition(f"### {name}\n")[2].partition("\n### ")[0]
        for parameter in command.params:
            words = parameter.opts if isinstance(parameter, click.Option) else [str(parameter.name).upper()]
            assert any(word in section for word in words), f"{name} {words}"


def test_the_routes_and_answers_of_the_inference_server() -> None:
    from dioptra.learning._serve import Served, make_app

    app = make_app(Served(predict=lambda batch: batch, sample_shape=None, snapshot={}))
    section = page("learning").partition("\n## The server\n")[2]

    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            assert f"`{method.upper()} {path}`" in section
            assert [status for status in operation["responses"] if status not in section] == []


def test_the_keys_of_dioptra_toml() -> None:
    from dioptra.experiment import ProjectSettings

    section = page("experiments").partition("\n## dioptra.toml\n")[2].partition("\n## ")[0]

    keys = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert keys == [field.name for field in dataclasses.fields(ProjectSettings)]
