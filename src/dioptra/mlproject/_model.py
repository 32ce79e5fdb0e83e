"""What an MLproject file declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dioptra.errors import EntryPointNotFoundError, suggest

__all__ = ["EntryPoint", "Parameter", "Project"]


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
            raise EntryPointNotFoundError(
                f"no entry point {name!r}", where=str(self.file), hint=suggest(name, self.entry_points)
            ) from None
