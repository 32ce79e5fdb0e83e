"""Names of files that come from elsewhere: none leads out of the folder, clashes with another, or acts by itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from dioptra.errors import ArchiveError
from dioptra.storage._members import ArchiveLimits, Member

__all__ = ["Names", "folders_of"]

_PART_BYTES = 255  # the longest name that file systems take


@dataclass
class Names:
    """The names seen so far, compared as a file system that ignores case would."""

    limits: ArchiveLimits
    archive: str
    seen: dict[str, tuple[str, bool]] = field(default_factory=dict)  # name as written and whether it is a folder

    def claim(self, member: Member) -> tuple[str, ...]:
        """Return the parts of a member's path, or refuse it.

        Raises:
            ArchiveError: The name must not be used, or is taken.
        """
        parts = tuple(part for part in member.name.split("/") if part not in ("", "."))
        if reason := self._refusal(member, parts) or self._clash(member, parts):
            raise ArchiveError(f"member {member} {reason}", where=self.archive)
        return parts

    def _refusal(self, member: Member, parts: tuple[str, ...]) -> str:
        name, limits = member.name, self.limits
        if name.startswith("/") or ".." in parts or not (parts or member.is_folder):
            return "leaves the folder"
        if "\\" in name or not name.isprintable():
            return "has a name with a character that is not allowed"
        if len(name.encode()) > limits.path_bytes or len(parts) > limits.depth or _longest(parts) > _PART_BYTES:
            return "has a path that is too long"
        if limits.refused_names & {part.lower() for part in parts} or name.lower().endswith(limits.refused_suffixes):
            return "has a name that other programs act upon"
        return ""

    def _clash(self, member: Member, parts: tuple[str, ...]) -> str:
        if not all(self._note("/".join(parts[:length]), folder=True) for length in range(1, len(parts))):
            return "lies in a folder whose name is taken"
        free = self._note("/".join(parts), folder=member.is_folder)
        return "" if free else "comes twice, or differs from another only in upper and lower case"

    def _note(self, name: str, *, folder: bool) -> bool:
        """Note a name and tell whether it was free; a folder may come again."""
        key = unicodedata.normalize("NFC", name).casefold()
        if key not in self.seen:
            self.seen[key] = (name, folder)
            return True
        return folder and self.seen[key] == (name, True)


def folders_of(names: Iterable[str]) -> set[str]:
    """Return the folders that files with these names lie in, besides the one that all do."""
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _longest(parts: tuple[str, ...]) -> int:
    return max((len(part.encode()) for part in parts), default=0)
