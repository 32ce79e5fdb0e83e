"""The queues: names that jobs wait under."""

from __future__ import annotations

import sqlalchemy as sa

from dioptra.database._records import DEFAULT_QUEUE, check_queue_name
from dioptra.database._schema import jobs, queues
from dioptra.database._store import Store
from dioptra.database._workers import Workers
from dioptra.errors import NotFoundError, RefusedError, suggest
from dioptra.records import Queue

__all__ = ["Queues"]


class Queues:
    """The queues, one of which, `default`, is always there."""

    def __init__(self, store: Store, workers: Workers) -> None:
        self._store = store
        self._workers = workers
        self._insert = store.insert_once(queues, "name")

    def add(self, name: str) -> None:
        """Make a queue.

        Raises:
            UsageError: The name cannot be a queue's.
            RefusedError: There is one of that name.
        """
        check_queue_name(name)
        with self._store.write() as connection:
            if connection.execute(self._insert, {"name": name, "locked": False}).rowcount != 1:
                raise RefusedError(f"there is a queue {name!r} already")

    def lock(self, name: str) -> None:
        """Let a queue take no new jobs; those that wait are still run."""
        self._set_locked(name, True)

    def unlock(self, name: str) -> None:
        """Let a queue take new jobs again."""
        self._set_locked(name, False)

    def _set_locked(self, name: str, locked: bool) -> None:
        with self._store.write() as connection:
            _hold(connection, name)
            connection.execute(_LOCK, {"wanted": name, "is_locked": locked})

    def remove(self, name: str) -> None:
        """Remove a queue; jobs that have ended keep its name.

        Raises:
            NotFoundError: There is none of that name.
            RefusedError: Jobs wait or run in it, or it is `default`.
        """
        if name == DEFAULT_QUEUE:
            raise RefusedError(f"queue {name!r} cannot be removed", hint="lock it, and it takes no new jobs")
        with self._store.write() as connection:
            _hold(connection, name)
            unfinished = connection.execute(_UNFINISHED, {"wanted": name}).scalar() or 0
            if unfinished:
                words = "1 job waits or runs" if unfinished == 1 else f"{unfinished} jobs wait or run"
                raise RefusedError(f"queue {name!r} cannot be removed: {words} in it", hint="cancel them first")
            connection.execute(_REMOVE, {"wanted": name})

    def list(self) -> list[Queue]:
        """Return the queues by name, with how many jobs wait and run, and how many living workers listen."""
        listening = [name for worker in self._workers.list() if worker.is_alive for name in worker.queues]
        with self._store.read() as connection:
            counts = {(queue, status): count for queue, status, count in connection.execute(_COUNT)}
            rows = connection.execute(_ALL).all()
        return [
            Queue(
                name=row.name,
                locked=row.locked,
                workers=listening.count(row.name),
                queued=counts.get((row.name, "queued"), 0),
                started=counts.get((row.name, "started"), 0),
            )
            for row in rows
        ]


def _hold(connection: sa.Connection, name: str) -> None:
    if connection.execute(_HOLD, {"wanted": name}).one_or_none() is None:
        have = connection.execute(sa.select(queues.c.name)).scalars()
        raise NotFoundError(f"no queue {name[:80]!r}", hint=suggest(name, have))


_OF_NAME = queues.c.name == sa.bindparam("wanted")
_ALL = sa.select(queues).order_by(queues.c.name)
_HOLD = sa.select(queues).where(_OF_NAME).with_for_update()
_LOCK = sa.update(queues).where(_OF_NAME).values(locked=sa.bindparam("is_locked"))
_REMOVE = sa.delete(queues).where(_OF_NAME)
_UNFINISHED = (
    sa.select(sa.func.count())
    .select_from(jobs)
    .where(jobs.c.queue == sa.bindparam("wanted"), jobs.c.status.in_(["queued", "deferred", "started"]))
)
_COUNT = (
    sa.select(jobs.c.queue, jobs.c.status, sa.func.count())
    .where(jobs.c.status.in_(["queued", "started"]))
    .group_by(jobs.c.queue, jobs.c.status)
)
