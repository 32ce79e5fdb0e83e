"""Options that are pairs, such as `-P NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable

from dioptra.errors import UsageError

__all__ = ["pairs"]


def pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return values by name.

    Args:
        option: What was typed before each.
        texts: `NAME=VALUE`, as typed.

    Raises:
        UsageError: One is no pair, or a name is given twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {text!r} is not a parameter", hint=f"write {option} name=value")
        if name in values:
            raise UsageError(f"{option} {name} is given twice ({values[name]!r} and {value!r})", hint="give it once")
        values[name] = value
    return values
