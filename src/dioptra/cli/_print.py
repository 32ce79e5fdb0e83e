"""What the verbs print: data on stdout, all else on stderr, with --json one object as the last line of stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from dioptra.errors import DioptraError

__all__ = ["json_option", "note", "pass_through", "print_error", "print_json"]

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line."
)


def print_json(value: object) -> None:
    """Print one object on one line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=True))


def note(text: str) -> None:
    """Tell a person something, on stderr."""
    click.echo(text, err=True)


def print_error(error: DioptraError) -> None:
    """Print an error as one sentence on stderr, and as JSON on stdout when the command was asked for JSON."""
    note(click.style("Error: ", fg="red", bold=True) + _one_line(str(error)))
    if "--json" in sys.argv[1:]:
        print_json({"error": error.to_dict()})


def pass_through(chunk: bytes) -> None:
    """Pass on what a script prints; a reader that has gone away ends the passing on, not the job."""
    try:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 - stays open for the rest of the process


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
