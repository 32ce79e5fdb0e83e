"""Makes a new database whole, brings an older one up to date, and refuses what cannot be used."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from dioptra.database._address import Address
from dioptra.database._engine import WRITES, connect_file
from dioptra.database._mounts import network_file_system, read_mounts
from dioptra.database._schema import VERSION
from dioptra.errors import RefusedError, StoreUnreachableError

__all__ = ["LOCK", "prepare"]

LOCK = 0x64696F70  # of PostgreSQL's advisory locks: the letters "diop"

_MIGRATIONS = Path(__file__).with_name("migrations")
_VERSION = sa.text("SELECT version_num FROM alembic_version")


def prepare(engine: sa.Engine, address: Address) -> None:
    """Make a database ready for use: whole and of today's schema.

    Raises:
        RefusedError: It was made by a newer version, or lies on a network file system.
    """
    if address.file is None:
        _bring_up_to_date(engine, address)
        return
    _check_place(address.file)
    with _alone(address.file):
        if not address.file.exists():
            os.close(os.open(address.file, os.O_CREAT | os.O_WRONLY, 0o600))
        with closing(connect_file(address.file)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # kept in the file: readers and a writer do not wait
        _bring_up_to_date(engine, address)


def _check_place(file: Path) -> None:
    if not file.parent.is_dir():
        raise StoreUnreachableError(
            f"the database {file} cannot be used (its folder is not there)", hint="check DIOPTRA_HOME"
        )
    if kind := network_file_system(file.parent.resolve(), read_mounts()):
        raise RefusedError(
            f"the database {file} is on a network file system ({kind}), where SQLite loses data",
            hint="set DIOPTRA_HOME to a local folder, or DIOPTRA_DATABASE_URL to a PostgreSQL database",
        )


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the lock under which one process at a time makes a database."""
    with file.with_name(f"{file.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bring_up_to_date(engine: sa.Engine, address: Address) -> None:
    with engine.connect() as connection:
        if _version(connection, address) == VERSION:
            return
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        if _version(connection, address) != VERSION:  # nobody else has done it in the meantime
            _upgrade(connection)


def _version(connection: sa.Connection, address: Address) -> str:
    """Return the version of a database's schema; nothing for a database that has none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    version = str(connection.execute(_VERSION).scalar() or "")
    if version > VERSION:
        raise RefusedError(
            f"the database {address.name} was made by a newer Dioptra (schema {version}, this one knows {VERSION})",
            hint="install that version, or use another DIOPTRA_HOME",
        )
    return version


def _upgrade(connection: sa.Connection) -> None:
    """Run the scripts that a database lacks, in the transaction of its caller."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
