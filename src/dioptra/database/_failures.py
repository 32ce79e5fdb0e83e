"""What a database raises, as one sentence."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy.exc

from dioptra.database._address import Address
from dioptra.database._engine import BUSY_SECONDS
from dioptra.errors import StoreUnreachableError, UsageError

__all__ = ["explain", "translated"]

_WORDS = {
    "database is locked": ("is locked by another process, for more than {seconds} s", ""),
    "canceling statement due to lock timeout": ("is locked by another process, for more than {seconds} s", ""),
    "attempt to write a readonly": ("is read-only", "make the file and its folder writable"),
    "malformed": ("is damaged", "restore it from a backup; `sqlite3 FILE .recover` may save the rest"),
    "not a database": ("is no database, or is damaged", "restore it from a backup"),
    "disk is full": ("cannot be written because the disk is full", "make room"),
}


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn what a database and its driver raise into StoreUnreachableError; text that is none, into UsageError."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object[:80]!r} holds half of a character", hint="write it as UTF-8") from error
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise explain(error, address) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psycopg":  # which is imported only where it is needed
            raise
        raise explain(error, address) from error


def explain(error: Exception, address: Address) -> StoreUnreachableError:
    """Say what is the matter with a database."""
    reason = _reason(error)
    for sign, (words, hint) in _WORDS.items():
        if sign in reason:
            return StoreUnreachableError(
                f"the database {address.name} {words.format(seconds=BUSY_SECONDS)}", hint=hint or address.hint
            )
    return StoreUnreachableError(
        f"the database {address.name} cannot be used ({address.without_secrets(reason)})", hint=address.hint
    )


def _reason(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    text = re.sub(r"^connection failed: ", "", str(cause).strip())
    return text.splitlines()[0].strip() if text else type(cause).__name__
