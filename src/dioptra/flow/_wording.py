"""The words of pictures and tables of a flow: names that cannot harm, durations, options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["NOT_SETTLED", "said_ending", "said_options", "said_seconds", "shortened", "visible"]

NOT_SETTLED = "not settled"
_TAIL = 8  # characters that are kept of the end of what is too long: slugs differ there
_UNITS = (("h", 3_600), ("min", 60), ("s", 1))


def visible(text: str) -> str:
    """Return a text in one line without what moves a cursor, turns the direction of text, or XML cannot hold."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def shortened(text: str, most: int) -> str:
    """Return a visible text of at most so many characters, with its beginning and its end."""
    text = visible(text[: 2 * most] + text[-most:] if len(text) > 3 * most else text)
    return text if len(text) <= most else f"{text[: most - _TAIL - 1]}…{text[-_TAIL:]}"


def said_seconds(seconds: float) -> str:
    """Say a duration: `<1 ms`, `0.012 s`, `12.3 s`, `2 min 5 s`, `1 h 10 min`."""
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 60:
        return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"
    left, words = round(seconds), []
    for name, length in _UNITS:
        count, left = divmod(left, length)
        if count:
            words.append(f"{count} {name}")
    return " ".join(words[:2])


def said_ending(state: str, seconds: float | None, attempts: int = 1) -> str:
    """Say how a task or a flow ended: `Success, 0.012 s`."""
    said = [shortened(state, 30) or NOT_SETTLED]
    said += [] if seconds is None else [said_seconds(seconds)]
    return ", ".join([*said, f"{attempts} attempts"] if attempts > 1 else said)


def said_options(options: Mapping[str, Any]) -> Iterator[str]:
    """Say the options of a task one by one: `3 retries`, `timeout 10 s`, `trigger any_failed`, `GPU 1`."""
    for name, value in options.items():
        match name, value:
            case "max_retries", _:
                yield "1 retry" if value == 1 else f"{_short(value)} retries"
            case "timeout", int() | float():
                yield f"timeout {value:g} s"
            case "resources", Mapping():
                yield from (f"{_short(kind)} {_short(amount)}" for kind, amount in value.items())
            case _:
                yield f"{_short(name)} {_short(value)}"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else shortened(str(value), 40)
