"""What the verbs print: data on stdout, all else on stderr, with --json one object as the last line of stdout."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from dioptra.errors import DioptraError

__all__ = ["guard_streams", "json_option", "note", "pass_through", "print_error", "print_json"]

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line."
)


def print_json(value: object) -> None:
    """Print one object on one line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=True))


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


def pass_through(chunk: bytes) -> None:
    """Pass on what a script prints; a reader that has gone away ends the passing on, not the job."""
    try:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except OSError:  # the reader has gone away, or its disk is full: the log has it all the same
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - stays open for the rest of the process


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
