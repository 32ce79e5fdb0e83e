"""The classes that an annotation stands for, and how near a value is to them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from dioptra.errors import BaseGenericsRegistryError

__all__ = ["Types", "distance", "types_of"]

Types = tuple[type, ...]

_UNIONS = (typing.Union, types.UnionType)


def types_of(function: Callable[..., Any], count: int) -> tuple[Types, ...]:
    """Return the classes of the first `count` positional arguments of a function; `(object,)` where any value fits.

    Raises:
        BaseGenericsRegistryError: An annotation is a text that cannot be resolved, or no class.
    """
    parameters = [each for each in inspect.signature(function).parameters.values() if each.kind <= 1][:count]
    annotations = {each.name: each.annotation for each in parameters if each.annotation is not each.empty}
    try:
        # only these: others may name what is imported for type checkers alone
        hints = typing.get_type_hints(
            types.SimpleNamespace(__annotations__=annotations), getattr(function, "__globals__", {})
        )
    except NameError as error:
        raise BaseGenericsRegistryError(
            f"{function.__qualname__} is annotated with {error.name!r}, which is not there",
            hint="import it, not only under TYPE_CHECKING, and define it in the module, not in a function",
        ) from error
    return tuple(tuple(_classes(hints.get(each.name, object))) for each in parameters)


def distance(value: Any, classes: Types) -> float | None:
    """Return how many classes lie between a value's own and the nearest of these, None when it is of none of them."""
    found = [_steps(type(value), each) for each in classes if isinstance(value, each)]
    return min(found) if found else None


def _steps(own: type, ancestor: type) -> float:
    if ancestor in own.__mro__:
        return own.__mro__.index(ancestor)
    return max(index for index, each in enumerate(own.__mro__) if issubclass(each, ancestor)) + 0.5


def _classes(hint: Any) -> Iterable[type]:
    """Return the classes of a resolved annotation; what stands in its brackets plays no part."""
    if hint is Any or isinstance(hint, typing.TypeVar):
        return [object]
    origin = typing.get_origin(hint)
    if origin in _UNIONS:
        return [each for part in typing.get_args(hint) for each in _classes(part)]
    if origin is not None:
        hint = origin
    if not isinstance(hint, type):
        raise BaseGenericsRegistryError(f"the annotation {hint!r} stands for no class", hint="annotate with classes")
    return [hint]
