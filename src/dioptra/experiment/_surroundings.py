"""The state of the repository that a project lies in: read, never changed, and nothing that it names is run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dioptra.experiment._files import WorkTree
from dioptra.experiment._git import Git, Running

__all__ = ["Surroundings"]

_PROGRAM = re.compile(r"[A-Za-z0-9+.-]+::")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:@\s]*)(?::\d*)?")
_SHA1 = 40  # digits of a commit's id where ids are of the usual kind


class Surroundings:
    """Looks at a repository while its files are being listed.

    `dirty` has the meaning of `git describe --dirty`: files that git tracks differ from the commit. It is judged by the
    bytes on disk: no filter is asked, so that a file which a filter keeps differently counts as changed once touched.
    """

    def __init__(self, work_tree: WorkTree, store: Git, own: Path, known: dict[str, Any] | None) -> None:
        """Begin to look.

        Args:
            work_tree: The folder that the repository belongs to; it need not have one.
            store: A repository of ours, whose configuration is known.
            own: A folder for a copy of the index.
            known: What was found before, if commit, index and configuration are still the same.
        """
        self._tree, self._store, self._own, self.known = work_tree, store, own, known
        self._started: list[Running] = []
        self._head = None if known else self._start("rev-parse", "HEAD", "--symbolic-full-name", "HEAD")
        self._settings: Running | None = None
        self._files: Running | None = None
        self._is_foreign = False  # of another kind of ids: its index cannot be read from outside
        self._staged: Running | None = None

    def head(self) -> dict[str, Any] | None:
        """Return root, commit and branch, each None where there is none; None where there is no repository."""
        if self.known is not None:
            return {name: self.known[name] for name in ("root", "head", "branch")}
        if self._head is None:
            return None
        said = self._head.end(ok=None).decode("utf-8", "replace").split("\n")
        if self._head.code == 0:
            commit, branch = said[0], said[1]
        else:
            commit, branch = None, self._say("symbolic-ref", "-q", "HEAD")
        branch = branch.removeprefix("refs/heads/")
        return {"root": str(self._tree.top), "head": commit, "branch": branch if branch not in ("", "HEAD") else None}

    def begin_rest(self, head: dict[str, Any] | None) -> None:
        """Begin to find out what costs more to know."""
        if head is None:
            return
        git, index = self._tree.git, self._tree.index_file
        self._is_foreign = len(head["head"] or "") > _SHA1
        if head["head"] and git and index and index.is_file() and not self._is_foreign:
            copy = shutil.copy2(
                index, self._own / "user-index"
            )  # with its time, which tells what git has to read again
            seen = self._store.within(
                self._tree.top,
                GIT_INDEX_FILE=copy,
                GIT_ALTERNATE_OBJECT_DIRECTORIES=git.objects,  # links are compared with what was committed
            )
            self._files = self._start("update-index", "--refresh", git=seen)
        if self.known is None:
            self._settings = self._start("config", "-z", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote)$")
            if self._files or self._is_foreign:
                self._staged = self._start("diff-index", "--cached", "--quiet", "--no-ext-diff", head["head"])

    def rest(self, head: dict[str, Any]) -> dict[str, Any]:
        """Return the remote's address, and whether tracked files differ from the commit, staged or not."""
        if self._settings is self._files is None:
            self.begin_rest(head)
        remote = self.known["remote"] if self.known else self._remote(head["branch"])
        staged, changed = self._is_staged(), self._has_changed()
        return {"remote": remote, "staged": staged, "dirty": None if None in (staged, changed) else staged or changed}

    def _remote(self, branch: str | None) -> str | None:
        said = self._settings.end(ok=None).decode("utf-8", "replace") if self._settings else ""
        found = dict(entry.split("\n", 1) for entry in said.split("\0") if "\n" in entry)
        wanted = (found.get(f"branch.{branch}.remote"), "origin", *_remotes(found))
        urls = (found.get(f"remote.{name}.url") for name in wanted)
        return next((_without_secrets(url) for url in urls if url), "") or None

    def _is_staged(self) -> bool | None:
        """Compare commit and index; None when that fails."""
        if self.known is not None:
            staged: bool | None = self.known["staged"]
            return staged
        return _answer(self._staged)

    def _has_changed(self) -> bool | None:
        """Compare index and files; None when the index cannot be read from outside."""
        return None if self._is_foreign else _answer(self._files)

    def _say(self, *args: str) -> str:
        started = self._start(*args)
        return started.end(ok=None).decode("utf-8", "replace").strip() if started else ""

    def _start(self, *args: str, git: Git | None = None) -> Running | None:
        git = git or self._tree.git
        if git is None:
            return None
        self._started.append(git.start(*args))
        return self._started[-1]

    def stop(self) -> None:
        """End what still runs."""
        for started in self._started:
            started.stop()


def _answer(asked: Running | None) -> bool | None:
    """Return whether a command found differences: none where there is nothing that git tracks, None if it failed."""
    if asked is None:
        return False
    asked.end(ok=None)
    return asked.code == 1 if asked.code in (0, 1) else None


def _remotes(found: Iterable[str]) -> list[str]:
    return [key.removeprefix("remote.").removesuffix(".url") for key in found if key.startswith("remote.")]


def _without_secrets(url: str) -> str:
    """Drop user, password and query of an address; git's `host:path` and plain paths stay as they are.

    Of an address for a program of its own (`ext::...`), which alone knows what its parts mean, the name is left.
    """
    if match := _PROGRAM.match(url):
        return match[0]
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    authority, slash, path = re.split(r"[?#]", rest)[0].partition("/")
    if "@" in path and ":" in authority and not _HOST.fullmatch(authority):  # a password with a slash in it
        return ""
    host = authority.rpartition("@")[2]
    return f"{scheme}://{host}{slash}{path}" if _HOST.fullmatch(host) else ""
