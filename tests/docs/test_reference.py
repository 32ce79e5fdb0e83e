"""The reference names everything that there is, and nothing else."""

from __future__ import annotations

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
