"""Reads in a job's journal which flows failed although the script ended with exit code 0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["failed_flow"]


_SIGNS = (b'"engine": "prefect', b'"event": "flow-uncaught"')  # only lines with one of these are parsed


def failed_flow(attempt_dir: Path) -> str:
    """Return a sentence for the first flow whose failure the exit code does not tell, or nothing.

    Those are flows of a real Prefect that did not end well, and flows of Dioptra whose `FlowFailed` ended a thread.
    Others of Dioptra play no part: they raise when they fail, and the script ends by it, or has taken it upon itself.
    """
    for line in _endings(attempt_dir / "flow.jsonl"):
        if line.get("event") == "flow-uncaught":
            return f"flow {line.get('flow')!r} ended failed"
        if line.get("state") != "Success":
            return f"flow {line.get('flow')!r} ended {str(line.get('state')).lower()}"
    return ""


def _endings(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        return
    from dioptra.flow._journal_lines import journal_lines  # only an attempt with a flow pays for it

    for line in journal_lines(file, _SIGNS):
        if line.get("event") == "flow-uncaught" or _is_ending_of_prefect(line):
            yield line


def _is_ending_of_prefect(line: dict[str, Any]) -> bool:
    return line.get("event") == "flow-ended" and str(line.get("engine")).startswith("prefect")
