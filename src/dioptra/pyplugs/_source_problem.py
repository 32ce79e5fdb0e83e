"""What is wrong with a collection of task plugins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Problem", "clean"]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a file of a collection.

    Args:
        file: The file or folder, relative to the folder of the collection; empty for the collection as a whole.
        line: Its line, from 1; 0 for the file as a whole.
        message: What is wrong.
        hint: What would be right.
        is_error: Whether something fails for certain; else it is a warning.
    """

    file: str
    line: int
    message: str
    hint: str = ""
    is_error: bool = True

    @property
    def where(self) -> str:
        """The place, as errors write it."""
        return f"{self.file} line {self.line}" if self.line else self.file

    def __str__(self) -> str:
        place = f"{self.where}: " if self.file else ""
        join = " " if self.hint.startswith("(") else "; "
        return place + self.message + (join + self.hint if self.hint else "")

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return asdict(self)


def clean(text: str) -> str:
    """Return a text as UTF-8 can hold it: a lone half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
