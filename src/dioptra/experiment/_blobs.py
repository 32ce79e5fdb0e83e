"""Files of a project as git's objects, byte for byte: no filter, no line-end conversion, no encoding is applied."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dioptra.errors import CaptureError, GitError
from dioptra.experiment._files import Scope
from dioptra.experiment._git import Git

__all__ = ["LINK", "Entry", "blobs", "is_whole", "leads_out", "name_of", "refuse_closed", "store_blobs", "store_loose"]

_FILE, _PROGRAM, LINK = "100644", "100755", "120000"
_TIMES = 10  # that a file may turn into something else while it is being read
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """One file of a tree."""

    path: bytes
    mode: str
    oid: str

    @property
    def line(self) -> bytes:
        """The entry as `git update-index --index-info` reads it."""
        return f"{self.mode} {self.oid}\t".encode() + self.path + b"\0"


def blobs(scope: Scope, paths: Iterable[bytes], limit: int) -> Iterator[tuple[Entry, bytes]]:
    """Yield the entry and the content of each file; what is neither file nor link, or gone by now, is left out.

    Raises:
        CaptureError: A file is too large, cannot be read, has a name that cannot be kept, or is a link that leads out.
            All that can be seen to be so beforehand are named at once, before the first is yielded.
    """
    for path, mode in _looked_at(scope, paths, limit):
        if read := _read(scope, path, mode, limit):
            yield Entry(path, read[0], name_of(b"blob", read[1])), read[1]


def store_blobs(git: Git, found: Iterable[tuple[Entry, bytes]]) -> list[Entry]:
    """Store contents as they are, and return their entries."""
    entries = []
    writer = git.start("fast-import", "--quiet", "--done", stdin=subprocess.PIPE)
    try:
        # git names a pack by what is in it, and two that write the same one at a time are in each other's way
        _send(writer.process, os.urandom(20))
        for entry, content in found:
            _send(writer.process, content)
            entries.append(entry)
    except BaseException:
        writer.stop()
        raise
    writer.end(b"done\n")
    return entries


def store_loose(git_dir: Path, kind: bytes, content: bytes) -> str:
    """Store one object and return its name; for a few of them this is quicker than to start a program.

    The format is git's: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    """
    oid = name_of(kind, content)
    place = git_dir / "objects" / oid[:2] / oid[2:]
    if not place.exists() or not place.stat().st_size:  # a power cut can leave empty ones
        try:
            _write_aside(place, zlib.compress(_header(kind, content) + content, 1))
        except OSError as error:
            raise GitError(f"an object cannot be stored in {str(git_dir)!r} ({error.strerror})") from error
    return oid


def is_whole(place: Path) -> bool:
    """Tell whether a file of the folder of objects holds the object that its name stands for."""
    try:
        content = zlib.decompress(place.read_bytes())
    except (OSError, zlib.error):
        return False
    return hashlib.sha1(content, usedforsecurity=False).hexdigest() == place.parent.name + place.name


def _write_aside(place: Path, content: bytes) -> None:
    place.parent.mkdir(exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=place.parent, prefix="tmp_obj_")  # as git calls them, and clears them away
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(handle, 0o444)
            file.flush()
            os.fsync(handle)
        Path(aside).replace(place)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def name_of(kind: bytes, content: bytes) -> str:
    """Return the name that git gives to an object."""
    return hashlib.sha1(_header(kind, content) + content, usedforsecurity=False).hexdigest()


def _header(kind: bytes, content: bytes) -> bytes:
    return b"%s %d\0" % (kind, len(content))


def _send(process: subprocess.Popen[bytes], content: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    try:
        for part in (b"blob\ndata %d\n" % len(content), content, b"\n"):
            process.stdin.write(part)
    except BrokenPipeError:  # it has ended, and its exit code says why
        return


def _looked_at(scope: Scope, paths: Iterable[bytes], limit: int) -> list[tuple[bytes, str]]:
    """Find the mode of each path, and refuse all that cannot be captured in one error."""
    top, problems, hints = os.fsencode(scope.work_tree.top), [], set()
    beneath_link = _Links(top)
    found = []
    for path in paths:
        if beneath_link(os.path.dirname(path)):
            continue
        mode, problem = _kind(scope, os.path.join(top, path), path[len(scope.prefix) :], limit)
        if problem:
            problems.append(f"{os.fsdecode(path[len(scope.prefix) :])!r} {problem[0]}")
            hints.add(problem[1])
        elif mode:
            found.append((path, mode))
    if problems:
        raise _refused(scope, problems, sorted(hints))
    return found


class _Links:
    """Tells whether a folder is reached through a link: what git tracked there before is not there any more."""

    def __init__(self, top: bytes) -> None:
        self._top = top
        self._known: dict[bytes, bool] = {b"": False}

    def __call__(self, folder: bytes) -> bool:
        if folder not in self._known:
            self._known[folder] = self(os.path.dirname(folder)) or os.path.islink(os.path.join(self._top, folder))
        return self._known[folder]


def _kind(scope: Scope, full: bytes, path: bytes, limit: int) -> tuple[str | None, tuple[str, str] | None]:
    """Return the mode of a file, None if it is no code; and what stands against capturing it, and what to do about it.

    Pipes, sockets and devices are no code: git lists none that it does not track already.
    """
    try:
        status = os.lstat(full)
        target = os.readlink(full) if stat.S_ISLNK(status.st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        return None, _unreadable(error)
    mode = status.st_mode
    if target is None and not stat.S_ISREG(mode):
        return None, None
    parts = path.lower().split(b"/")
    if b".git" in parts or (target and b".gitmodules" in parts):
        return None, ("has a name that git cannot keep", "rename it")
    if target is not None:
        return LINK, _problem_of_link(path, target)
    if status.st_size > limit:
        sizes = f"has {status.st_size:,} bytes, the limit is {limit:,}"
        return None, (sizes, "raise `file_limit` in dioptra.toml")
    if not os.access(full, os.R_OK, effective_ids=True):
        return None, _unreadable(PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return _PROGRAM if mode & stat.S_IXUSR else _FILE, None


def _problem_of_link(path: bytes, target: bytes) -> tuple[str, str] | None:
    if not leads_out(path, target):
        return None
    said = f"is a link that leads, or may lead, out of the project, to {os.fsdecode(target)!r}"
    return said, "make it a relative link to a file of the project, with `..` only at its beginning"


def leads_out(path: bytes, target: bytes) -> bool:
    """Tell whether a link of a project leads out of it; only by what it says, whatever else there is.

    `..` may stand only at the beginning: behind a name, where it leads depends on what else that name is. If this holds
    for each link of a project, then no chain of them leads out.
    """
    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
    up = next((number for number, part in enumerate(parts) if part != b".."), len(parts))
    return target.startswith(b"/") or up > path.count(b"/") or b".." in parts[up:]


def _unreadable(error: OSError) -> tuple[str, str]:
    return f"cannot be read ({error.strerror})", "see who may read it"


def _read(scope: Scope, path: bytes, mode: str, limit: int) -> tuple[str, bytes] | None:
    """Return mode and content of a file; it is looked at again if it has become something else since."""
    full = os.path.join(os.fsencode(scope.work_tree.top), path)
    for _ in range(_TIMES):
        try:
            return mode, _content(full, mode)
        except OSError as error:
            problem = _unreadable(error)
        found = _looked_at(scope, [path], limit)
        if not found:
            return None
        mode = found[0][1]
    raise _refused(scope, [f"{os.fsdecode(path[len(scope.prefix) :])!r} {problem[0]}"], [problem[1]])


def _content(full: bytes, mode: str) -> bytes:
    if mode == LINK:
        return os.readlink(full)
    with open(os.open(full, _READ), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a file any more")
        return file.read()


def refuse_closed(scope: Scope, folders: list[bytes]) -> None:
    """Refuse folders that cannot be looked into, if there are any."""
    if folders:
        problem = _unreadable(PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        named = [f"{os.fsdecode(folder[len(scope.prefix) :])!r} {problem[0]}" for folder in sorted(folders)]
        raise _refused(scope, named, [problem[1]])


def _refused(scope: Scope, problems: list[str], hints: list[str]) -> CaptureError:
    shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
    hint = f"{', or '.join(hints)}, or leave it out with a line in .dioptraignore; name data in `share` of dioptra.toml"
    return CaptureError(shown, where=str(scope.project), hint=hint)
