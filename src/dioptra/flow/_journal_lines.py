"""The lines of a job's journal, read with care: the script that wrote it could write anything else there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["journal_lines"]

_LINE = 2**24  # bytes of a line; the longest of ours have the graph of a flow
_WHOLE = 2**30  # bytes that are looked at: millions of tasks


def journal_lines(file: Path, signs: Sequence[bytes] = (), most: int = _WHOLE) -> Iterator[dict[str, Any]]:
    """Yield the lines that can be read, in order; the last one may have been cut off. No file has no lines.

    Args:
        file: `flow.jsonl` of an attempt.
        signs: Parse only lines with one of these in them.
        most: How many bytes are looked at.
    """
    if not file.is_file():
        return
    with file.open("rb") as lines:
        while most > 0 and (text := lines.readline(min(_LINE, most))):
            most -= len(text)
            if (not signs or any(sign in text for sign in signs)) and (line := _parsed(text)):
                yield line


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}
