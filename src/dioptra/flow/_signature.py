"""What a flow needs to know of a function: its arguments, and how many results it returns."""

from __future__ import annotations

import ast
import contextlib
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from dioptra.errors import TaskDefinitionError
from dioptra.flow._hints import Hints

__all__ = ["RESERVED", "Spec", "spec_of"]

RESERVED = ("mapped", "task_args", "upstream_tasks", "flow")


class Spec(NamedTuple):
    """The inspected signature of a task's function."""

    signature: inspect.Signature
    required: tuple[str, ...]  # parameters without a default
    positional: tuple[str, ...]  # positional-only parameters
    var_keyword: str | None
    nout: int | None
    hints: Hints

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name; raise TypeError when they do not fit."""
        arguments: dict[str, Any] = dict(self.signature.bind(*args, **kwargs).arguments)
        if self.var_keyword is None:
            return arguments
        extra: dict[str, Any] = arguments.pop(self.var_keyword, {})
        if clash := arguments.keys() & extra.keys():
            raise TypeError(f"multiple values for argument {sorted(clash)[0]!r}")
        return arguments | extra


_SPECS: tuple[WeakKeyDictionary[Any, Spec], ...] = (WeakKeyDictionary(), WeakKeyDictionary())


def spec_of(fn: Callable[..., Any], *, method: bool = False) -> Spec:
    """Return the spec of a function, inspected once.

    Args:
        fn: The function.
        method: Leave out the first parameter, `self`.

    Raises:
        TaskDefinitionError: A flow could not call it.
    """
    cache = _SPECS[method]
    try:
        found = cache.get(fn)
    except TypeError:  # neither hashable nor weakly referable: inspect it every time
        return _inspect(fn, method)
    if found is None:
        found = _inspect(fn, method)
        with contextlib.suppress(TypeError):
            cache[fn] = found
    return found


def _inspect(fn: Callable[..., Any], method: bool) -> Spec:
    name = getattr(fn, "__qualname__", None) or repr(fn)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError) as error:
        raise TaskDefinitionError(
            f"{name} cannot be a task, because Python cannot tell its arguments", hint="wrap it in a function"
        ) from error
    if _is_async(fn) or _is_async(type(fn).__call__):
        raise TaskDefinitionError(
            f"{name} cannot be a task, because it is an async function",
            hint="write a function that calls asyncio.run(...)",
        )
    if method:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    by_kind: dict[Any, list[str]] = {}
    for parameter in signature.parameters.values():
        by_kind.setdefault(parameter.kind, []).append(parameter.name)
    _check(name, signature, by_kind.get(inspect.Parameter.VAR_POSITIONAL))
    rest = by_kind.get(inspect.Parameter.VAR_KEYWORD)
    var_keyword = rest[0] if rest else None
    return Spec(
        signature=signature,
        required=tuple(name for name, parameter in signature.parameters.items() if _is_required(parameter)),
        positional=tuple(by_kind.get(inspect.Parameter.POSITIONAL_ONLY, ())),
        var_keyword=var_keyword,
        nout=_nout(fn, signature.return_annotation),
        hints=Hints(fn, signature, var_keyword),
    )


def _is_async(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD


def _check(name: str, signature: inspect.Signature, var_positional: list[str] | None) -> None:
    if var_positional:
        raise TaskDefinitionError(
            f"{name} cannot be a task, because it takes *{var_positional[0]}",
            hint=f"a task's arguments need names: make {var_positional[0]} one argument that takes a list",
        )
    if taken := [reserved for reserved in RESERVED if reserved in signature.parameters]:
        raise TaskDefinitionError(
            f"{name} cannot be a task, because of its argument {', '.join(taken)}",
            hint=f"choose another name: {', '.join(RESERVED)} have a meaning in every task call",
        )


def _nout(fn: Callable[..., Any], annotation: Any) -> int | None:
    given = getattr(fn, "_task_nout", None)
    if given is not None:
        return int(given)
    if isinstance(annotation, str):
        return _nout_of_text(annotation)
    if typing.get_origin(annotation) is not tuple:
        return None
    args = typing.get_args(annotation)
    return len(args) if args and Ellipsis not in args else None


def _nout_of_text(annotation: str) -> int | None:
    """Count the parts of a tuple annotation that is text, without evaluating it."""
    if "uple[" not in annotation:
        return None
    try:
        node = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(node, ast.Subscript) or ast.unparse(node.value) not in ("tuple", "Tuple", "typing.Tuple"):
        return None
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return len(parts) if parts and "..." not in map(ast.unparse, parts) else None
