"""Tables on the terminal: columns as wide as they need; the last one is cut off or wrapped where there is no room."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

import click

__all__ = ["show_table", "visible"]

_GAP = "  "
_CUT = "..."
_LEAST = 16  # columns that are wrapped to at least


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, wrap: bool = False) -> None:
    """Print a row for each entry; in a narrow terminal only the last column is cut off, elsewhere nothing is.

    With `wrap`, the last column goes on in the next lines instead.
    """
    from rich.cells import cell_len, set_cell_size

    lines = [[visible(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)][:-1]
    room = _width() - sum(widths) - len(_GAP) * len(widths)
    for number, (*cells, last) in enumerate(lines):
        more: list[str] = []
        if sys.stdout.isatty() and cell_len(last) > max(room, len(headings[-1])):
            if wrap:
                last, *more = _wrapped(last, max(room, _LEAST))
            else:
                last = set_cell_size(last, max(room, len(headings[-1])) - len(_CUT)) + _CUT
        line = _GAP.join([*map(set_cell_size, cells, widths), last]).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)
        for rest in more:
            click.echo(" " * (sum(widths) + len(_GAP) * len(widths)) + rest)


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, subsequent_indent=_GAP, break_on_hyphens=False)


def visible(text: str) -> str:
    """Return a text on one line: what moves the cursor or has no glyph is written as Python writes it."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _width() -> int:
    return shutil.get_terminal_size().columns
