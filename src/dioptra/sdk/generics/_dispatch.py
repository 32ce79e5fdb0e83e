"""Functions that are chosen by the types of several arguments.

The library `multimethod` does the same and more; it cannot take annotations such as `NDArray[np.floating]`, with which
functions of this field are annotated.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from dioptra.errors import BaseGenericsRegistryError
from dioptra.sdk.generics._plugins import load_plugins
from dioptra.sdk.generics._types import Types, distance, types_of

__all__ = ["Generic"]

F = TypeVar("F", bound=Callable[..., Any])


class Generic:
    """A function that others can be registered with; it does what its own body says when none of them fits."""

    def __init__(self, fallback: Callable[..., Any]) -> None:
        self._name = fallback.__name__
        self._signature = inspect.signature(fallback)
        self._names = [name for name, each in self._signature.parameters.items() if each.kind is not each.VAR_KEYWORD]
        self._fallback = fallback
        self._functions: dict[tuple[Types, ...], Callable[..., Any]] = {}
        functools.update_wrapper(self, fallback)

    def register(self, function: F) -> F:
        """Add a function; a decorator. The annotations of its first arguments say for which types it is.

        Args:
            function: It takes the arguments of the generic function, in that order, and any options. It replaces one
                that is registered for the same types.

        Raises:
            BaseGenericsRegistryError: The first argument has no type, or an annotation cannot be resolved.
        """
        types = types_of(function, len(self._names))
        if not types or types[0] == (object,):
            raise BaseGenericsRegistryError(
                f"{self._name} cannot take {function.__qualname__}, because its first argument has no type",
                hint=f"write def {function.__name__}({self._names[0]}: TheClass, ...)",
            )
        self._functions[types] = function
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function whose types are nearest to those of the arguments."""
        load_plugins(self._name)
        arguments = self._signature.bind(*args, **kwargs).arguments
        given = [arguments[name] for name in self._names if name in arguments]
        options = {name: value for name, value in kwargs.items() if name not in self._names}
        return self._choose(given, options)(*given, **options)

    def _choose(self, given: list[Any], options: Collection[str]) -> Callable[..., Any]:
        """Find the nearest function that takes as many arguments: the first one decides, then the next; of equal ones
        the last registered."""
        found: dict[tuple[float, ...], Callable[..., Any]] = {}
        for types, function in self._functions.items():
            distances = tuple(map(distance, given, types))
            if None not in distances and _takes(function, len(given), options):
                found[distances] = function  # type: ignore[index]
        return found[min(found)] if found else self._fallback


def _takes(function: Callable[..., Any], count: int, options: Collection[str]) -> bool:
    """Tell whether a function can be called with so many arguments by position, and these options by name."""
    parameters = inspect.signature(function).parameters.values()
    by_position = [each for each in parameters if each.kind <= each.POSITIONAL_OR_KEYWORD]
    if count > len(by_position) and not any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return False
    return all(each.default is not each.empty or each.name in options for each in by_position[count:])
