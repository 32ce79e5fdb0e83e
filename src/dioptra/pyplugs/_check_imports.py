"""Imports of a collection of task plugins that find nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

from dioptra.errors import did_you_mean
from dioptra.pyplugs._source import Loaded
from dioptra.pyplugs._source_files import Entry
from dioptra.pyplugs._source_module import Module
from dioptra.pyplugs._source_names import Import
from dioptra.pyplugs._source_problem import Problem
from dioptra.pyplugs._source_scope import Scope

__all__ = ["check_imports"]

_HINTS = 100
_COMPILED = (".so", ".pyd", ".pyc")
_ALWAYS_THERE = frozenset(
    {"__annotations__", "__builtins__", "__cached__", "__dict__", "__doc__", "__file__", "__loader__", "__name__"}
    | {"__package__", "__path__", "__spec__"}
)
_FORMER = "mitre"  # Dioptra 0.x began as mitre.securingai


def check_imports(loaded: Loaded, collection: str, others: Iterable[str]) -> Iterator[Problem]:
    """Yield the imports that find nothing, as `check_plugins` describes."""
    tree = _Tree(loaded, collection)
    packages = _Packages({collection, *(each.partition(".")[0] for each in others)})
    for module in loaded.modules:
        for each, scope in module.imports:
            base = each.base(module.name, module.is_package)
            own = each.level > 0 or base.partition(".")[0] == collection
            yield from _of_own(module, each, scope, tree) if own else _of_others(module, each, scope, packages)


def _of_own(module: Module, each: Import, scope: Scope, tree: _Tree) -> Iterator[Problem]:
    if scope.when == "try":
        return
    is_error = scope.when == "always"
    base = each.base(module.name, module.is_package)
    if not base:
        yield Problem(module.file, each.line, f"{_text(each)} leads out of the collection", "use fewer dots", is_error)
    elif missing := tree.missing(base):
        yield Problem(module.file, each.line, f"there is no module {missing!r}", tree.near(missing), is_error)
    else:
        for name in each.names:
            if not tree.has(base, name):
                hint = tree.near_name(base, name)
                yield Problem(module.file, each.line, f"{base!r} has no {name!r}", hint, is_error)


def _of_others(module: Module, each: Import, scope: Scope, packages: _Packages) -> Iterator[Problem]:
    name = each.module.partition(".")[0]
    if scope.when in ("try", "never") or name in scope.needs or name in packages:
        return
    if name == _FORMER:
        hint = "write `from dioptra import pyplugs`"
    else:
        hint = "install it where jobs run, or expect that it is missing: `except ImportError`"
    is_error = scope.when == "always" and not scope.function
    yield Problem(module.file, each.line, f"package {name!r} is not installed here", hint, is_error)


def _text(each: Import) -> str:
    dots = "." * each.level + each.module
    return f"`from {dots} import {', '.join(each.names)}`"


class _Tree:
    """The modules and packages of a collection."""

    def __init__(self, loaded: Loaded, collection: str) -> None:
        self._modules = {module.name: module for module in loaded.modules}
        self._folders = {collection}
        self._closed: set[str] = set()  # nothing is known of what is in them
        self._near: dict[str, str] = {}
        for entry in loaded.entries:
            self._add(entry, collection)

    def _add(self, entry: Entry, collection: str) -> None:
        parts = entry.file.split("/")
        name = ".".join([collection, *parts])
        if entry.kind == "folder":
            self._folders.add(name)
        elif entry.kind in ("linked folder", "outside", "unreadable") and not entry.name.endswith(".py"):
            self._closed.add(name)
        elif entry.name.endswith((".py", *_COMPILED)):
            stem = entry.name.partition(".")[0]
            module = ".".join([collection, *parts[:-1], *([stem] if stem != "__init__" else [])])
            if module not in self._modules:
                self._closed.add(module)

    def missing(self, module: str) -> str:
        """Return the first part of a module's name that leads nowhere; nothing if all do."""
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name in self._closed:
                return ""
            if name not in self._modules and name not in self._folders:
                return name
        return ""

    def has(self, module: str, name: str) -> bool:
        """Tell whether a name can be imported from a module, as far as its source shows."""
        if name == "*" or name in _ALWAYS_THERE or not self.missing(f"{module}.{name}"):
            return True
        found = self._modules.get(module)
        return found is not None and (found.is_open or name in found.defined)

    def near(self, missing: str) -> str:
        """Return which module was perhaps meant."""
        return self._hint(missing, missing, lambda: {*self._modules, *self._folders})

    def near_name(self, module: str, name: str) -> str:
        """Return which name of a module was perhaps meant."""
        return self._hint(f"{module}.{name}", name, lambda: self._names_in(module))

    def _hint(self, key: str, word: str, known: Callable[[], set[str]]) -> str:
        """Look for a near word, for the first ones that are missing only: it takes its time."""
        if key not in self._near and len(self._near) < _HINTS:
            self._near[key] = did_you_mean(word, sorted(known()))
        return self._near.get(key, "")

    def _names_in(self, module: str) -> set[str]:
        found = self._modules.get(module)
        every = (*self._modules, *self._folders, *self._closed)
        inside = {name.rpartition(".")[2] for name in every if name.rpartition(".")[0] == module}
        return inside | (found.defined if found else frozenset())


class _Packages:
    """The packages that are there, looked up once each and never imported."""

    def __init__(self, given: Iterable[str]) -> None:
        self._known = dict.fromkeys((*sys.builtin_module_names, *sys.stdlib_module_names, *given), True)

    def __contains__(self, name: str) -> bool:
        if name not in self._known:
            self._known[name] = _is_installed(name)
        return self._known[name]


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # it is loaded, though nothing tells from where
        return name in sys.modules
