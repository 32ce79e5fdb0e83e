"""The index that the testbed keeps of a project: only what has changed on disk is read again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dioptra.errors import CaptureError, GitError
from dioptra.experiment._blobs import Entry, blobs, refuse_closed, store_blobs, store_loose
from dioptra.experiment._files import IGNORE_FILE, Scope, WorkTree, folders_of, is_folder, is_inside, look_into, names
from dioptra.experiment._git import Git, Running
from dioptra.experiment._surroundings import Surroundings

__all__ = ["PrivateIndex", "Taken"]

_FEW = 100  # files
_LARGE = 400_000  # bytes of an index with some 4,000 files
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_TICK = 20_000_000  # nanoseconds; more than the clock of files can be behind
_CLOSED = re.compile(rb"^warning: could not open directory '(.*)': (?!No such file|Not a directory)", re.MULTILINE)


_Look = Callable[[], tuple[list[bytes], list[bytes]]]


class _ProjectIgnoredError(Exception):
    """The repository around a project ignores it whole."""


@dataclass(frozen=True)
class Taken:
    """A tree that was taken of a project, and the state of the repository around it."""

    tree: str
    repository: dict[str, Any] | None


class PrivateIndex:
    """Takes trees of one project; each call works on a copy of its own, so that several can run at once.

    A call is quick when neither the ignore rules nor the list of tracked files can have changed since the last one: git
    then compares what it knows of each file, and looks for new ones. Otherwise the list is made anew.
    """

    def __init__(self, store: Git, folder: Path, scope: Scope, limit: int) -> None:
        key = blake2b(os.fsencode(scope.project), digest_size=8).hexdigest()
        self._kept, self._kept_state = folder / key, folder / f"{key}.json"
        self._store, self._folder, self._scope, self._limit = store, folder, scope, limit

    def take(self) -> Taken:
        """Return the tree of what is on disk now.

        Raises:
            CaptureError: A file cannot be captured, or there is none.
        """
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="now-") as own:
            try:
                return self._healed(Path(own))
            except _ProjectIgnoredError:  # by a repository that it happens to lie in, and which has no part in it then
                alone = replace(self._scope, work_tree=WorkTree(self._scope.project))
                return _Take(self, alone, Path(tempfile.mkdtemp(dir=own))).run()

    def _healed(self, own: Path) -> Taken:
        """Take a tree; should what was stored before be damaged, store all anew."""
        try:
            return _Take(self, self._scope, own).run()
        except GitError:
            if not self._kept.exists():
                raise
            self._kept.unlink()
            return _Take(self, self._scope, Path(tempfile.mkdtemp(dir=own))).run()


class _Take:
    """One look at a project."""

    def __init__(self, index: PrivateIndex, scope: Scope, own: Path) -> None:
        self._kept, self._kept_state = index._kept, index._kept_state
        self._scope, self._limit = scope, index._limit
        self._top = bytes(scope.work_tree.top) + b"/"
        self._since = own.stat().st_mtime_ns - _TICK  # what is changed from now on may be seen or not
        self._file = own / "index"
        self._store = index._store
        self._git = self._store.within(self._scope.work_tree.top, GIT_INDEX_FILE=self._file)
        self._state = self._recall()
        self._size = self._file.stat().st_size if self._state else 0
        self._rules = self._scope.rules()
        self._tracked: list[bytes] = []
        self._prefix = [f"--prefix={os.fsdecode(scope.prefix)}"] if scope.prefix else []
        self._refs = self._scope.work_tree.refs()
        self._nested = bool(self._state.get("nested"))
        self._whole = bool(self._state.get("whole"))
        self._folders = {os.fsencode(folder) for folder in self._state.get("folders", ())}
        self._started: list[Running] = []

    def run(self) -> Taken:
        """Return the tree of what is on disk."""
        same_rules = self._state.get("rules") == self._rules
        known = self._state["repository"] if same_rules and self._state["refs"] == self._refs is not None else None
        around = Surroundings(self._scope.work_tree, self._store, self._file.parent, known)
        try:
            return self._taken(around, quick=same_rules and not self._nested)
        finally:
            around.stop()
            for started in self._started:
                started.stop()

    def _taken(self, around: Surroundings, *, quick: bool) -> Taken:
        found, on_disk = self._looked_up(quick=quick)
        head = around.head()
        if found == on_disk == []:
            return self._unchanged(around, head)
        around.begin_rest(head)
        gone: list[bytes] = []
        if found is None:
            found, gone = self._compared_with_all()
            self._write([*set(on_disk).difference(gone), *found], gone)
            self._folders = folders_of(names(self._git.run("ls-files", "-z")))
        else:
            self._write([*on_disk, *found], gone)
            self._folders |= folders_of(found)
        return self._remember(around, head)

    def _looked_up(self, *, quick: bool) -> tuple[list[bytes] | None, list[bytes]]:
        """Return new files, None when the list has to be made anew, and files that were changed or removed."""
        look = self._look_at_once if self._size < _LARGE else self._look_side_by_side
        end = look(new_too=quick) if self._state else lambda: ([], [])
        quick = quick and self._inside() == self._state["inside"]
        on_disk, found = end()
        if not quick or any(path.endswith(b"/") or _is_rule(path) for path in (*on_disk, *found)):
            return None, on_disk
        if any(is_folder(self._top + path) for path in on_disk):  # in a file's place; git may not look into it
            return None, on_disk
        return self._not_ignored(self._scope.keep(found)), on_disk

    def _inside(self, since: int | None = None) -> dict[str, Sequence[int]]:
        return look_into(self._scope.work_tree.top, self._folders, since)

    def _start(self, git: Git, *args: str) -> Running:
        """Start a command that is ended with this look, come what may."""
        self._started.append(git.start(*args))
        return self._started[-1]

    def _look_at_once(self, *, new_too: bool) -> _Look:
        """Look for changed and for new files with one command."""
        others = ("--others", *self._scope.excludes()) if new_too else ()
        options = ("-z", "-t", "--modified", "--deleted", *others, *self._scope.pathspec())
        command = self._start(self._git, "ls-files", *options)

        def end() -> tuple[list[bytes], list[bytes]]:
            said = names(command.end())
            self._check_sight(self._scope, command)
            changed = dict.fromkeys(line[2:] for line in said if not line.startswith(b"? "))
            return list(changed), [line[2:] for line in said if line.startswith(b"? ")]

        return end

    def _look_side_by_side(self, *, new_too: bool) -> _Look:
        """Look for changed and for new files with two commands at the same time."""
        changed = self._start(self._git, "diff-files", "-z", "--name-only")
        new = self._start_others(self._scope, self._git) if new_too else None
        return lambda: (names(changed.end()), self._others(self._scope, new) if new else [])

    def _start_others(self, scope: Scope, git: Git) -> Running:
        return self._start(git, "ls-files", "-z", "--others", *scope.excludes(), *scope.pathspec())

    def _others(self, scope: Scope, command: Running) -> list[bytes]:
        found = names(command.end())
        self._check_sight(scope, command)
        return found

    def _check_sight(self, scope: Scope, command: Running) -> None:
        """Refuse folders that git passed over because they cannot be looked into; not those that are gone by now."""
        closed = {folder.rstrip(b"/") + b"/" for folder in _CLOSED.findall(command.warnings)}
        if closed:
            inner = os.fsencode(os.path.relpath(scope.work_tree.top, self._scope.work_tree.top))
            inside = [os.path.normpath(os.path.join(inner, folder)) + b"/" for folder in closed]
            refuse_closed(self._scope, self._not_ignored(self._scope.keep(inside)))

    def _recall(self) -> dict[str, Any]:
        """Link the index that was kept, which nobody writes to any more, and return what is known of it."""
        try:
            os.link(self._kept, self._file)
            state: dict[str, Any] = json.loads(self._kept_state.read_bytes())
            if _checksum(self._file) == state.get("index") and state["limit"] == self._limit:
                return state
        except (OSError, ValueError, KeyError):
            pass
        self._file.unlink(missing_ok=True)
        return {}

    def _compared_with_all(self) -> tuple[list[bytes], list[bytes]]:
        """Make the whole list anew; return what is new in it, and what is no longer there."""
        self._nested = False
        known = names(self._git.run("ls-files", "-z")) if self._state else []
        wanted = set(self._not_ignored(self._all(self._scope)))
        if not wanted and self._scope.prefix:
            raise _ProjectIgnoredError
        self._whole = not self._scope.prefix and wanted.issuperset(self._tracked)
        moved = tuple(folder + b"/" for folder in self._folders if folder and not is_folder(self._top + folder))
        again = {path for path in wanted if path.startswith(moved)}  # what git may still see, through a link
        return sorted(wanted.difference(known) | again), sorted(set(known) - wanted)

    def _all(self, scope: Scope) -> list[bytes]:
        """Return all files: tracked ones, others that are not ignored, and those of nested repositories."""
        user, tree = scope.work_tree.git, scope.work_tree
        tracked = self._start(user, "ls-files", "-z", "--stage", *scope.pathspec()) if user else None
        bare = self._store.within(tree.top, GIT_INDEX_FILE=self._file.with_name("none"))
        others = self._others(scope, self._start_others(scope, bare))
        lines = [line.partition(b"\t") for line in names(tracked.end())] if tracked else []
        by_git = {path: mode for mode, _, path in lines if is_inside(path)}
        modules = {path + b"/" for path in by_git if by_git[path].startswith(b"160000") and _is_module(tree.top, path)}
        found = {path for path in others if not path.endswith(b"/")}.union(by_git)
        if scope is self._scope:
            self._tracked = list(by_git)
        for path in scope.keep(modules.union(path for path in others if path.endswith(b"/"))):
            found.update(self._all_nested(scope, path))
        return scope.keep(found)

    def _all_nested(self, scope: Scope, path: bytes) -> list[bytes]:
        """Return the files of a nested repository as if they were plain files here."""
        self._nested = True
        folder = scope.work_tree.top / os.fsdecode(path)
        inner = Scope(WorkTree.at(folder), folder, scope.left_out)
        return [path + name for name in self._all(inner)]

    def _not_ignored(self, paths: list[bytes]) -> list[bytes]:
        """Leave out what the project's own ignore file names, tracked or not."""
        scope = self._scope
        if not paths or not scope.ignore_file.is_file():
            return paths
        start = len(scope.prefix)
        empty = self._file.with_name("empty")
        empty.mkdir(exist_ok=True)  # there, no other ignore file has a say
        git = self._store.within(empty, GIT_LITERAL_PATHSPECS="0")  # which this command refuses; `./` does the same
        said = git.run(
            *("-c", f"core.excludesFile={scope.ignore_file}"),
            *("check-ignore", "--no-index", "-z", "--stdin"),
            data=b"".join(b"./" + path[start:] + b"\0" for path in paths if len(path) > start),
            ok=(0, 1),
        )
        ignored = set(names(said))
        return [path for path in paths if b"./" + path[start:] not in ignored]

    def _write(self, changed: list[bytes], gone: list[bytes]) -> None:
        """Store the files that changed, and bring the index up to date."""
        if not changed and not gone:
            return
        entries = self._stored(changed)
        there = {entry.path for entry in entries}
        missing = [path for path in (*changed, *gone) if path not in there]
        lines = [Entry(path, "0", "0" * 40).line for path in missing] + [entry.line for entry in entries]
        keeper = self._git.start("update-index", "-z", "--index-info", stdin=subprocess.PIPE)
        keeper.end(b"".join(lines))
        if passed_over := keeper.warnings.strip():  # a name that git does not like; that is all it says
            raise GitError(f"git did not take all files ({os.fsdecode(passed_over)[:300]!r})")
        if len(entries) > _FEW:
            self._refresh()

    def _stored(self, paths: list[bytes]) -> list[Entry]:
        found = blobs(self._scope, paths, self._limit)
        if len(paths) > _FEW:
            return store_blobs(self._store, found)
        return [entry for entry, content in found if store_loose(self._store.git_dir, b"blob", content)]

    def _refresh(self) -> None:
        """Let the index know of the files as they lie there, so that they need not be read again."""
        self._git.start("update-index", "-q", "--refresh").end(ok=(0, 1))

    def _unchanged(self, around: Surroundings, head: dict[str, Any] | None) -> Taken:
        """Return what was taken last time; only the commit of the repository may be another."""
        with suppress(OSError):  # the files are what the index says, now too; see `_remember`
            os.utime(self._file, ns=(self._since, self._since))
        if head is None or (self._whole and around.known):
            return Taken(self._state["tree"], around.known)
        return Taken(self._state["tree"], head | around.rest(head))

    def _remember(self, around: Surroundings, head: dict[str, Any] | None) -> Taken:
        """Write the tree, and keep the index for the next look."""
        tree = self._written()
        if tree == self._state.get("tree"):  # files only looked as if they had changed
            self._refresh()
        repository = head | around.rest(head) if head else None
        state = {
            "index": _checksum(self._file),
            "tree": tree,
            "limit": self._limit,
            "rules": self._rules,
            "refs": self._refs,
            "repository": repository,
            "nested": self._nested,  # there are repositories in the project, whose rules are not looked at
            "whole": self._whole,  # all that the repository tracks is captured
            "folders": sorted(map(os.fsdecode, self._folders)),
            "inside": self._inside(self._since),
        }
        text = self._file.with_name("state")
        text.write_text(json.dumps(state))
        # Git reads files again that are not older than the index. It does not count parts of a second, and a file may
        # have been changed after it was read and before the index was written.
        os.utime(self._file, ns=(self._since, self._since))
        self._file.replace(self._kept)
        text.replace(self._kept_state)
        return Taken(tree, repository)

    def _written(self) -> str:
        started = self._git.start("write-tree", *self._prefix)
        tree = started.end(ok=None).decode().strip()
        if tree == _EMPTY_TREE or (started.code and not self._git.run("ls-files", "-z")):
            if self._scope.prefix:
                raise _ProjectIgnoredError
            raise CaptureError("there is nothing to capture", where=str(self._scope.project), hint="see .gitignore")
        started.check()
        return tree


def _checksum(index: Path) -> str:
    """Return what stands at the end of an index: a hash of the rest."""
    with index.open("rb") as file:
        file.seek(-20, os.SEEK_END)
        return file.read().hex()


def _is_module(top: Path, path: bytes) -> bool:
    """Tell whether a submodule is there, and not only its empty folder."""
    folder = top / os.fsdecode(path)
    return is_folder(bytes(folder)) and WorkTree.at(folder).git_dir is not None


def _is_rule(path: bytes) -> bool:
    return os.path.basename(path) in (b".gitignore", IGNORE_FILE.encode())
