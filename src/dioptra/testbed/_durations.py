"""Spans of time as people write them: `30s`, `90m`, `2h`, `1d12h`."""

from __future__ import annotations

import re

from dioptra.errors import UsageError

__all__ = ["parse_duration"]

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhd])+")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST = 366 * 86_400


def parse_duration(text: str) -> float:
    """Return the seconds of a span of time; a number without a unit is seconds.

    Raises:
        UsageError: It is no span of time, or none above zero and under a year.
    """
    written = text.strip().lower()
    parts = _PART.findall(written) if _WHOLE.fullmatch(written) else []
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", written):
        parts = [(written, "s")]
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds <= _MOST:
        raise UsageError(f"{text!r} is no span of time", hint="write it such as 90s, 30m, 2h or 1d12h")
    return seconds
