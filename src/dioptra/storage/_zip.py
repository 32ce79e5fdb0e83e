"""The members of a zip archive."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import IO

from dioptra.errors import ArchiveError
from dioptra.storage._members import ArchiveLimits, Member, reading

__all__ = ["zip_members"]

_END = struct.Struct("<4s4H2LH")  # the record at the end of the file
_HEADER = 30  # bytes before a member's name
_ENTRY = 46  # bytes of a member in the directory, besides its names
_EXTRA = 1024  # bytes of extra fields and a comment that a member may have there
_UNIX = 3


def zip_members(file: Path, limits: ArchiveLimits, budget: int) -> Generator[tuple[Member, IO[bytes] | None]]:
    """Yield each member that may be unpacked with its content, None for a folder.

    The standard reader checks the sums at the end of each content. It does not notice members that overlap
    (CVE-2024-0450), writes links as files, cuts names off at a NUL, and reads a directory of any length.

    Args:
        file: The archive.
        limits: What it may hold.
        budget: Bytes that its members may have together.

    Raises:
        ArchiveError: It is damaged, or a member is neither a file nor a folder, or not plainly packed.

    Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    with reading(file.name):
        _check_directory(file, limits)
        archive = zipfile.ZipFile(file)
    with archive:
        entries = archive.infolist()
        _check_places(entries, file.name)
        for count, entry in enumerate(entries):
            member = _member(entry)
            if count == limits.members:
                raise ArchiveError(f"member {member} is one too many; the limit is {count}", where=file.name)
            if problem := _problem(entry):
                raise ArchiveError(f"member {member} {problem}", where=file.name)
            if member.is_folder:
                yield member, None
                continue
            with reading(file.name):
                content = archive.open(entry)
            with content:
                yield member, content
                with reading(file.name):  # its sum is compared at its end
                    if content.read(1):
                        raise ArchiveError(f"member {member} is longer than it says", where=file.name)


def _member(entry: zipfile.ZipInfo) -> Member:
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    return Member(entry.orig_filename, entry.file_size, _is_folder(entry), bool(mode & 0o100))


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/")  # `is_dir` cannot bear a member without a name


def _problem(entry: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > _is_folder(entry):
        return "is neither a file nor a folder"
    if _is_folder(entry) and entry.file_size:
        return "is a folder with a content"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not read"
    return ""


def _check_places(entries: list[zipfile.ZipInfo], archive: str) -> None:
    """Refuse members that share bytes: thousands of them could unpack the same ones."""
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise ArchiveError(f"member {_member(entry)} overlaps another", where=archive)
        end = entry.header_offset + _HEADER + len(entry.orig_filename) + entry.compress_size


def _check_directory(file: Path, limits: ArchiveLimits) -> None:
    """Refuse a directory that is longer than its members need, before it is read whole."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _END.size - (1 << 16)))
        tail = stream.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + _END.size:
        raise ArchiveError("the archive is damaged or of another kind: it has no end", where=file.name)
    _, _, _, _, count, length, _, _ = _END.unpack_from(tail, place)
    most = limits.members * (_ENTRY + limits.path_bytes + _EXTRA)
    if length > most or (count > limits.members and count != 0xFFFF):
        raise ArchiveError(f"the archive has more members than the limit of {limits.members}", where=file.name)
    if length == 0xFFFFFFFF or b"PK\x06\x07" in tail[max(0, place - 20) : place]:
        raise ArchiveError("the archive is of the kind for more than 4 GB", where=file.name, hint="pack it as tar")
