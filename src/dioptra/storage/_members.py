"""The members of an archive, of whatever kind it is."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dioptra.errors import ArchiveError

__all__ = ["CHUNK", "ArchiveLimits", "Member", "reading"]

CHUNK = 1 << 17  # bytes that are read at once
_SHOWN = 120  # characters of a name in an error
# All that the standard readers raise on damaged bytes, as fuzzing them has shown.
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    OverflowError,
    RecursionError,
    NotImplementedError,
)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold at most."""

    members: int = 5_000
    total_bytes: int = 200_000_000
    member_bytes: int = 50_000_000
    ratio: int = 100  # unpacked bytes for each packed one, once they are more than a megabyte
    path_bytes: int = 200
    depth: int = 12
    refused_names: frozenset[str] = frozenset()
    refused_suffixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """A file or a folder of an archive, as its header says."""

    name: str
    size: int
    is_folder: bool
    is_executable: bool

    def __str__(self) -> str:
        name = repr(self.name)
        return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...'"


@contextmanager
def reading(archive: str) -> Iterator[None]:
    """Turn what the readers raise on damaged bytes into one error."""
    try:
        yield
    except _DAMAGED as error:
        raise ArchiveError(f"the archive is damaged or of another kind: {error}", where=archive) from error
