"""Statements compiled once and run by the driver itself: what a queue does most takes half as long so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

__all__ = ["Prepared"]


class Prepared:
    """A statement for one kind of database; its rows come as the driver has them, so it may hold plain types only."""

    def __init__(self, statement: sa.ClauseElement, dialect: sa.Dialect) -> None:
        """Compile a statement.

        Args:
            statement: Of SQLAlchemy Core.
            dialect: Of the database that it is run on.
        """
        compiled: Any = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._complete = compiled.construct_params
        self._order: list[str] | None = compiled.positiontup  # None where values go by name

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run the statement in the transaction of a connection, and return what it returns."""
        driver: Any = connection.connection.driver_connection
        given = self._complete(values)
        found = driver.execute(self._sql, given if self._order is None else [given[name] for name in self._order])
        if found.description is None:
            return []
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
