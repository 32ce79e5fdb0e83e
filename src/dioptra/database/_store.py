"""One process's access to a database: transactions, the clock, and word of jobs that can be claimed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dioptra.database._address import Address
from dioptra.database._engine import BUSY_SECONDS, WRITES, make_engine
from dioptra.database._failures import translated
from dioptra.database._migrate import LOCK, prepare
from dioptra.database._prepared import Prepared
from dioptra.database._schema import DatabaseTime
from dioptra.database._wake import CHANNEL, FifoWake, ListenWake, Wake, ring
from dioptra.errors import StoreUnreachableError

__all__ = ["Store"]

_RINGS = "dioptra_rings"  # a connection's note that its transaction makes jobs claimable


class Store:
    """An open database, of one process."""

    def __init__(self, address: Address, clock: Callable[[], float] | None = None) -> None:
        """Open a database; it is made, or brought up to date, where that is needed.

        Args:
            address: Where it is.
            clock: Seconds to take for the database's own, in tests.
        """
        self.address = address
        self.is_file = address.file is not None
        self.now: sa.ColumnElement[float] = (
            DatabaseTime() if clock is None else sa.bindparam("present", callable_=clock, type_=sa.Double())
        )
        self._engine = make_engine(address)
        self._writer = self._engine.execution_options(**{WRITES: True})
        with translated(address):
            prepare(self._engine, address)
        self._file = self._identity()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Look into the database, in one transaction."""
        with translated(self.address):
            self._check_file()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Change the database, in one transaction; who waits for jobs hears of new ones once it is on disk."""
        with translated(self.address):
            self._check_file()
            with self._writer.connect() as connection:
                notes = connection.info
                notes[_RINGS] = False
                with connection.begin():
                    yield connection
            if notes[_RINGS] and self.address.file:
                ring(self.address.file.parent)

    def announce(self, connection: sa.Connection) -> None:
        """Tell waiting workers of jobs that can be claimed, once the transaction is on disk."""
        connection.info[_RINGS] = True
        if not self.is_file:
            connection.execute(_NOTIFY)

    def serialize(self, connection: sa.Connection) -> None:
        """Let a transaction whose rules span several rows go on alone; on SQLite every one that writes does."""
        if not self.is_file:
            connection.execute(_ALONE)

    def prepare(self, statement: sa.ClauseElement) -> Prepared:
        """Compile a statement that is run often."""
        return Prepared(statement, self._engine.dialect)

    def insert_once(self, table: sa.Table, column: str) -> Any:
        """Return an insert that does nothing when there is such a value already."""
        insert = sqlite.insert(table) if self.is_file else postgresql.insert(table)
        return insert.on_conflict_do_nothing(index_elements=[column])

    def wakes(self, worker_id: str) -> Wake:
        """Return what wakes a worker when there are jobs to claim."""
        if self.address.file:
            return FifoWake(self.address.file.parent, worker_id)
        import psycopg

        arguments = self._engine.dialect.create_connect_args(self._engine.url)
        options = {**arguments[1], "connect_timeout": BUSY_SECONDS, "application_name": "dioptra"}
        return ListenWake(lambda: psycopg.connect(*arguments[0], **options), self.address)

    def dispose(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _identity(self) -> tuple[int, int] | None:
        if self.address.file is None:
            return None
        try:
            found = os.stat(self.address.file)  # noqa: PTH116 - before every transaction: this is the quickest way
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _check_file(self) -> None:
        if self.is_file and self._identity() != self._file:
            raise StoreUnreachableError(
                f"the database {self.address.name} was removed or replaced while it was in use",
                hint="put it back, and start again whatever uses it",
            )


_NOTIFY = sa.select(sa.func.pg_notify(CHANNEL, ""))
_ALONE = sa.select(sa.func.pg_advisory_xact_lock(LOCK))
