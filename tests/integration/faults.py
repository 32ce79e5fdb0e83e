"""Faults on call: the n-th call of SQLite, or of the file system in a folder, fails or kills, for n = 1, 2, 3, ..."""

from __future__ import annotations

import errno
import io
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Faults"]

_FILE_CALLS = ("open", "replace", "rename", "link", "symlink", "mkdir", "mkfifo", "fsync", "scandir", "write")


class Faults:
    """Counts calls, and lets one of them fail, or that one and all that follow."""

    def __init__(self) -> None:
        self.happened = ""  # the call that failed first
        self._calls = 0
        self._first, self._last = 0, -1
        self._kills = False

    def kill_at(self, number: int, action: Callable[[], object]) -> bool:
        """Do something in a process of its own that is killed before the call of a number; tell whether it was."""
        pid = os.fork()
        if pid == 0:
            try:
                self._kills = True
                with self.at(number):
                    action()
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    @contextmanager
    def at(self, number: int, *, for_good: bool = False) -> Iterator[None]:
        """Let the call of a number fail inside the block."""
        self.happened, self._calls = "", 0
        self._first, self._last = number, 1_000_000 if for_good else number
        try:
            yield
        finally:
            self._first, self._last = 0, -1

    def strikes(self, call: str) -> bool:
        """Count a call, and tell whether it is to fail."""
        self._calls += 1
        if not self._first <= self._calls <= self._last:
            return False
        if self._kills:
            os.kill(os.getpid(), signal.SIGKILL)
        self.happened = self.happened or call
        return True

    def of_sqlite(self, patch: pytest.MonkeyPatch) -> None:
        """Watch over the opening of databases, statements and commits."""
        real = sqlite3.connect

        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            if self.strikes("connect"):
                raise sqlite3.OperationalError("unable to open database file")
            return real(*args, **options, factory=_connection(self))

        patch.setattr(sqlite3, "connect", connect)

    def of_files(self, patch: pytest.MonkeyPatch, *folders: Path) -> None:
        """Watch over what is opened, made, renamed and put on disk in folders."""
        for name in _FILE_CALLS:
            patch.setattr(os, name, self._full(getattr(os, name), name, folders))
        patch.setattr(io, "open", self._full(io.open, "open", folders))

    def _full(self, real: Callable[..., Any], name: str, folders: tuple[Path, ...]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            path = _path(args[0] if args else ".")
            if any(Path(path).is_relative_to(folder) for folder in folders) and self.strikes(f"{name} {path}"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            return real(*args, **options)

        return call


def _path(place: Any) -> str:
    """Return the path that a descriptor or a name stands for."""
    try:
        return str(Path(f"/proc/self/fd/{place}").readlink()) if isinstance(place, int) else os.fsdecode(place)
    except OSError:
        return ""


def _connection(faults: Faults) -> type[sqlite3.Connection]:
    class Cursor(sqlite3.Cursor):
        def execute(self, *args: Any) -> Any:
            _strike(faults, str(args[0]))
            return super().execute(*args)

    class Connection(sqlite3.Connection):
        def cursor(self, *args: Any) -> Any:
            return super().cursor(Cursor)

        def execute(self, *args: Any) -> Any:  # which asks no `cursor`
            return self.cursor().execute(*args)

        def commit(self) -> None:
            _strike(faults, "COMMIT")
            super().commit()

    return Connection


def _strike(faults: Faults, call: str) -> None:
    if faults.strikes(call):
        raise sqlite3.OperationalError("disk I/O error")
