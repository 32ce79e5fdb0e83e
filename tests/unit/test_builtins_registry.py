"""Every shipped task plugin: it can become a task, says what it is, and stands in the reference."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import dioptra_builtins
from dioptra import pyplugs
from dioptra.pyplugs import PluginInfo

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "plugins.md").read_text(encoding="utf-8")


def registered() -> list[PluginInfo]:
    folders = sorted(path.parent.name for path in Path(dioptra_builtins.__path__[0]).glob("*/__init__.py"))
    return [
        pyplugs.info(package, plugin, func)
        for package in (f"dioptra_builtins.{folder}" for folder in folders)
        for plugin in pyplugs.names(package)
        if pyplugs.exists(package, plugin)
        for func in pyplugs.funcs(package, plugin)
    ]


PLUGINS = registered()


def name(plugin: PluginInfo) -> str:
    return f"{plugin.package_name}.{plugin.plugin_name}.{plugin.func_name}"


def section(plugin: PluginInfo) -> str:
    """Return what the reference says below the heading of a function."""
    found = re.search(rf"^### {re.escape(name(plugin))}\n(.*?)(?=^##|\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def plain_signature(plugin: PluginInfo) -> str:
    parameters = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
        for parameter in inspect.signature(plugin.func).parameters.values()
    ]
    return f"{plugin.func_name}({', '.join(parameters)})"


def test_all_modules_of_the_package_register_something() -> None:
    modules = {
        f"dioptra_builtins.{path.parent.name}.{path.stem}"
        for path in Path(dioptra_builtins.__path__[0]).glob("*/*.py")
        if path.stem != "exceptions" and not path.stem.startswith("_")
    }
    assert {name(plugin).rpartition(".")[0] for plugin in PLUGINS} == modules


@pytest.mark.parametrize("plugin", PLUGINS, ids=name)
def test_a_plugin_can_become_a_task_and_says_what_it_is(plugin: PluginInfo) -> None:
    assert pyplugs.get_task(plugin.package_name, plugin.plugin_name, plugin.func_name)
    assert plugin.description.endswith(".")
    assert "\n" not in plugin.description
    assert len(plugin.description) < 120
    for parameter in inspect.signature(plugin.func).parameters:
        assert f"{parameter}:" in plugin.doc, f"the docstring says nothing of {parameter}"


@pytest.mark.parametrize("plugin", PLUGINS, ids=name)
def test_the_reference_has_the_signature_and_the_sentence_of_every_plugin(plugin: PluginInfo) -> None:
    assert plain_signature(plugin) in section(plugin)
    assert plugin.description in section(plugin)


def test_the_reference_has_no_plugin_that_does_not_exist() -> None:
    headings = re.findall(r"^### (.*)$", REFERENCE, re.MULTILINE)
    assert sorted(headings) == sorted(name(plugin) for plugin in PLUGINS)
