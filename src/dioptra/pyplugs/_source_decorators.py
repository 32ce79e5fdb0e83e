"""What the decorators of a function do to it, as far as task plugins are concerned."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from dioptra.pyplugs._source_names import NOUT, REGISTER, REQUIRE, TASK, Names
from dioptra.pyplugs._source_problem import Problem

__all__ = ["Decorated", "Function", "decorated", "needs", "signs_of_registration"]

Function = ast.FunctionDef | ast.AsyncFunctionDef

_NO_FUNCTIONS = frozenset({"classmethod", "property", "functools.cached_property"})
_UNKNOWN = object()  # an argument that is no literal


class Decorated(NamedTuple):
    """What decorators make of a function or class."""

    registered: bool
    nout: int | None  # what `task_nout` says, if it can be read
    is_static: bool
    problems: tuple[Problem, ...]


def decorated(node: Function | ast.ClassDef, names: Names, file: str) -> Decorated:
    """Read the decorators in the order in which Python applies them, the lowest first."""
    reader = _Reader(file)
    for decorator in reversed(node.decorator_list):
        name, call = names.called(decorator)
        reader.see(name, call, decorator.lineno)
    problems = tuple(reader.problems) if reader.registered else ()
    return Decorated(reader.registered, reader.nout, reader.is_static, problems)


def needs(node: Function, names: Names) -> Iterator[str]:
    """Yield the packages without which a function cannot be called, as `require_package` says."""
    for decorator in node.decorator_list:
        name, call = names.called(decorator)
        if call and name == REQUIRE:
            required = _argument(call, "name")
            if isinstance(required, str):
                yield required.partition(".")[0]


def signs_of_registration(node: ast.expr | None, names: Names) -> bool:
    """Tell whether an expression registers something by a call: `register(f)` or `register(sort_value=1)(f)`."""
    while isinstance(node, ast.Call):
        if names.of(node.func) in REGISTER:
            return True
        node = node.func
    return False


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self.registered = False
        self.nout: int | None = None
        self.is_static = False
        self.problems: list[Problem] = []
        self._same = True  # nothing has replaced the function since it was registered

    def see(self, name: str, call: ast.Call | None, line: int) -> None:
        """Take one decorator into account."""
        if name in REGISTER:
            self.registered = True
            self._check_register(call, line)
        elif name in NOUT:
            self._see_nout(call, line)
        elif self.registered:
            self._same = False
        elif name in TASK or name in _NO_FUNCTIONS:
            self._add(line, f"what @{name} makes cannot be registered", "write @pyplugs.register below it")
        self.is_static = self.is_static or name == "staticmethod"

    def _check_register(self, call: ast.Call | None, line: int) -> None:
        if call and call.args:
            self._add(line, "register takes no arguments by position", "write @pyplugs.register(sort_value=1)")
        for keyword in call.keywords if call else ():
            if keyword.arg not in ("sort_value", None):
                self._add(line, f"register takes no argument {keyword.arg!r}", "it takes sort_value")

    def _see_nout(self, call: ast.Call | None, line: int) -> None:
        nout = _argument(call, "nout") if call else None
        if nout is not _UNKNOWN and (isinstance(nout, bool) or not isinstance(nout, int) or nout < 0):
            given = f"{nout!r:.50}" if call else "nothing"
            self._add(line, f"task_nout is given {given}, which is not a number of results", "write @task_nout(2)")
        elif self._same:
            self.nout = nout if isinstance(nout, int) else None

    def _add(self, line: int, message: str, hint: str) -> None:
        self.problems.append(Problem(self._file, line, message, hint))


def _argument(call: ast.Call, name: str) -> object:
    """Return the first argument of a call, or the one of that name."""
    given = call.args[:1] or [keyword.value for keyword in call.keywords if keyword.arg == name]
    if not given:
        return _UNKNOWN if any(keyword.arg is None for keyword in call.keywords) else None
    try:
        return ast.literal_eval(given[0])
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNKNOWN
