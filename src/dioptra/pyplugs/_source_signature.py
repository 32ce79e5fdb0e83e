"""What the signature of a function says in its source: the same as `pyplugs.signature` says of the function."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from dioptra.pyplugs._describe import PluginParameter, PluginSignature
from dioptra.pyplugs._source_decorators import Function
from dioptra.pyplugs._source_files import parse_quietly
from dioptra.pyplugs._source_names import Names
from dioptra.pyplugs._source_problem import clean

__all__ = ["RESERVED", "read_signature", "unfit"]

RESERVED = ("mapped", "task_args", "upstream_tasks", "flow")  # those of every task call
_TUPLES = ("tuple", "Tuple", "typing.Tuple")  # as texts of annotations may name it


def read_signature(node: Function, names: Names, told: int | None, *, as_text: bool) -> tuple[PluginSignature, str]:
    """Return what the signature says, and all of it in one line.

    Args:
        node: The definition of the function.
        names: What the names in the module stand for.
        told: The number of results that `task_nout` tells.
        as_text: Annotations are never evaluated there, because of `from __future__ import annotations`.
    """
    parameters = list(_parameters(node.args, as_text))
    returns = _annotation(node.returns, as_text)
    nout = told if told is not None or any(unfit(node)) else _nout(node.returns, names, as_text)
    found = PluginSignature(tuple(parameter for _, parameter in parameters), returns, nout)
    return found, _declaration(node, parameters, returns)


def unfit(node: Function) -> Iterator[tuple[str, str]]:
    """Yield why a flow of Dioptra cannot call a function, and what would be right; as the flow itself says it."""
    if isinstance(node, ast.AsyncFunctionDef):
        yield "it is an async function", "write a function that calls asyncio.run(...)"
    if node.args.vararg:
        name = node.args.vararg.arg
        yield f"it takes *{name}", f"a task's arguments need names: make {name} one argument that takes a list"
    every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.kwarg)
    if taken := {each.arg for each in every if each} & set(RESERVED):
        yield (
            f"of its argument {', '.join(each for each in RESERVED if each in taken)}",
            f"choose another name: {', '.join(RESERVED)} have a meaning in every task call",
        )


def _parameters(args: ast.arguments, as_text: bool) -> Iterator[tuple[str, PluginParameter]]:
    """Yield the parameters, each with the separator that is written before it, if one is."""
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults)) + [*args.defaults]
    for index, (arg, default) in enumerate(zip(positional, defaults, strict=True)):
        separator = "/" if args.posonlyargs and index == len(args.posonlyargs) else ""
        yield separator, _parameter(arg, "", default, as_text)
    separator = "/" if args.posonlyargs and not args.args else ""
    if args.vararg:
        yield separator, _parameter(args.vararg, "*", None, as_text)
        separator = ""
    elif args.kwonlyargs:
        separator = f"{separator}, *".removeprefix(", ")
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield separator, _parameter(arg, "", default, as_text)
        separator = ""
    if args.kwarg:
        yield separator, _parameter(args.kwarg, "**", None, as_text)


def _parameter(arg: ast.arg, stars: str, default: ast.expr | None, as_text: bool) -> PluginParameter:
    return PluginParameter(
        name=stars + arg.arg,
        annotation=_annotation(arg.annotation, as_text),
        default=None if default is None else _text(default),
    )


def _declaration(node: Function, parameters: list[tuple[str, PluginParameter]], returns: str) -> str:
    parts: list[str] = []
    for separator, parameter in parameters:
        parts += [separator] if separator else []
        annotation, equals = (f": {parameter.annotation}", " = ") if parameter.annotation else ("", "=")
        default = "" if parameter.default is None else equals + parameter.default
        parts.append(parameter.name + annotation + default)
    if len(parameters) == len(node.args.posonlyargs) > 0:
        parts.append("/")
    return f"{node.name}({', '.join(parts)})" + (f" -> {returns}" if returns else "")


def _annotation(node: ast.expr | None, as_text: bool) -> str:
    """Return an annotation as Python keeps it: one that is a text already loses its quotes where it is evaluated."""
    if node is None:
        return ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and not as_text:
        return clean(node.value)
    return _text(node)


def _text(node: ast.expr) -> str:
    try:
        return clean(ast.unparse(node))
    except (RecursionError, ValueError):  # too deep, or a number of too many digits
        return "..."


def _nout(node: ast.expr | None, names: Names, as_text: bool) -> int | None:
    """Count the parts of a tuple annotation, as a task does where it is given one."""
    if node is None:
        return None
    if as_text:
        return _count(node, as_text=True)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _nout_of_text(node.value)
    is_tuple = isinstance(node, ast.Subscript) and names.of(node.value) in ("tuple", "builtins.tuple", "typing.Tuple")
    return _count(node, as_text=False) if is_tuple else None


def _nout_of_text(annotation: str) -> int | None:
    if "uple[" not in annotation:
        return None
    try:
        parsed = parse_quietly(annotation, "eval")[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _count(parsed.body, as_text=True) if isinstance(parsed, ast.Expression) else None


def _count(node: ast.expr, *, as_text: bool) -> int | None:
    if not isinstance(node, ast.Subscript) or (as_text and _text(node.value) not in _TUPLES):
        return None
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return len(parts) if parts and "..." not in map(_text, parts) else None
