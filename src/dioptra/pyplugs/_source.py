"""Collections of task plugins, read without importing anything of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dioptra.errors import NotFoundError, UsageError, did_you_mean
from dioptra.pyplugs._source_files import Entry, entries_of, module_of, parse
from dioptra.pyplugs._source_function import PluginSource
from dioptra.pyplugs._source_module import Module, read_module
from dioptra.pyplugs._source_problem import Problem

__all__ = ["Loaded", "ModuleSource", "PluginSources", "load", "read_plugins"]

_SHOWN = 4


@dataclass(frozen=True)
class ModuleSource:
    """A module of a collection.

    Args:
        name: Its name, with dots.
        file: Its file, relative to the folder of the collection.
        doc: Its docstring.
        imports: The modules that it imports, by their full names.
    """

    name: str
    file: str
    doc: str
    imports: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return asdict(self) | {"imports": list(self.imports)}


@dataclass(frozen=True)
class PluginSources:
    """What the source of a collection tells.

    Args:
        collection: The name by which it is imported.
        modules: Its modules, by their files.
        functions: Its task plugins, by file, and within a file in the order of registration.
        problems: Files that cannot be read, and registrations that do not do what they seem to.
    """

    collection: str
    modules: tuple[ModuleSource, ...]
    functions: tuple[PluginSource, ...]
    problems: tuple[Problem, ...]

    def matching(self, name: str) -> tuple[PluginSource, ...]:
        """Return the task plugins that a name may mean: a full name, else an end of one, else a module or its end."""
        every = self.functions
        for found in (
            [each for each in every if each.name == name],
            [each for each in every if each.name.endswith(f".{name}")],
            [each for each in every if _module(each) == name],
            [each for each in every if _module(each).endswith(f".{name}")],
        ):
            if found:
                return tuple(found)
        return ()

    def find(self, name: str) -> PluginSource:
        """Return a task plugin by its full name, an end of it that only one has, or a module that has only one.

        Raises:
            NotFoundError: There is none.
            UsageError: Several are meant.
        """
        found = self.matching(name)
        if len(found) > 1:
            names = ", ".join(each.name for each in found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")
            raise UsageError(f"{name!r} may be several task plugins", hint=f"write more of it: {names}")
        if not found:
            known = [each.name for each in self.functions]
            raise NotFoundError(
                f"collection {self.collection!r} has no task plugin {name!r}", hint=_nearest(name, known)
            )
        return found[0]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return {
            "collection": self.collection,
            "modules": [each.to_dict() for each in self.modules],
            "functions": [each.to_dict() for each in self.functions],
            "problems": [each.to_dict() for each in self.problems],
        }


class Loaded(NamedTuple):
    """A collection with all that a check needs."""

    entries: list[Entry]
    modules: tuple[Module, ...]
    problems: tuple[Problem, ...]


def load(folder: Path, collection: str) -> Loaded:
    """Read all modules of a folder.

    Raises:
        NotFoundError: There is no such folder.
    """
    entries = entries_of(folder)
    modules: list[Module] = []
    problems: list[Problem] = []
    for entry in entries:
        place = module_of(entry.file, collection) if entry.is_python else None
        if place is None:
            continue
        parsed = parse(entry)
        if isinstance(parsed, Problem):
            problems.append(parsed)
        else:
            modules.append(read_module(parsed, *place))
            problems += modules[-1].problems
    return Loaded(entries, tuple(modules), tuple(sorted(problems, key=lambda each: (each.file, each.line))))


def read_plugins(folder: Path, collection: str) -> PluginSources:
    """Read the task plugins of a collection, importing nothing.

    Args:
        folder: The folder that is the package.
        collection: The name by which it is imported.

    Raises:
        NotFoundError: There is no such folder.
    """
    loaded = load(folder, collection)
    return PluginSources(
        collection=collection,
        modules=tuple(
            ModuleSource(each.name, each.file, each.doc, tuple(dict.fromkeys(_imported(each))))
            for each in loaded.modules
        ),
        functions=tuple(function for each in loaded.modules for function in each.functions),
        problems=loaded.problems,
    )


def _imported(module: Module) -> Iterator[str]:
    for each, _ in module.imports:
        if base := each.base(module.name, module.is_package):
            yield base


def _module(function: PluginSource) -> str:
    return f"{function.package}.{function.plugin}".removeprefix(".")


def _nearest(name: str, known: list[str]) -> str:
    parts = name.count(".") + 1
    ends = [".".join(each.split(".")[-parts:]) for each in known]
    shown = ", ".join(known[:_SHOWN]) + (" ..." if len(known) > _SHOWN else "")
    return did_you_mean(name, ends) or f"(have: {shown or 'none'})"
