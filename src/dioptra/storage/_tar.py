"""The members of a tar archive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, cast

from dioptra.errors import ArchiveError
from dioptra.storage._members import CHUNK, ArchiveLimits, Member, reading

__all__ = ["TAR_MODES", "tar_members"]

TAR_MODES = ("r:", "r:gz", "r:bz2", "r:xz")
_HEADERS = 4096  # bytes of headers and padding that a member may have


def tar_members(
    file: Path, mode: str, limits: ArchiveLimits, budget: int
) -> Generator[tuple[Member, IO[bytes] | None]]:
    """Yield each member that may be unpacked with its content, None for a folder.

    Args:
        file: The archive.
        mode: `r:gz`, `r:bz2`, `r:xz` or `r:` (not compressed).
        limits: What it may hold.
        budget: Bytes that its members may have together.

    Raises:
        ArchiveError: It is damaged, or a member is neither a file nor a folder.
    """
    openers: dict[str, Any] = {"r:": open, "r:gz": gzip.open, "r:bz2": bz2.open, "r:xz": lzma.open}
    stream = _Bounded(openers[mode](file, "rb"), budget + _HEADERS * (limits.members + 1), file.name)
    with closing(stream):
        yield from _members(stream, file.name, limits)


def _members(stream: _Bounded, archive: str, limits: ArchiveLimits) -> Generator[tuple[Member, IO[bytes] | None]]:
    with reading(archive):
        reader: Any = tarfile.TarFile(fileobj=cast("Any", stream))
    for count in range(limits.members + 1):
        with reading(archive):
            header: tarfile.TarInfo | None = reader.next()
            reader.members.clear()  # or a list of all members is kept
        if header is None:
            return _check_end(reader, stream, archive)
        member = Member(header.name, header.size, header.isdir(), bool(header.mode & 0o100))
        if count == limits.members:
            raise ArchiveError(f"member {member} is one too many; the limit is {count}", where=archive)
        if not (header.isreg() or header.isdir()) or header.issparse():
            raise ArchiveError(f"member {member} is neither a file nor a folder", where=archive)
        # A size below zero would make the reader come back to the same header for ever (CVE-2025-8194).
        if header.size < 0:
            raise ArchiveError(f"member {member} has a damaged header", where=archive)
        with reading(archive):
            content = reader.extractfile(header) if header.isreg() else None
        yield member, content


def _check_end(reader: tarfile.TarFile, stream: _Bounded, archive: str) -> None:
    """Refuse an archive that was cut off: the tar reader takes a header it cannot read for the end."""
    with reading(archive):
        stream.seek(reader.offset)
        marker = stream.read(tarfile.BLOCKSIZE)
        while stream.read(CHUNK):  # to the end, where the checksum of a compressed file is compared
            pass
    if marker != bytes(tarfile.BLOCKSIZE):
        raise ArchiveError("the archive is damaged or cut off", where=archive)


class _Bounded:
    """A stream to read that refuses to go beyond a limit, and to give much at once."""

    def __init__(self, stream: IO[bytes], limit: int, archive: str) -> None:
        self._stream, self._limit, self._archive = stream, limit, archive

    def read(self, size: int = -1) -> bytes:
        # The largest single read of the tar reader is an extended header, whose parser takes quadratic time.
        if not 0 <= size <= CHUNK:
            raise ArchiveError("the archive has a damaged header", where=self._archive)
        content = self._stream.read(size)
        self._check(self._stream.tell())
        return content

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        self._check(position)
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise ArchiveError("the archive unpacks to more than it may", where=self._archive)
