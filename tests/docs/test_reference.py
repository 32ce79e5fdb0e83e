"""The reference names everything that there is, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import dioptra_builtins
from dioptra import errors, pyplugs, settings
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
    assert headings("errors", "##") == list(errors.__all__)
    for name in errors.__all__:
        error: type[DioptraError] = getattr(errors, name)
        assert (error.__doc__ or "").splitlines()[0] in page("errors")
        assert f"Code `{error.code}`, exit code {error.exit_code}, HTTP status {error.http_status};" in page("errors")


def test_commands() -> None:
    assert headings("commands", "##") == sorted(path for path, _ in commands(cli))


@pytest.mark.parametrize(("path", "command"), commands(cli), ids=lambda value: value if isinstance(value, str) else "")
def test_each_option_of_a_command(path: str, command: click.Command) -> None:
    section = page("commands").partition(f"## {path}\n")[2].partition("\n## ")[0]

    for parameter in command.params:
        words = parameter.opts if isinstance(parameter, click.Option) else [parameter.make_metavar(click.Context(command))]
        assert any(word.strip("[]") in section for word in words), f"{path} {words}"


def registered() -> Iterator[tuple[str, str]]:
    for package in pkgutil.walk_packages(dioptra_builtins.__path__, "dioptra_builtins."):
        if package.ispkg:
            importlib.import_module(package.name)
            for plugin in pyplugs.names(package.name):
                for function in pyplugs.funcs(package.name, plugin):
                    info = pyplugs.info(package.name, plugin, function)
                    yield f"{package.name}.{plugin}.{function}", info.description


def test_plugins() -> None:
    expected = dict(registered())

    assert len(expected) > 25
    assert sorted(headings("plugins", "###")) == sorted(expected)
    for name, description in expected.items():
        section = page("plugins").partition(name)[2].partition("\n### ")[0]
        assert " ".join(description.split()) in " ".join(section.split()), name


def test_the_public_names_of_the_testbed() -> None:
    from dioptra import testbed

    for name in testbed.__all__:
        assert re.search(rf"\b{name}\b", page("testbed")), name
