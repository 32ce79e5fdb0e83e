"""Walk a folder as a program that opens its files would see it: links are followed, names are bytes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dioptra.errors import CaptureError

__all__ = ["FILE", "FOLDER", "Entry", "look_at", "reading", "walk"]

FILE, FOLDER, LINK, LOOP, OTHER = "file", "folder", "link", "loop", "special"
_SPECIAL = {
    stat.S_IFIFO: b"fifo",
    stat.S_IFSOCK: b"socket",
    stat.S_IFCHR: b"character device",
    stat.S_IFBLK: b"block device",
}
_DANGLING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something below a folder."""

    path: bytes  # relative to the root; that of a folder ends in a slash
    kind: str
    detail: bytes  # where a dangling link points, how many levels up a loop leads, what a special file is
    status: os.stat_result | None  # of what a link points to; None where that is nothing


@contextmanager
def reading(path: bytes) -> Iterator[None]:
    """Name the file or folder that could not be read in one sentence.

    Raises:
        CaptureError: It could not be read.
    """
    try:
        yield
    except OSError as error:
        raise CaptureError(
            f"{os.fsdecode(path)!r} cannot be read ({error.strerror or error})",
            hint="make it readable, or move it away",
        ) from error


def walk(root: bytes, skip: frozenset[bytes]) -> Iterator[Entry]:
    """Yield everything below a folder, in the order of the relative paths as bytes.

    Args:
        root: The folder.
        skip: Names of files and folders that are left out, wherever they lie.
    """
    top = look_at(root, b"")
    chain = [_identity(top.status)] if top.status else []  # of the folders that the walk is in, to notice loops
    open_folders = [_listing(root, b"", skip)]  # no recursion: Python's would end before a path gets too long
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
            chain.pop()
            continue
        if entry.kind == FOLDER and entry.status:
            if (identity := _identity(entry.status)) in chain:
                levels = len(chain) - chain.index(identity)
                entry = Entry(entry.path, LOOP, b"%d" % levels, entry.status)
            else:
                chain.append(identity)
                open_folders.append(_listing(root, entry.path, skip))
        yield entry


def _listing(root: bytes, inside: bytes, skip: frozenset[bytes]) -> Iterator[Entry]:
    folder = os.path.join(root, inside)  # noqa: PTH118 (names are bytes)
    with reading(folder), os.scandir(folder) as found:
        names = [child.name for child in found if child.name not in skip]
    entries = [look_at(os.path.join(folder, name), inside + name) for name in names]  # noqa: PTH118
    return iter(sorted(entries, key=lambda entry: entry.path))


def look_at(path: bytes, relative: bytes) -> Entry:
    """Tell what lies at a path."""
    with reading(path):
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError as error:
            if error.errno not in _DANGLING:
                raise
            return Entry(relative, LINK, os.readlink(path), None)  # noqa: PTH115
    if stat.S_ISDIR(status.st_mode):
        return Entry(relative + b"/", FOLDER, b"", status)
    if stat.S_ISREG(status.st_mode):
        return Entry(relative, FILE, b"", status)
    return Entry(relative, OTHER, _SPECIAL.get(stat.S_IFMT(status.st_mode), b"unknown"), status)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
