"""The code that was sent to this process: written once for each version, and one version in use at a time."""

from __future__ import annotations

import importlib
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

    @contextmanager
    def using(self, code: Code) -> Iterator[None]:
        """Let imports find this version inside the block.

        Raises:
            FlowError: What was sent is not what its hash says.
        """
        with self._turn:
            self._wait_for_turn(code)
            if self._active != code.sha256:
                self._exchange(code)
            self._inside += 1
        try:
            yield
        finally:
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
        paths = [self._place(folder) for folder in code.folders]
        names = set().union(*(folder.names() for folder in code.folders)) - self._own
        self._modules[self._active] = _take_away(names | self._names)
        while len(self._modules) > _KEPT:
            del self._modules[next(iter(self._modules))]
        sys.modules.update(self._modules.pop(code.sha256, {}))
        sys.path[:] = [*paths, *(entry for entry in sys.path if entry not in self._paths)]
        importlib.invalidate_caches()
        self._paths, self._names, self._active = paths, names, code.sha256

    def _place(self, folder: Folder) -> str:
        """Return where this version of a folder is: where it was, if this machine has it, too; else written aside."""
        if hash_of(folder.files) != folder.sha256:
            raise FlowError(f"the code of {folder.path!r} is not what was sent")
        if read_folder(Path(folder.path), only=folder.files).sha256 == folder.sha256:
            return folder.path
        if folder.sha256 not in self._written:
            self._written[folder.sha256] = self._write(folder)
        return self._written[folder.sha256]

    def _write(self, folder: Folder) -> str:
        place = Path(mkdtemp(prefix="dioptra-code-", dir=self._folder))
        for name, data in folder.files.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return str(place)


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
