"""Writing SVG: elements, with whatever text they hold."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import east_asian_width

from dioptra.flow._wording import visible

__all__ = ["element", "number", "text_width"]

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_NARROW, _WIDE = frozenset("ijltfrI.,:;'|!()[]{} -"), frozenset("mwMW@%…_")


def element(name: str, content: str | Iterable[str] = "", **attributes: str | float | None) -> str:
    """Return an element.

    Args:
        name: Its name.
        content: Text, or the elements inside it.
        **attributes: Its attributes, with `_` for `-`; one that is None is left out.
    """
    found = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value) if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = _escaped(content) if isinstance(content, str) else "".join(content)
    return f"<{name}{found}>{inside}</{name}>" if inside else f"<{name}{found}/>"


def number(value: float) -> str:
    """Return a coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is, in fonts that are rather wide."""
    return size * sum(map(_letter_width, text))


def _letter_width(letter: str) -> float:
    if letter in _NARROW:
        return 0.4
    if letter in _WIDE:
        return 0.9
    if east_asian_width(letter) in "WF":
        return 1.1
    return 0.72 if letter.isupper() else 0.63


def _escaped(text: str) -> str:
    return visible(text).translate(_ESCAPES)
