"""What a task measures: one function, or several by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dioptra.errors import UsageError

__all__ = ["by_name", "not_written"]

Function = Callable[..., Any]


def by_name(given: Function | Mapping[str, Function], name: str, *, own_name: bool = True) -> dict[str, Function]:
    """Return functions by name.

    Args:
        given: One function, or several by name.
        name: What a single one is called.
        own_name: Call a single one by its own name, if it has one.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(given, Mapping):
        found = dict(given)
    else:
        own = getattr(given, "__name__", name) if own_name else name
        found = {own if own.isidentifier() else name: given}
    if not found or not all(isinstance(key, str) and callable(value) for key, value in found.items()):
        raise UsageError(f"{given!r} is no {name}", hint="give a function, or several as {'name': function}")
    return found


def not_written(task: object, method: str, hint: str) -> UsageError:
    """Return the error of a method that a script must write, and has not."""
    return UsageError(f"{type(task).__name__} has no method {method}", hint=hint)
