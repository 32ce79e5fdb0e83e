"""The code that was sent to this process: written once for each version, and one version in use at a time."""

from __future__ import annotations

import importlib
import shutil
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType

from dioptra.errors import FlowError
from dioptra.executors._code import Code, Folder, hash_of, is_installed, read_folder

__all__ = ["Shelf"]

_KEPT = 8  # versions whose modules are kept for the next time


class Shelf:
    """The versions of code that this process was sent.

    A process has one table of modules, and so all tasks that run in it at one time use the same version. Who needs
    another one waits until those have ended, and who comes later waits behind.
    """

    def __init__(self, folder: str | None = None) -> None:
        """Make an empty shelf; `folder` is where versions are written, by default that for temporary files."""
        self._folder = folder
        self._turn = threading.Condition()
        self._inside = 0
        self._queue: deque[object] = deque()  # who wants to use a version, in the order in which they came
        self._active = ""
        self._paths: list[str] = []
        self._names: set[str] = set()
        self._modules: dict[str, dict[str, ModuleType]] = {}  # of versions not in use: their classes stay the same
        self._own = _loaded_from_installed()
        self._written: dict[str, str] = {}  # folders by their hash
        self._folders: dict[str, set[str]] = {}  # the hashes of the folders of each version
        self._in_place: dict[str, tuple[tuple[int, int], ...]] = {}  # folders that are used where they are

    @contextmanager
    def using(self, code: Code) -> Iterator[None]:
        """Let imports find this version inside the block.

        Raises:
            FlowError: What was sent is not what its hash says.
        """
        self._enter(code)
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def aside(self, code: Code) -> Iterator[None]:
        """Let others have their turn inside the block, in the midst of using this version."""
        self._leave()
        try:
            yield
        finally:
            self._enter(code)

    def _enter(self, code: Code) -> None:
        with self._turn:
            self._wait_for_turn(code)
            if self._active != code.sha256:
                self._exchange(code)
            else:
                self._stay_with(code)
            self._inside += 1

    def _leave(self) -> None:
        with self._turn:
            self._inside -= 1
            self._turn.notify_all()

    def _wait_for_turn(self, code: Code) -> None:
        ticket = object()
        self._queue.append(ticket)
        try:
            self._turn.wait_for(lambda: self._queue[0] is ticket and (not self._inside or self._active == code.sha256))
        finally:
            self._queue.remove(ticket)
            self._turn.notify_all()

    def _exchange(self, code: Code) -> None:
        self._in_place.clear()
        paths = [self._place(folder) for folder in code.folders]
        names = set().union(*(folder.names() for folder in code.folders)) - self._own
        self._modules[self._active] = _take_away(names | self._names)
        sys.modules.update(self._modules.pop(code.sha256, {}))
        self._set_paths(paths)
        self._names, self._active = names, code.sha256
        self._folders[code.sha256] = {folder.sha256 for folder in code.folders}
        while len(self._modules) > _KEPT:
            self._drop(next(iter(self._modules)))

    def _stay_with(self, code: Code) -> None:
        """Take what was sent in place of files that have been changed where they are."""
        changed = [f for f in code.folders if f.path in self._in_place and _state(f) != self._in_place[f.path]]
        for folder in changed:
            del self._in_place[folder.path]
        if changed:
            self._set_paths([f.path if f.path in self._in_place else self._copy(f) for f in code.folders])

    def _set_paths(self, paths: list[str]) -> None:
        sys.path[:] = [*paths, *(entry for entry in sys.path if entry not in self._paths)]
        importlib.invalidate_caches()
        self._paths = paths

    def _place(self, folder: Folder) -> str:
        """Return where this version of a folder is: where it was, if this machine has it, too; else written aside."""
        if hash_of(folder.files) != folder.sha256:
            raise FlowError(f"the code of {folder.path!r} is not what was sent")
        state = _state(folder)
        if state is None or read_folder(Path(folder.path), only=folder.files).sha256 != folder.sha256:
            return self._copy(folder)
        self._in_place[folder.path] = state
        return folder.path

    def _copy(self, folder: Folder) -> str:
        if folder.sha256 not in self._written:
            self._written[folder.sha256] = self._write(folder)
        return self._written[folder.sha256]

    def _drop(self, version: str) -> None:
        """Forget a version that has not been used for long."""
        del self._modules[version]
        folders = self._folders.pop(version, set())
        for sha256 in folders.difference(*self._folders.values()) & self._written.keys():
            shutil.rmtree(self._written.pop(sha256), ignore_errors=True)

    def _write(self, folder: Folder) -> str:
        place = Path(mkdtemp(prefix="dioptra-code-", dir=self._folder))
        for name, data in folder.files.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return str(place)


def _state(folder: Folder) -> tuple[tuple[int, int], ...] | None:
    """Return what tells whether the files of a folder are changed where they were; nothing when they are not there."""
    try:
        found = [(Path(folder.path) / name).stat() for name in folder.files]
    except OSError:
        return None
    return tuple((each.st_mtime_ns, each.st_size) for each in found)


def _take_away(names: set[str]) -> dict[str, ModuleType]:
    """Take the modules with these top-level names out of the table."""
    taken = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in taken}


def _loaded_from_installed() -> set[str]:
    """Return the top-level names that this process itself has loaded: nothing that is sent takes their place."""
    own = set(sys.builtin_module_names)
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if file and is_installed(Path(file)):
            own.add(name.partition(".")[0])
    return own - {"dioptra_builtins"}
