"""Unpack an archive from anywhere: what it holds can neither leave the folder nor fill the disk."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import IO

from dioptra.errors import ArchiveError
from dioptra.storage._members import CHUNK, ArchiveLimits, Member, reading
from dioptra.storage._names import Names
from dioptra.storage._tar import TAR_MODES, tar_members
from dioptra.storage._zip import zip_members

__all__ = [
    "ARCHIVE_SUFFIXES",
    "BUNDLE_LIMITS",
    "DATA_LIMITS",
    "ArchiveLimits",
    "is_archive",
    "unpack",
    "unpack_tar",
    "with_member",
]

ARCHIVE_SUFFIXES = {
    ".zip": "zip",
    ".tar": "r:",
    ".tar.gz": "r:gz",
    ".tgz": "r:gz",
    ".tar.bz2": "r:bz2",
    ".tar.xz": "r:xz",
}

_Members = Callable[[Path, ArchiveLimits, int], Generator[tuple[Member, IO[bytes] | None]]]


def with_member(archive: bytes, name: str, change: Callable[[str], str]) -> bytes:
    """Return a zip file in memory in which the text of one member is another; the file is one that can be trusted."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member, change(content.decode()).encode() if member.filename == name else content)
    return made.getvalue()


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
    if mode not in TAR_MODES:
        raise ArchiveError(f"no mode '{mode}' for reading archives", hint=f"have: {', '.join(TAR_MODES)}")
    return _unpack_aside(archive, into, lambda file, limits, budget: tar_members(file, mode, limits, budget), limits)


def is_archive(path: Path) -> bool:
    """Tell whether a path is named as an archive that `unpack` takes."""
    return _kind(path) is not None


def unpack(archive: Path, into: Path, *, limits: ArchiveLimits = BUNDLE_LIMITS) -> Path:
    """Do what `unpack_tar` does, with an archive whose suffix says its kind: one of `ARCHIVE_SUFFIXES`.

    Raises:
        ArchiveError: As there; or it has another suffix.
    """
    kind = _kind(archive)
    if kind is None:
        have = ", ".join(ARCHIVE_SUFFIXES)
        raise ArchiveError(f"{archive.name!r} is no archive that can be unpacked", hint=f"name it with one of: {have}")
    return (
        _unpack_aside(archive, into, zip_members, limits)
        if kind == "zip"
        else unpack_tar(archive, into, mode=kind, limits=limits)
    )


def _kind(path: Path) -> str | None:
    return next((kind for suffix, kind in ARCHIVE_SUFFIXES.items() if path.name.lower().endswith(suffix)), None)


def _unpack_aside(archive: Path, into: Path, members: _Members, limits: ArchiveLimits) -> Path:
    if not archive.is_file():
        raise ArchiveError(f"there is no archive {archive}")
    existed = into.exists()
    place = into if existed else into.parent
    place.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".unpack-", dir=place))
    try:
        _unpack(archive, aside, members, limits)
        aside.chmod(0o755)
        _merge(aside, into) if existed else aside.replace(into)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return into


def _unpack(archive: Path, folder: Path, members: _Members, limits: ArchiveLimits) -> None:
    left = min(limits.total_bytes, max(archive.stat().st_size * limits.ratio, 1_000_000))
    names = Names(limits, archive.name)
    with closing(members(archive, limits, left)) as found:
        for member, content in found:
            path = names.claim(member)
            if content is None:
                folder.joinpath(*path).mkdir(parents=True, exist_ok=True)
            else:
                left -= member.size
                _check_size(member, left, limits, archive.name)
                _write(folder.joinpath(*path), member, content, archive.name)


def _check_size(member: Member, left: int, limits: ArchiveLimits, archive: str) -> None:
    if member.size > limits.member_bytes:
        raise ArchiveError(
            f"member {member} is {member.size} bytes", where=archive, hint=f"the limit is {limits.member_bytes}"
        )
    if left < 0:
        raise ArchiveError(f"member {member} makes the archive unpack to more than it may", where=archive)


def _write(path: Path, member: Member, content: IO[bytes], archive: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        left = member.size
        while left:
            with reading(archive):
                chunk = content.read(min(left, CHUNK))
            if not chunk:
                raise ArchiveError(f"member {member} is cut off", where=archive)
            file.write(chunk)
            left -= len(chunk)
    path.chmod(0o755 if member.is_executable else 0o644)


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
