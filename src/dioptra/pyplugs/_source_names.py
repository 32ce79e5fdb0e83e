"""What the names in a module stand for, as far as its imports tell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["NOUT", "REGISTER", "REQUIRE", "TASK", "Import", "Names", "imports_of", "targets"]

_PYPLUGS = ("dioptra.pyplugs", "dioptra.pyplugs._registry")
REGISTER = frozenset(f"{module}.register" for module in _PYPLUGS)
NOUT = frozenset(f"{module}.task_nout" for module in _PYPLUGS)
REQUIRE = "dioptra.sdk.utilities.decorators.require_package"
TASK = frozenset({"dioptra.task", "dioptra.flow.task"})


class Import(NamedTuple):
    """An import: `import module`, or `from module import names` with as many dots before the module as `level`."""

    module: str
    names: tuple[str, ...]
    level: int
    line: int

    def base(self, module: str, is_package: bool) -> str:
        """Return the module that it names, seen from a module; empty where it leads beyond the top."""
        if not self.level:
            return self.module
        parts = module.split(".")
        kept = parts[: len(parts) - self.level + is_package]
        return ".".join([*kept, *filter(None, [self.module])]) if kept else ""


class Names:
    """The names of a module, each with the dotted name of what was imported or defined under it."""

    def __init__(self, module: str, is_package: bool) -> None:
        self._module = module
        self._is_package = is_package
        self._meaning: dict[str, str] = {}

    def add_import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Learn what an import binds."""
        for alias in node.names:
            if isinstance(node, ast.Import):
                first = alias.name.partition(".")[0]
                self._meaning[alias.asname or first] = alias.name if alias.asname else first
                continue
            base = Import(node.module or "", (), node.level, 0).base(self._module, self._is_package)
            if alias.name == "*" and base in _PYPLUGS:
                self._meaning |= {name: f"{base}.{name}" for name in ("register", "task_nout")}
            self._meaning[alias.asname or alias.name] = f"{base}.{alias.name}"

    def add(self, name: str, value: ast.expr | None = None) -> None:
        """Learn that a name is bound, to another name perhaps."""
        meaning = self.of(value) if value is not None else ""
        self._meaning[name] = meaning or f"{self._module}.{name}"

    def of(self, node: ast.expr | None) -> str:
        """Return the dotted name that a name or attribute stands for; empty for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self._meaning.get(node.id, node.id), *reversed(parts)])

    def called(self, node: ast.expr) -> tuple[str, ast.Call | None]:
        """Return the dotted name of a decorator, and its call if it has arguments."""
        return (self.of(node.func), node) if isinstance(node, ast.Call) else (self.of(node), None)


def imports_of(node: ast.Import | ast.ImportFrom) -> Iterator[Import]:
    """Yield what a statement imports."""
    if isinstance(node, ast.ImportFrom):
        yield Import(node.module or "", tuple(alias.name for alias in node.names), node.level, node.lineno)
        return
    for alias in node.names:
        yield Import(alias.name, (), 0, alias.lineno)


def targets(nodes: list[ast.expr]) -> Iterator[str]:
    """Yield the names that an assignment to some targets binds."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, (ast.Tuple, ast.List)):
            waiting += node.elts
        elif isinstance(node, ast.Starred):
            waiting.append(node.value)
