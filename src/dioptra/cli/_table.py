"""Tables on the terminal: columns as wide as they need, and only the last one is cut off where there is no room."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click

__all__ = ["show_table", "visible"]

_GAP = "  "
_CUT = "..."


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a row for each entry; in a narrow terminal only the last column is cut off, elsewhere nothing is."""
    from rich.cells import cell_len, set_cell_size

    lines = [[visible(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)][:-1]
    room = _width() - sum(widths) - len(_GAP) * len(widths)
    for number, (*cells, last) in enumerate(lines):
        if sys.stdout.isatty() and cell_len(last) > max(room, len(headings[-1])):
            last = set_cell_size(last, max(room, len(headings[-1])) - len(_CUT)) + _CUT
        line = _GAP.join([*map(set_cell_size, cells, widths), last]).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def visible(text: str) -> str:
    """Return a text on one line: what moves the cursor or has no glyph is written as Python writes it."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _width() -> int:
    return shutil.get_terminal_size().columns
