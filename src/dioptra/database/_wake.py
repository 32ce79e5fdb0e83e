"""Waking workers at a new job: FIFOs beside an SQLite database, LISTEN and NOTIFY on PostgreSQL."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from dioptra.database._failures import translated
from dioptra.errors import StoreUnreachableError

if TYPE_CHECKING:
    from dioptra.database._address import Address

__all__ = ["CHANNEL", "FifoWake", "ListenWake", "Wake", "ring", "wake_dir"]

CHANNEL = "dioptra_jobs"


class Wake(Protocol):
    """Something that becomes readable when there may be a job to claim; there may be none, or one without a word."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def fileno(self) -> int:
        """Return what to wait for with `select`; it may be another one after `clear` or `wait`."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait for word of jobs, at most so many seconds; tell whether it came, and clear it."""
        ...

    def clear(self) -> None:
        """Take in what has come, so that only what comes later wakes."""
        ...


def wake_dir(folder: Path) -> Path:
    """Return the folder with a FIFO for each worker that waits."""
    return folder / "wake"


def ring(folder: Path) -> None:
    """Wake all workers that wait beside a database, and remove what dead ones have left.

    What they are to hear of is on disk: one that cannot be woken finds it by itself, so this never fails.
    """
    with contextlib.suppress(OSError):
        for entry in os.scandir(wake_dir(folder)):
            if not entry.name.startswith("."):
                with contextlib.suppress(OSError):
                    _ring(entry.path)


def _ring(path: str) -> None:
    try:
        fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody has it open
            Path(path).unlink(missing_ok=True)
        return
    try:
        with contextlib.suppress(OSError):  # full: it wakes anyway; or its reader has just gone
            os.write(fifo, b"\n")
    finally:
        os.close(fifo)


class FifoWake:
    """A FIFO that whoever makes a job claimable writes to."""

    def __init__(self, folder: Path, worker_id: str) -> None:
        self._path = wake_dir(folder) / worker_id
        self._fifo = -1

    def __enter__(self) -> Self:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        aside = self._path.with_name(f".{self._path.name}")  # named once it is open: without a reader it looks dead
        aside.unlink(missing_ok=True)
        os.mkfifo(aside, 0o600)
        self._fifo = os.open(aside, os.O_RDWR | os.O_NONBLOCK)
        aside.rename(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fifo)

    def fileno(self) -> int:
        """Return the FIFO's descriptor."""
        return self._fifo

    def wait(self, timeout: float) -> bool:
        """Wait for word of jobs."""
        ready = bool(select.select([self._fifo], [], [], timeout)[0])
        self.clear()
        return ready

    def clear(self) -> None:
        """Read what was written."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fifo, 65536):
                pass


class ListenWake:
    """A connection of its own that listens; one that was cut is made again."""

    def __init__(self, connect: Callable[[], Any], address: Address) -> None:
        """Prepare to listen.

        Args:
            connect: Opens a connection of psycopg.
            address: What it leads to.
        """
        self._connect = connect
        self._address = address
        self._connection: Any = None

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def fileno(self) -> int:
        """Return the connection's descriptor.

        Raises:
            StoreUnreachableError: It was cut, and cannot be made again.
        """
        if self._connection is None:
            self._listen()
        return int(self._connection.fileno())

    def wait(self, timeout: float) -> bool:
        """Wait for word of jobs; while the server is away, for the time. A new connection is word: some was missed."""
        if self._connection is None:
            return self._listened_again(timeout)
        ready = bool(select.select([self._connection], [], [], timeout)[0])
        if ready:
            self.clear()
        return ready

    def _listened_again(self, timeout: float) -> bool:
        try:
            self._listen()
        except StoreUnreachableError:
            time.sleep(timeout)
            return False
        return True

    def clear(self) -> None:
        """Take in the notifications that have come."""
        import psycopg

        try:
            if self._connection is not None:
                for _ in self._connection.notifies(timeout=0):
                    pass
        except psycopg.Error:
            self._close()

    def _listen(self) -> None:
        import psycopg

        with translated(self._address):
            try:
                connection = self._connect()
                connection.autocommit = True
                connection.execute(f"LISTEN {CHANNEL}")
            except psycopg.Error as error:
                raise OSError(str(error)) from error
        self._connection = connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
