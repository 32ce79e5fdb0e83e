"""A module of a collection of task plugins as its source tells: what it imports, defines and registers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from dioptra.pyplugs._source_decorators import Decorated, Function, decorated, signs_of_registration
from dioptra.pyplugs._source_files import Parsed
from dioptra.pyplugs._source_function import PluginSource, read_function
from dioptra.pyplugs._source_names import Import, Names, imports_of, targets
from dioptra.pyplugs._source_problem import Problem, clean
from dioptra.pyplugs._source_scope import Scope, excludes, inside
from dioptra.pyplugs._source_signature import unfit

__all__ = ["Module", "read_module"]

_WALRUS = re.compile(r"(\w+)\s*:=")
_BINDS_UNSEEN = re.compile(r"\b(?:globals|exec)\s*\(|\b(?:locals|vars)\s*\(\s*\)|\bsys\.modules\b")

Definition = Function | ast.ClassDef


class Module(NamedTuple):
    """What the source of a module tells."""

    name: str
    file: str
    is_package: bool
    doc: str
    imports: tuple[tuple[Import, Scope], ...]
    functions: tuple[PluginSource, ...]
    defined: frozenset[str]  # the names that are bound in it
    is_open: bool  # more names may be in it than can be seen
    registers_by_call: bool
    problems: tuple[Problem, ...]


def read_module(parsed: Parsed, name: str, is_package: bool) -> Module:
    """Return what the source of a module tells."""
    reader = _Reader(parsed, name, is_package)
    reader.read()
    doc = ast.get_docstring(parsed.tree, clean=False) if isinstance(parsed.tree, ast.Module) else None
    return Module(
        name=name,
        file=parsed.file,
        is_package=is_package,
        doc=clean(doc or ""),
        imports=tuple(reader.imports),
        functions=tuple(function for function, _ in reader.functions.values()),
        defined=frozenset(reader.defined),
        is_open=reader.is_open or "__getattr__" in reader.defined or bool(_BINDS_UNSEEN.search(parsed.text)),
        registers_by_call=reader.registers_by_call,
        problems=(*parsed.warnings, *reader.problems),
    )


class _Reader:
    """Goes through the statements of a module in their order; with a list of its own, for they may be nested deeply."""

    def __init__(self, parsed: Parsed, name: str, is_package: bool) -> None:
        self._parsed = parsed
        self._lines = parsed.text.split("\n")
        self._name = name
        self._names = Names(name, is_package)
        self._as_text = False
        self.imports: list[tuple[Import, Scope]] = []
        self.functions: dict[str, tuple[PluginSource, Scope]] = {}
        self.defined: set[str] = set(_WALRUS.findall(parsed.text)) if ":=" in parsed.text else set()
        self.is_open = False
        self.registers_by_call = False
        self.problems: list[Problem] = []

    def read(self) -> None:
        """Read all statements."""
        waiting: list[tuple[ast.AST, Scope]] = [(self._parsed.tree, Scope())]
        while waiting:
            node, scope = waiting.pop()
            self._see(node, scope)
            waiting += reversed(list(inside(node, scope, self._names)))

    def _see(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self._see_import(node, scope)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._see_definition(node, scope)
        elif isinstance(node, ast.Global):
            self.defined.update(node.names)
        elif not scope.function and isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)):
            self._see_call(node.value)
        if not scope.function and not scope.in_class:
            self._bind(node)

    def _see_import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        self.imports += [(each, scope) for each in imports_of(node)]
        if scope.function or scope.in_class:
            return
        self._names.add_import(node)
        names = [alias.asname or alias.name for alias in node.names]
        self.defined.update(name.partition(".")[0] for name in names)
        self.is_open = self.is_open or "*" in names
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            self._as_text = self._as_text or "annotations" in names

    def _see_definition(self, node: Definition, scope: Scope) -> None:
        marks = decorated(node, self._names, self._parsed.file)
        if not marks.registered or scope.when == "never":
            return
        if isinstance(node, ast.ClassDef):
            self._add(
                node.lineno, f"the class {node.name!r} cannot be registered", "register a function", is_error=True
            )
        elif scope.function:
            message = f"{node.name!r} is registered only when {scope.function!r} is called, so that nothing finds it"
            self._add(node.lineno, message, "define it outside of any function")
        elif marks.problems:
            self.problems += marks.problems
        else:
            self._see_function(node, scope, marks)

    def _see_function(self, node: Function, scope: Scope, marks: Decorated) -> None:
        if scope.in_class and not marks.is_static:
            message = f"{node.name!r} is registered without its class, so that a call must give it {scope.in_class!r}"
            self._add(node.lineno, message, "register a function outside of any class")
        for reason, hint in unfit(node):
            self._add(node.lineno, f"{node.name!r} cannot be a task, because {reason}", hint)
        before = self.functions.get(node.name)
        if before and excludes(before[1], scope):
            return
        found = read_function(
            node,
            module=self._name,
            file=self._parsed.file,
            lines=self._lines,
            names=self._names,
            marks=marks,
            as_text=self._as_text,
        )
        self.functions[node.name] = (found, scope)
        if before:
            message = f"{found.name!r} is registered twice, so that the one of line {before[0].line} is lost"
            self._add(found.line, message, "give each a name of its own", is_error=True)

    def _see_call(self, value: ast.expr | None) -> None:
        if signs_of_registration(value, self._names):
            self.registers_by_call = True
            line = value.lineno if value else 0
            self._add(line, "what a call registers is not known before it runs", "write @pyplugs.register above it")

    def _bind(self, node: ast.AST) -> None:
        """Note the names that a statement of the module itself binds."""
        if isinstance(node, Definition):
            self._bind_name(node.name)
        elif isinstance(node, ast.Assign):
            value = node.value if len(node.targets) == 1 else None
            for name in targets(node.targets):
                self._bind_name(name, value)
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor)):
            for name in targets([node.target]):
                self._bind_name(name)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            self.defined.update(targets([item.optional_vars for item in node.items if item.optional_vars]))
        elif isinstance(node, ast.Match):
            self.defined.update(_captured(node))

    def _bind_name(self, name: str, value: ast.expr | None = None) -> None:
        self.defined.add(name)
        self._names.add(name, value)

    def _add(self, line: int, message: str, hint: str, *, is_error: bool = False) -> None:
        self.problems.append(Problem(self._parsed.file, line, message, hint, is_error))


def _captured(node: ast.Match) -> Iterator[str]:
    """Yield the names that patterns bind."""
    for part in (part for case in node.cases for part in ast.walk(case.pattern)):
        if isinstance(part, (ast.MatchAs, ast.MatchStar)) and part.name:
            yield part.name
        elif isinstance(part, ast.MatchMapping) and part.rest:
            yield part.rest
