"""The files of a snapshot as its own code sees them when it is live: by path, from memory, with no checkout."""

from __future__ import annotations

import io
import linecache
import os
import posixpath
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.util import decode_source

from dioptra.experiment._blobs import LINK
from dioptra.experiment._code import Code, _object
from dioptra.experiment._git import Git
from dioptra.experiment._layout import _contents, tree_entries
from dioptra.experiment._snapshot import Snapshot

__all__ = ["Files", "files_of"]

_MOST_LINKS = 40  # in a chain, as Linux has it
_ALIVE: weakref.WeakValueDictionary[tuple[str, str], Files] = weakref.WeakValueDictionary()
_LOCK = threading.RLock()


class Files:
    """The files of one version.

    Args:
        folder: What `__file__` says before each path; no such folder is on disk.
        paths: The files, from the project on.
        read: Gives the content of one of them.
        links: Where links lead, by their paths.
    """

    def __init__(
        self,
        folder: str,
        paths: Iterable[str],
        read: Callable[[str], bytes],
        links: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = posixpath.normpath(folder)
        self._read = read
        self._links = links or {}
        self._paths = set(paths)
        self._folders: dict[str, set[str]] = {"": set()}
        for path in (*self._paths, *self._links):
            self._add(path)
        self._shown: dict[str, tuple[int, None, list[str], str]] = {}
        weakref.finalize(self, _hide, self._shown).atexit = False

    def name_of(self, path: str) -> str:
        """Return what `__file__` says of a path."""
        return posixpath.normpath(posixpath.join(self.folder, path))

    def path_of(self, name: str) -> str | None:
        """Return the path that `__file__` or an entry of `__path__` means; None if it is none of the version's."""
        plain = posixpath.normpath(name)
        if plain == self.folder:
            return ""
        return plain.removeprefix(self.folder + "/") if plain.startswith(self.folder + "/") else None

    def is_file(self, path: str) -> bool:
        """Tell whether there is a file, following links."""
        return self._follow(path) in self._paths

    def is_folder(self, path: str) -> bool:
        """Tell whether there is a folder, following links."""
        return self._follow(path) in self._folders

    def names(self, path: str) -> list[str]:
        """Return the names of what is in a folder, sorted."""
        return sorted(self._folders.get(self._follow(path), ()))

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: The version has no such file.
        """
        found = self._follow(path)
        if found not in self._paths:
            raise FileNotFoundError(2, "No such file in the snapshot", self.name_of(path))
        return self._read(found)

    def show(self, path: str) -> None:
        """Let tracebacks and `inspect.getsource` find the lines of a file, for as long as this object lives."""
        name = self.name_of(path)
        with suppress(SyntaxError, UnicodeDecodeError):  # what cannot be read has no lines
            text = decode_source(self.read(path))
            shown = self._shown.setdefault(name, (len(text), None, list(io.StringIO(text)), name))
            linecache.cache[name] = shown

    def _add(self, path: str) -> None:
        while path:
            parent, _, name = path.rpartition("/")
            self._folders.setdefault(parent, set()).add(name)
            path = parent

    def _follow(self, path: str) -> str:
        """Return a path with no link in it."""
        path = posixpath.normpath(path)
        for _ in range(_MOST_LINKS if self._links else 0):
            link = next((link for link in _heads(path) if link in self._links), None)
            if link is None:
                break
            rest = path[len(link) :]
            path = posixpath.normpath(posixpath.join(posixpath.dirname(link), self._links[link]) + rest)
        return "" if path == "." else path


def _heads(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _hide(shown: dict[str, tuple[int, None, list[str], str]]) -> None:
    for name, entry in shown.items():
        if linecache.cache.get(name) is entry:
            linecache.cache.pop(name, None)


def files_of(code: Code, snapshot: Snapshot) -> Files:
    """Return the files of a snapshot; imports of one snapshot that live at the same time share them."""
    key = (str(snapshot.folder), snapshot.commit)
    with _LOCK:
        found = _ALIVE.get(key)
    if found is None:
        made = _files(code, snapshot)
        with _LOCK:
            found = _ALIVE.setdefault(key, made)
    return found


def _files(code: Code, snapshot: Snapshot) -> Files:
    """Read all source at once; what else there is, when it is asked for."""
    git = Git(code.git_dir)
    with code.in_use():
        entries = {os.fsdecode(entry.path): entry for entry in tree_entries(git, _object(snapshot.commit))}
        wanted = [entry for entry in entries.values() if entry.mode == LINK or entry.path.endswith(b".py")]
        held = {os.fsdecode(entry.path): content for entry, content in _contents(git, wanted)}
    links = {path: os.fsdecode(held.pop(path)) for path, entry in entries.items() if entry.mode == LINK}

    def read(path: str) -> bytes:
        if path in held:
            return held[path]
        with code.in_use():
            return next(content for _, content in _contents(git, [entries[path]]))

    return Files(f"{snapshot.folder}/<code>", entries.keys() - links.keys(), read, links)
