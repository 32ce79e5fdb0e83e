"""What an MLproject file declares."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dioptra.errors import EntryPointNotFoundError

__all__ = ["EntryPoint", "Parameter", "Project", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" when a known word is near, else nothing."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"did you mean {matches[0]!r}?" if matches else ""


@dataclass(frozen=True)
class Parameter:
    """A declared parameter of an entry point."""

    name: str
    type: str
    default: str | None
    line: int


@dataclass(frozen=True)
class EntryPoint:
    """A command, paired with the parameters that it takes."""

    name: str
    command: str
    parameters: dict[str, Parameter]
    line: int
    file: Path

    @property
    def where(self) -> str:
        """Return the place of the declaration, for messages."""
        return f"{self.file} line {self.line}, entry point {self.name!r}"


@dataclass(frozen=True)
class Project:
    """A folder with an MLproject file."""

    name: str
    file: Path
    entry_points: dict[str, EntryPoint]
    warnings: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path:
        """Return the folder that commands run in."""
        return self.file.parent

    def entry_point(self, name: str) -> EntryPoint:
        """Return the entry point of that name.

        Raises:
            EntryPointNotFoundError: There is none; the message names the near and the existing ones.
        """
        try:
            return self.entry_points[name]
        except KeyError:
            have = ", ".join(sorted(self.entry_points)) or "none"
            guess = nearest(name, self.entry_points)
            raise EntryPointNotFoundError(
                f"no entry point {name!r}", where=str(self.file), hint=f"{guess} (have: {have})".strip()
            ) from None
