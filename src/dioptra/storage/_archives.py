"""Unpack a tar archive from anywhere: what it holds can neither leave the folder nor fill the disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from dioptra.errors import ArchiveError

__all__ = ["BUNDLE_LIMITS", "DATA_LIMITS", "ArchiveLimits", "unpack_tar", "with_member"]

_MODES = ("r:", "r:gz", "r:bz2", "r:xz")
# All that the standard readers raise on damaged bytes, as fuzzing them has shown.
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError, RecursionError)
_CHUNK = 1 << 17
_PART_BYTES = 255  # the longest name that file systems take
_SHOWN = 120  # characters of a name in an error
_HEADERS = 4096  # bytes of headers and padding that a member may have


def with_member(archive: bytes, name: str, change: Callable[[str], str]) -> bytes:
    """Return a zip file in memory in which the text of one member is another; the file is one that can be trusted."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member, change(content.decode()).encode() if member.filename == name else content)
    return made.getvalue()


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


BUNDLE_LIMITS = ArchiveLimits(
    refused_names=frozenset({".git", "__pycache__", "sitecustomize.py", "usercustomize.py"}), refused_suffixes=(".pth",)
)
DATA_LIMITS = ArchiveLimits(
    members=2_000_000, total_bytes=200 << 30, member_bytes=50 << 30, ratio=1_100, path_bytes=1_000, depth=32
)


def unpack_tar(archive: Path, into: Path, *, mode: str = "r:gz", limits: ArchiveLimits = BUNDLE_LIMITS) -> Path:
    """Unpack plain files and folders below a folder, all of them or none, and return the folder.

    Args:
        archive: Path of the archive.
        into: Folder to unpack into; made where it does not exist. Files there are replaced, links never followed.
        mode: `r:gz`, `r:bz2`, `r:xz` or `r:` (not compressed).
        limits: What the archive may hold; `BUNDLE_LIMITS` for code, `DATA_LIMITS` for data sets.

    Raises:
        ArchiveError: The archive is damaged, or a member leads out of the folder, is a link or device, comes twice,
            or is more than the limits allow.

    Source: CVE-2007-4559 and those after it; https://docs.python.org/3/library/tarfile.html#extraction-filters
    """
    if mode not in _MODES:
        raise ArchiveError(f"no mode '{mode}' for reading archives", hint=f"have: {', '.join(_MODES)}")
    if not archive.is_file():
        raise ArchiveError(f"there is no archive {archive}")
    existed = into.exists()
    place = into if existed else into.parent
    place.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".unpack-", dir=place))
    try:
        _unpack(archive, aside, mode, limits)
        aside.chmod(0o755)
        _merge(aside, into) if existed else aside.replace(into)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return into


def _unpack(archive: Path, folder: Path, mode: str, limits: ArchiveLimits) -> None:
    packed = archive.stat().st_size
    budget = min(limits.total_bytes, max(packed * limits.ratio, 1_000_000))
    names = _Names(limits, archive.name)
    with closing(_Bounded(_open(archive, mode), budget + _HEADERS * (limits.members + 1), archive.name)) as stream:
        left = budget
        for member, content in _members(stream, archive.name, limits):
            path = names.claim(member)
            if content is None:
                folder.joinpath(*path).mkdir(parents=True, exist_ok=True)
            else:
                left -= member.size
                _check_size(member, left, limits, archive.name)
                _write(folder.joinpath(*path), member, content, archive.name)


def _open(archive: Path, mode: str) -> IO[bytes]:
    openers: dict[str, Any] = {"r:": open, "r:gz": gzip.open, "r:bz2": bz2.open, "r:xz": lzma.open}
    return cast("IO[bytes]", openers[mode](archive, "rb"))


def _check_size(member: tarfile.TarInfo, left: int, limits: ArchiveLimits, archive: str) -> None:
    if member.size > limits.member_bytes:
        raise ArchiveError(
            f"member {_shown(member)} is {member.size} bytes", where=archive, hint=f"the limit is {limits.member_bytes}"
        )
    if left < 0:
        raise ArchiveError(f"member {_shown(member)} makes the archive unpack to more than it may", where=archive)


def _members(
    stream: _Bounded, archive: str, limits: ArchiveLimits
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield each member that may be unpacked with its content, None for a folder."""
    with _reading(archive):
        reader: Any = tarfile.TarFile(fileobj=cast("Any", stream))
    for count in range(limits.members + 1):
        with _reading(archive):
            member: tarfile.TarInfo | None = reader.next()
            reader.members.clear()  # or a list of all members is kept
        if member is None:
            return _check_end(reader, stream, archive)
        if count == limits.members:
            raise ArchiveError(f"member {_shown(member)} is one too many; the limit is {count}", where=archive)
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise ArchiveError(f"member {_shown(member)} is neither a file nor a folder", where=archive)
        # A size below zero would make the reader come back to the same header for ever (CVE-2025-8194).
        if member.size < 0:
            raise ArchiveError(f"member {_shown(member)} has a damaged header", where=archive)
        with _reading(archive):
            content = reader.extractfile(member) if member.isreg() else None
        yield member, content


def _shown(member: tarfile.TarInfo) -> str:
    name = repr(member.name)
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...'"


def _check_end(reader: tarfile.TarFile, stream: _Bounded, archive: str) -> None:
    """Refuse an archive that was cut off: the tar reader takes a header it cannot read for the end."""
    with _reading(archive):
        stream.seek(reader.offset)
        marker = stream.read(tarfile.BLOCKSIZE)
        while stream.read(_CHUNK):  # to the end, where the checksum of a compressed file is compared
            pass
    if marker != bytes(tarfile.BLOCKSIZE):
        raise ArchiveError("the archive is damaged or cut off", where=archive)


def _write(path: Path, member: tarfile.TarInfo, content: IO[bytes], archive: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        left = member.size
        while left:
            with _reading(archive):
                chunk = content.read(min(left, _CHUNK))
            if not chunk:
                raise ArchiveError(f"member {_shown(member)} is cut off", where=archive)
            file.write(chunk)
            left -= len(chunk)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _merge(source: Path, into: Path) -> None:
    """Move what was unpacked into a folder that exists, after a look at all of it."""
    entries = sorted(source.rglob("*"))
    for entry in entries:
        target = into / entry.relative_to(source)
        if target.is_symlink() or (target.exists() and (target.is_dir() != entry.is_dir())):
            raise ArchiveError(f"member {str(entry.relative_to(source))!r} is in the way of what is at {target}")
    for entry in entries:
        target = into / entry.relative_to(source)
        target.mkdir(exist_ok=True) if entry.is_dir() else entry.replace(target)


@contextmanager
def _reading(archive: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise ArchiveError(f"the archive is damaged or of another kind: {error}", where=archive) from error


@dataclass
class _Names:
    """The names seen so far, compared as a file system that ignores case would."""

    limits: ArchiveLimits
    archive: str
    seen: dict[str, tuple[str, bool]] = field(default_factory=dict)  # name as written and whether it is a folder

    def claim(self, member: tarfile.TarInfo) -> tuple[str, ...]:
        """Return the parts of a member's path, or refuse it."""
        parts = tuple(part for part in member.name.split("/") if part not in ("", "."))
        if reason := self._refusal(member, parts) or self._clash(member, parts):
            raise ArchiveError(f"member {_shown(member)} {reason}", where=self.archive)
        return parts

    def _refusal(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> str:
        name, limits = member.name, self.limits
        if name.startswith("/") or ".." in parts or not (parts or member.isdir()):
            return "leaves the folder"
        if "\\" in name or not name.isprintable():
            return "has a name with a character that is not allowed"
        if len(name.encode()) > limits.path_bytes or len(parts) > limits.depth or _longest(parts) > _PART_BYTES:
            return "has a path that is too long"
        if limits.refused_names & {part.lower() for part in parts} or name.lower().endswith(limits.refused_suffixes):
            return "has a name that other programs act upon"
        return ""

    def _clash(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> str:
        if not all(self._note("/".join(parts[:length]), folder=True) for length in range(1, len(parts))):
            return "lies in a folder whose name is taken"
        free = self._note("/".join(parts), folder=member.isdir())
        return "" if free else "comes twice, or differs from another only in upper and lower case"

    def _note(self, name: str, *, folder: bool) -> bool:
        """Note a name and tell whether it was free; a folder may come again."""
        key = unicodedata.normalize("NFC", name).casefold()
        if key not in self.seen:
            self.seen[key] = (name, folder)
            return True
        return folder and self.seen[key] == (name, True)


def _longest(parts: tuple[str, ...]) -> int:
    return max((len(part.encode()) for part in parts), default=0)


class _Bounded:
    """A stream to read that refuses to go beyond a limit, and to give much at once."""

    def __init__(self, stream: IO[bytes], limit: int, archive: str) -> None:
        self._stream, self._limit, self._archive = stream, limit, archive

    def read(self, size: int = -1) -> bytes:
        # The largest single read of the tar reader is an extended header, whose parser takes quadratic time.
        if not 0 <= size <= _CHUNK:
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
