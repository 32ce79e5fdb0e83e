"""What the verbs print: data on stdout, all else on stderr, with --json one object as the last line of stdout."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from dioptra.errors import DioptraError

__all__ = ["PassThrough", "guard_streams", "json_option", "note", "print_error", "print_json"]

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line."
)


def print_json(value: object) -> None:
    """Print one object on one line of stdout; JSON has no NaN and no infinity, which become text."""
    click.echo(json.dumps(_finite(value), ensure_ascii=True, allow_nan=False))


def note(text: str) -> None:
    """Tell a person something, on stderr."""
    click.echo(text, err=True)


def print_error(error: DioptraError, more: Mapping[str, object] | None = None, *, quiet: bool = False) -> None:
    """Print an error as one sentence on stderr, and as JSON on stdout when the command was asked for JSON."""
    if not quiet:
        for warning in getattr(error, "__notes__", ()):
            note(f"Warning: {warning}")
        note(click.style("Error: ", fg="red", bold=True) + _one_line(str(error)))
    if "--json" in sys.argv[1:]:
        print_json({**(more or {}), "error": error.to_dict()})


def guard_streams() -> None:
    """Let every text be printed: to a stream that is closed it is lost, and a character it lacks becomes a mark."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - stays open for the rest of the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class PassThrough:
    """Passes on what a script prints; a reader that has gone away ends the passing on, not the job."""

    def __init__(self) -> None:
        self._in_line = False

    def __call__(self, chunk: bytes) -> None:
        """Pass a piece on."""
        self._in_line = not chunk.endswith(b"\n")
        try:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        except OSError:  # the reader has gone away, or its disk is full: the log has it all the same
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - stays open for the rest of the process

    def end_line(self) -> None:
        """End a line that the script has left open, so that what follows has one of its own."""
        if self._in_line:
            self(b"\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
