"""The history of an experiment's code: a bare repository with one commit for each distinct state."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from dioptra.errors import GitError, RefusedError
from dioptra.experiment._blobs import is_whole, store_loose
from dioptra.experiment._files import Scope, find_work_tree
from dioptra.experiment._git import Git
from dioptra.experiment._index import PrivateIndex, Taken
from dioptra.experiment._layout import lay_out

__all__ = ["Code"]

_BY_TREE = "refs/code/"
# Whatever `.gitattributes` says: the index compares files with what was stored, byte for byte.
_ATTRIBUTES = "* -text -ident !filter !working-tree-encoding !eol !crlf\n"
_NAME = "dioptra"


class Code:
    """The code of one experiment, kept in `code.git` of its folder."""

    def __init__(self, folder: Path) -> None:
        self.git_dir = folder / "code.git"
        self._indexes = folder / "index"
        self._in_use = folder / "in-use.lock"
        self._git = Git(self.git_dir)
        self._held: int | None = None  # the lock, when nobody else uses this

    def make(self) -> None:
        """Make the repository, if it is not there."""
        self._indexes.mkdir(exist_ok=True)
        if not (self.git_dir / "HEAD").exists():
            self.git_dir.mkdir(exist_ok=True)
            self._git.run("init", "-q", "--bare", "--template=", "--object-format=sha1")
        attributes = self.git_dir / "info" / "attributes"
        attributes.parent.mkdir(exist_ok=True)
        if not attributes.exists() or attributes.read_text() != _ATTRIBUTES:
            attributes.write_text(_ATTRIBUTES)

    def take(self, project: Path, *, left_out: tuple[Path, ...] = (), limit: int) -> Taken:
        """Store what a project consists of now, and return its tree.

        Raises:
            CaptureError: A file cannot be captured, or there is none.
        """
        project = project.resolve()
        scope = Scope(find_work_tree(project), project, left_out)
        return PrivateIndex(self._git, self._indexes, scope, limit).take()

    def commit(self, tree: str, message: str, at: datetime) -> str:
        """Return the commit of a tree; it is made unless this state has one."""
        by = f"{_NAME} <{_NAME}@localhost> {int(at.timestamp())} +0000"
        text = f"tree {_object(tree)}\nauthor {by}\ncommitter {by}\n\n{message}\n"
        commit = store_loose(self.git_dir, b"commit", text.encode("utf-8", "replace"))
        made = self._git.start("update-ref", _BY_TREE + tree, commit, "0" * 40)  # unless there is one
        made.end(ok=None)
        if made.code == 0:
            return commit
        asked = self._git.start("rev-parse", "--verify", "--quiet", _BY_TREE + tree)
        if known := asked.end(ok=None).decode().strip():
            return known
        (self.git_dir / f"{_BY_TREE}{tree}.lock").unlink(missing_ok=True)  # of one that was killed
        self._git.run("update-ref", _BY_TREE + tree, commit)
        return commit

    def lay_out(self, tree: str, folder: Path) -> None:
        """Write the files of a tree into a folder, which must be empty or not there."""
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RefusedError(
                    f"{str(folder)!r} is there already and not an empty folder", hint="name a new folder"
                )
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RefusedError(f"the folder {str(folder)!r} cannot be made ({error.strerror})") from error
        lay_out(self._git, _object(tree), folder)

    def doubt(self) -> None:
        """Remove damaged objects, and let the next capture store all files anew."""
        for known in self._indexes.glob("*.json"):
            known.unlink(missing_ok=True)
        for place in (self.git_dir / "objects").glob("??/*"):
            if not is_whole(place):
                place.unlink(missing_ok=True)

    def diff(self, before: str, after: str, other: Code) -> str:
        """Return how the files of two trees differ, as a patch; `other` has the second one."""
        options = (
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--find-renames",
            "--src-prefix=a/",
            "--dst-prefix=b/",
        )
        said = self._with(other)._git.run("diff-tree", "-r", "-p", *options, _object(before), _object(after))
        return said.decode("utf-8", "replace")

    def changed_files(self, before: str, after: str, other: Code) -> dict[str, str]:
        """Return which files of two trees differ, each with `added`, `modified` or `removed`."""
        found = self._with(other).changes(before, after)
        words = {"A": "added", "M": "modified", "D": "removed"}
        return dict(sorted((path, words[letter]) for letter, paths in found.items() for path in paths))

    def changes(self, before: str | None, after: str) -> dict[str, list[str]]:
        """Return which files differ between two trees: by `A`, `M`, `D` (added, modified, removed)."""
        said = self._git.run(
            "diff-tree", "-r", "-z", "--no-renames", "--name-status", _object(before or self._empty()), _object(after)
        )
        parts = [os.fsdecode(part) for part in said.split(b"\0")[:-1]]
        found: dict[str, list[str]] = {"A": [], "M": [], "D": []}
        for status, path in zip(parts[::2], parts[1::2], strict=True):
            found["M" if status == "T" else status].append(path)
        return found

    def collect(self, trees: set[str]) -> int:
        """Forget all states but these, pack the rest, and return how many bytes that freed."""
        before = self._size()
        self._clear_up()
        refs = self._git.run("for-each-ref", "--format=%(refname)", _BY_TREE).decode().split()
        unwanted = [ref for ref in refs if ref.removeprefix(_BY_TREE) not in trees]
        self._git.run("update-ref", "--stdin", data="".join(f"delete {ref}\n" for ref in unwanted).encode())
        held = (self._held,) if self._held is not None else ()  # should this process be killed, git still works alone
        self._git.start("gc", "--quiet", "--prune=now", held=held).end()
        return max(before - self._size(), 0)

    def _clear_up(self) -> None:
        """Remove what is only kept to be quicker, and what processes left that were killed."""
        for left in self._indexes.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        left_by_git = ("refs/**/*.lock", "*.lock", "gc.pid", "objects/pack/*.keep", "fast_import_crash_*")
        for left in (found for pattern in left_by_git for found in self.git_dir.glob(pattern)):
            left.unlink()

    @contextmanager
    def in_use(self, *, alone: bool = False) -> Iterator[None]:
        """Keep objects that nothing refers to yet from being collected; `alone` waits for all others."""
        with self._lock_file(alone=alone) as file:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            self._held = file.fileno() if alone else None
            try:
                yield
            finally:
                self._held = None

    def _lock_file(self, *, alone: bool) -> IO[bytes]:
        """Open the file to lock; where nothing can be written, reading it will do to keep others from collecting."""
        try:
            return self._in_use.open("ab")
        except OSError as error:
            if not alone and error.errno in (errno.EROFS, errno.EACCES):
                return (self._in_use if self._in_use.exists() else self.git_dir / "HEAD").open("rb")
            raise RefusedError(f"{str(self._in_use.parent)!r} cannot be written to ({error.strerror})") from error

    def _with(self, other: Code) -> Code:
        """Return the same code, that sees what another experiment keeps too."""
        if other.git_dir == self.git_dir:
            return self
        both = Code(self.git_dir.parent)
        both._git = self._git.within(GIT_ALTERNATE_OBJECT_DIRECTORIES=other._git.objects)
        return both

    def _empty(self) -> str:
        return self._git.run("mktree").decode().strip()

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self.git_dir.rglob("*") if path.is_file())


def _object(name: str) -> str:
    """Return the name of an object, which must be the whole hash of one: nothing else reaches a command line."""
    if len(name) != 40 or set(name) - set("0123456789abcdef"):
        raise GitError(f"{name[:60]!r} is not the name of a commit")
    return name
