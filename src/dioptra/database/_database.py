"""The door to the database: opened on first use, by each process for itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dioptra.database._address import parse_address
from dioptra.errors import UsageError

if TYPE_CHECKING:
    from dioptra.database._jobs import Jobs
    from dioptra.database._queue import Queue
    from dioptra.database._queues import Queues
    from dioptra.database._store import Store
    from dioptra.database._wake import Wake
    from dioptra.database._workers import Workers

__all__ = ["Database"]

_FILE = "testbed.db"
_WORKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


class Database:
    """Jobs, queues and workers in an SQLite file or a PostgreSQL database; threads may share it.

    All methods raise StoreUnreachableError when the database does not answer, and RefusedError when it was made by a
    newer version or lies where SQLite cannot work.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None) -> None:
        """Name a database; it is opened, and made where there is none, when it is first used.

        Args:
            url: `sqlite:////folder/testbed.db` or `postgresql://user:password@host/name`.
            clock: Seconds to take for the database's own, in tests.
        """
        self._address = parse_address(url)
        self._clock = clock
        self._parts: dict[int, _Parts] = {}

    @classmethod
    def of_home(cls, path: Path, url: str = "") -> Database:
        """Return the database of a home: the one at `url`, else the file in the home."""
        return cls(url or f"sqlite:///{path.absolute() / _FILE}")

    @property
    def name(self) -> str:
        """The database's address, without secrets."""
        return self._address.name

    @property
    def queue(self) -> Queue:
        """The jobs that wait and run: submit, claim, beat, started, finish, reap, cancel."""
        return self._opened.queue

    @property
    def jobs(self) -> Jobs:
        """All jobs: find, list, tally, attempts, put, remove."""
        return self._opened.jobs

    @property
    def queues(self) -> Queues:
        """The queues: add, lock, unlock, remove, list."""
        return self._opened.queues

    @property
    def workers(self) -> Workers:
        """The workers: register, beat, unregister, list."""
        return self._opened.workers

    def open(self) -> None:
        """Open the database now, so that what is the matter with it is said now."""
        _ = self._opened

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        if parts := self._parts.pop(os.getpid(), None):
            parts.store.dispose()

    def wakes(self, worker_id: str) -> Wake:
        """Return what wakes a worker, as a context: open it before looking for jobs, so that none comes in between."""
        if not _WORKER_ID.fullmatch(worker_id):
            raise UsageError(f"{worker_id[:80]!r} is no worker's id", hint="take the one that `register` returned")
        return self._opened.store.wakes(worker_id)

    @property
    def _opened(self) -> _Parts:
        # What another process opened is kept, and never touched: to close an SQLite file after a fork can damage it.
        parts = self._parts.get(os.getpid())
        if parts is None:
            from dioptra.database._store import Store

            parts = self._parts.setdefault(os.getpid(), _Parts(Store(self._address, self._clock)))
        return parts


class _Parts:
    """The nouns of an open database."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def queue(self) -> Queue:
        from dioptra.database._queue import Queue

        return Queue(self.store)

    @cached_property
    def jobs(self) -> Jobs:
        from dioptra.database._jobs import Jobs

        return Jobs(self.store)

    @cached_property
    def queues(self) -> Queues:
        from dioptra.database._queues import Queues

        return Queues(self.store, self.workers)

    @cached_property
    def workers(self) -> Workers:
        from dioptra.database._workers import Workers

        return Workers(self.store)
