"""Laying out what was captured: the same bytes as files again, read with `cat-file`, which no attribute can alter."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dioptra.errors import GitError, RefusedError
from dioptra.experiment._blobs import LINK, Entry, leads_out, name_of
from dioptra.experiment._files import folders_of
from dioptra.experiment._git import Git

__all__ = ["lay_out", "tree_entries"]

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def tree_entries(git: Git, tree: str) -> Iterator[Entry]:
    """Yield the files of a tree."""
    for line in git.run("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        mode, _, oid = head.decode().split(" ")
        yield Entry(path, mode, oid)


def lay_out(git: Git, tree: str, folder: Path) -> None:
    """Write the files of a tree into an empty folder.

    Raises:
        RefusedError: An entry would be written outside the folder, or would lead out of it, and nothing has been
            written; or a file cannot be written.
        GitError: The tree cannot be read whole.
    """
    entries = list(tree_entries(git, tree))
    _check_names(entries)
    entries.sort(key=lambda entry: entry.mode != LINK)  # links are read first, and written last: no file through one
    links = []
    place = _Place(folder)
    try:
        for entry, content in _contents(git, entries):
            if entry.mode == LINK:
                _check_link(entry, content)
                links.append((entry, content))
            else:
                place.write(entry, content)
        for entry, target in links:
            place.link(entry, target)
    except OSError as error:
        raise RefusedError(f"the snapshot cannot be laid out in {str(folder)!r} ({error.strerror})") from error


def _contents(git: Git, entries: list[Entry]) -> Iterator[tuple[Entry, bytes]]:
    """Yield each entry with its content."""
    with tempfile.TemporaryFile() as wanted:
        wanted.writelines(f"{entry.oid}\n".encode() for entry in entries)
        wanted.seek(0)
        reader = git.start("cat-file", "--batch", stdin=wanted.fileno())
        try:
            output = reader.process.stdout
            for entry in entries if output else ():
                content = _content(output, entry)
                if name_of(b"blob", content) != entry.oid:  # git does not look
                    raise GitError(f"the content of {os.fsdecode(entry.path)!r} is not what was captured ({entry.oid})")
                yield entry, content
        finally:
            reader.process.kill()
            reader.end(ok=None)


def _content(output: IO[bytes] | None, entry: Entry) -> bytes:
    assert output is not None  # noqa: S101 - the caller has looked
    head = output.readline().split()
    if len(head) != 3 or head[1] != b"blob":
        raise GitError(
            f"the content of {os.fsdecode(entry.path)!r} ({entry.oid}) is missing from the code that was kept"
        )
    size = int(head[2])
    content = output.read(size + 1)
    if len(content) != size + 1:
        raise GitError(f"the content of {os.fsdecode(entry.path)!r} ({entry.oid}) cannot be read whole")
    return content[:-1]


def _check_names(entries: list[Entry]) -> None:
    """Refuse what was not captured by us: names that leave the folder, and one thing in another's place."""
    seen: set[bytes] = set()
    for entry in entries:
        parts = entry.path.split(b"/")
        if any(part in (b"", b".", b"..") or part.lower() == b".git" for part in parts):
            raise RefusedError(f"the snapshot holds {os.fsdecode(entry.path)!r}, which would leave its folder")
        if entry.mode not in ("100644", "100755", LINK):
            raise RefusedError(f"the snapshot holds {os.fsdecode(entry.path)!r} of an unknown kind ({entry.mode})")
        if entry.path in seen:
            raise RefusedError(f"the snapshot holds {os.fsdecode(entry.path)!r} twice")
        seen.add(entry.path)
    if both := seen & folders_of(seen):
        raise RefusedError(f"the snapshot holds {os.fsdecode(min(both))!r} twice, once as a folder")


def _check_link(entry: Entry, target: bytes) -> None:
    if leads_out(entry.path, target) or b"\0" in target or not target:
        raise RefusedError(f"the snapshot holds a link {os.fsdecode(entry.path)!r} that leads out of it")


@dataclass
class _Place:
    """A folder that is being filled."""

    folder: Path

    def __post_init__(self) -> None:
        self._root = os.fsencode(self.folder)
        self._made = {b""}

    def write(self, entry: Entry, content: bytes) -> None:
        """Write one file, with the folders that it lies in."""
        mode = 0o777 if entry.mode == "100755" else 0o666
        with open(os.open(self._full(entry), _NEW_FILE, mode), "wb") as file:
            file.write(content)

    def link(self, entry: Entry, target: bytes) -> None:
        """Make a link, with the folders that it lies in."""
        os.symlink(target, self._full(entry))

    def _full(self, entry: Entry) -> bytes:
        parent = os.path.dirname(entry.path)
        if parent not in self._made:
            os.makedirs(os.path.join(self._root, parent), exist_ok=True)
            self._made.add(parent)
        return os.path.join(self._root, entry.path)
