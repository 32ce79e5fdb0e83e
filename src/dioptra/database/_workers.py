"""The workers that listen: who they are, and whether they live."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from dioptra.database._records import check_text
from dioptra.database._rows import to_time
from dioptra.database._schema import queues, workers
from dioptra.database._store import Store
from dioptra.errors import NotFoundError, UsageError, suggest
from dioptra.records import Worker

__all__ = ["Workers"]

_FORGET_AFTER = 86_400.0  # seconds: a worker that died is shown for a day


class Workers:
    """The workers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alive = (workers.c.beat_at + workers.c.lease > store.now).label("is_alive")
        self._names = sa.select(workers.c.name).where(self._alive)
        self._insert = sa.insert(workers).values(started_at=store.now, beat_at=store.now)
        self._beat = sa.update(workers).where(_OF_ID).values(beat_at=store.now)
        self._forget = sa.delete(workers).where(workers.c.beat_at < store.now - _FORGET_AFTER, ~self._alive)
        self._list = sa.select(workers, self._alive).order_by(workers.c.started_at, workers.c.name)

    def register(
        self,
        *,
        name: str,
        host: str,
        pid: int,
        queues: Sequence[str],
        slots: int = 1,
        version: str = "",
        lease: float = 60.0,
    ) -> str:
        """Record a worker that begins to listen, and return its id; `list` says which name it got.

        Args:
            name: What to call it; a number is added when a living one is called so.
            host: Where it runs.
            pid: Its process.
            queues: Names of the queues that it listens to.
            slots: How many jobs it runs at a time.
            version: Of Dioptra.
            lease: Seconds after a beat in which it counts as alive.

        Raises:
            NotFoundError: There is no such queue.
        """
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise UsageError(f"{name[:80]!r} cannot be a worker's name", hint="use 1 to 100 characters")
        if not queues:
            raise UsageError("a worker must listen to a queue", hint="name one with --queue")
        values = {
            "id": uuid.uuid4().hex,
            "host": check_text("the host", host),
            "pid": pid,
        }
        with self._store.write() as connection:
            self._store.serialize(connection)
            _check_queues(connection, queues)
            connection.execute(self._forget)
            own = _own_name(name, set(connection.execute(self._names).scalars()))
            details: dict[str, Any] = {"name": own, "slots": slots, "version": version, "lease": lease}
            details["queues"] = json.dumps(list(queues))
            connection.execute(self._insert, {**values, **details})
        return str(values["id"])

    def beat(self, worker_id: str) -> bool:
        """Say that a worker lives; False when nobody knows it, so that it must register again."""
        with self._store.write() as connection:
            return connection.execute(self._beat, {"worker_id": worker_id}).rowcount == 1

    def unregister(self, worker_id: str) -> None:
        """Forget a worker that has stopped listening."""
        with self._store.write() as connection:
            connection.execute(_REMOVE, {"worker_id": worker_id})

    def list(self) -> list[Worker]:
        """Return the workers, those that died in the last day among them, in the order in which they began."""
        with self._store.read() as connection:
            return [_worker(row._mapping) for row in connection.execute(self._list)]


def _own_name(name: str, taken: Collection[str]) -> str:
    """Return a name that no living worker has."""
    number, own = 1, name
    while own in taken:
        number += 1
        own = f"{name}-{number}"
    return own


def _check_queues(connection: sa.Connection, names: Sequence[str]) -> None:
    have = set(connection.execute(sa.select(queues.c.name)).scalars())
    for name in names:
        if name not in have:
            raise NotFoundError(f"no queue {name[:80]!r}", hint=suggest(name, have))


def _worker(row: sa.RowMapping) -> Worker:
    fields = {name: row[name] for name in ("id", "name", "host", "pid", "slots", "version")}
    fields |= {name: to_time(row[name]) for name in ("started_at", "beat_at")}
    return Worker(**fields, queues=tuple(json.loads(row["queues"])), is_alive=bool(row["is_alive"]))


_OF_ID = workers.c.id == sa.bindparam("worker_id")
_REMOVE = sa.delete(workers).where(_OF_ID)
