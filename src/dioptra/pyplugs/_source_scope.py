"""Where a statement of a module stands: in which function or class, and under which conditions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal, NamedTuple

from dioptra.pyplugs._source_decorators import needs
from dioptra.pyplugs._source_names import Names

__all__ = ["Scope", "excludes", "inside"]

When = Literal["always", "if", "try", "never"]

_CAUGHT = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


class Scope(NamedTuple):
    """Where a statement stands.

    Args:
        function: The outermost function around it.
        in_class: The class around it.
        when: It runs always, or under some condition, or where an ImportError is expected, or for type checkers alone.
        needs: The packages without which the function cannot be called, as `require_package` says.
        branches: The branches of `if`, `try` and `match` that it stands in: where the statement begins, and its part.
    """

    function: str = ""
    in_class: str = ""
    when: When = "always"
    needs: frozenset[str] = frozenset()
    branches: tuple[tuple[int, int], ...] = ()

    def branch(self, node: ast.AST, part: int, when: When = "always") -> Scope:
        """Return the scope of a part of a statement."""
        order = ("always", "if", "try", "never")
        place = (id(node), part)
        return self._replace(when=max(self.when, when, key=order.index), branches=(*self.branches, place))


def excludes(one: Scope, other: Scope) -> bool:
    """Tell whether only one of two statements runs, because they stand in different branches of one."""
    parts = dict(one.branches)
    return any(parts.get(place, part) != part for place, part in other.branches)


def inside(node: ast.AST, scope: Scope, names: Names) -> Iterator[tuple[ast.AST, Scope]]:
    """Yield the statements in a statement, each with its scope."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        required = scope.needs.union(needs(node, names))
        when: When = "never" if scope.when == "never" else "always"
        inner = scope._replace(function=scope.function or node.name, when=when, needs=required)
        yield from ((each, inner) for each in node.body)
    elif isinstance(node, ast.ClassDef):
        yield from ((each, scope._replace(in_class=node.name)) for each in node.body)
    elif isinstance(node, ast.If):
        yield from _of_if(node, scope, names)
    elif isinstance(node, (ast.Try, ast.TryStar)):
        yield from _of_try(node, scope, names)
    elif isinstance(node, ast.Match):
        for part, case in enumerate(node.cases):
            yield from ((each, scope.branch(node, part, "if")) for each in case.body)
    elif isinstance(node, (ast.With, ast.AsyncWith)) and _suppresses(node, names):
        yield from ((each, scope.branch(node, 0, "try")) for each in node.body)
    else:
        for field in ("body", "orelse"):
            found = getattr(node, field, None)
            yield from ((each, scope) for each in (found if isinstance(found, list) else ()))


def _of_if(node: ast.If, scope: Scope, names: Names) -> Iterator[tuple[ast.AST, Scope]]:
    yield from ((each, scope.branch(node, 0, "never" if _is_never(node.test, names) else "if")) for each in node.body)
    yield from ((each, scope.branch(node, 1, "if")) for each in node.orelse)


def _of_try(node: ast.Try | ast.TryStar, scope: Scope, names: Names) -> Iterator[tuple[ast.AST, Scope]]:
    caught = any(_is_caught(handler.type, names) for handler in node.handlers)
    yield from ((each, scope.branch(node, 0, "try" if caught else "always")) for each in node.body)
    for part, handler in enumerate(node.handlers, start=1):
        yield from ((each, scope.branch(node, part, "try" if caught else "if")) for each in handler.body)
    yield from ((each, scope.branch(node, 0)) for each in node.orelse)
    yield from ((each, scope) for each in node.finalbody)


def _is_never(test: ast.expr, names: Names) -> bool:
    if isinstance(test, ast.Constant):
        return not test.value
    return names.of(test).rpartition(".")[2] == "TYPE_CHECKING"


def _is_caught(caught: ast.expr | None, names: Names) -> bool:
    if caught is None:
        return True
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(names.of(name).removeprefix("builtins.") in _CAUGHT for name in each)


def _suppresses(node: ast.With | ast.AsyncWith, names: Names) -> bool:
    calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
    return any(
        names.of(call.func) == "contextlib.suppress" and any(_is_caught(arg, names) for arg in call.args)
        for call in calls
    )
