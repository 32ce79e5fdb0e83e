"""Engines: how a connection to either kind of database is opened and set, and how a transaction begins."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from dioptra.database._address import Address

__all__ = ["BUSY_SECONDS", "WRITES", "connect_file", "make_engine"]

BUSY_SECONDS = 10  # how long a lock of somebody else is waited for
WRITES = "dioptra_writes"  # option of connections whose transactions write


def make_engine(address: Address) -> sa.Engine:
    """Return an engine of this process; nothing is opened yet."""
    return _sqlite(address.file) if address.file else _postgresql(address.url)


def connect_file(file: Path) -> sqlite3.Connection:
    """Open a database's file, which must be there: one that is gone is never made anew by chance."""
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(file))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin where the engine says so, not where the driver guesses
        check_same_thread=False,  # the pool gives a connection to one thread at a time
    )
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "wal_autocheckpoint = 4000"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _sqlite(file: Path) -> sa.Engine:
    engine = sa.create_engine(
        "sqlite://", creator=lambda: connect_file(file), poolclass=QueuePool, pool_size=5, max_overflow=-1
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    """Begin a transaction; one that writes takes the lock at once, for a lock cannot be waited for later on."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection that begins is open
    driver.execute("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


def _postgresql(url: str) -> sa.Engine:
    engine = sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        max_overflow=-1,
        connect_args={"connect_timeout": BUSY_SECONDS, "application_name": "dioptra"},
    )

    @event.listens_for(engine, "connect")
    def limit_waiting(connection: object, record: object) -> None:
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")  # type: ignore[attr-defined]
        connection.commit()  # type: ignore[attr-defined]

    return engine
