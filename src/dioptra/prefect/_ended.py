"""Reads in a job's journal how the flows of a real Prefect ended: their scripts end with exit code 0 all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["failed_flow"]


def failed_flow(attempt_dir: Path) -> str:
    """Return a sentence for the first flow of a real Prefect that did not end well, or nothing.

    Flows of Dioptra play no part: they raise when they fail, unless the script has taken that upon itself.
    """
    for line in _endings(attempt_dir / "flow.jsonl"):
        if line.get("state") != "Success":
            return f"flow {line.get('flow')!r} ended {str(line.get('state')).lower()}"
    return ""


def _endings(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for text in lines:
            if b'"engine": "prefect' in text and (line := _parsed(text)).get("event") == "flow-ended":
                yield line


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
