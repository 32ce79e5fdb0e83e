"""The first tables: jobs, attempts, tags, parameters, dependencies, queues, workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and the queue that is always there."""
    _make_jobs()
    _make_what_jobs_have()
    _make_queues_and_workers()
    _make_indexes()


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", _NUMBER, sa.Identity(always=True), primary_key=True),
        sa.Column("id", _ID, nullable=False, unique=True),
        sa.Column("key", _ID, unique=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("lease_until", sa.Double),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("experiment", sa.Text, nullable=False),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("project_dir", sa.Text, nullable=False),
        sa.Column("entry_point", sa.Text, nullable=False),
        sa.Column("argv", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("run_id", sa.Text),
        sa.Column("verifies", sa.Text, nullable=False),
        sa.Column("retry_of", sa.Text, nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("timeout", sa.Double),
        sa.Column("request", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )


def _job() -> sa.Column[str]:
    return sa.Column("job", _ID, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


def _position(name: str = "position") -> sa.Column[int]:
    return sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _make_what_jobs_have() -> None:
    op.create_table(
        "attempts",
        _job(),
        _position("number"),
        *_texts("status", "worker"),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("run_id", sa.Text),
        sa.Column("exit_code", sa.Integer),
        *_texts("reason", "output_dir"),
        sqlite_with_rowid=False,
    )
    op.create_table("tags", _job(), _position(), *_texts("tag"), sqlite_with_rowid=False)
    op.create_table("parameters", _job(), _position(), *_texts("name", "value"), sqlite_with_rowid=False)
    upstream = sa.Column("upstream", _ID, nullable=False)
    op.create_table(
        "dependencies", _job(), _position(), upstream, *_texts("parameter", "outcome"), sqlite_with_rowid=False
    )


def _make_queues_and_workers() -> None:
    locked = sa.Column("locked", sa.Boolean, nullable=False)
    queues = op.create_table("queues", sa.Column("name", _ID, primary_key=True), locked)
    op.bulk_insert(queues, [{"name": "default", "locked": False}])
    op.create_table(
        "workers",
        sa.Column("id", _ID, primary_key=True),
        *_texts("name", "host"),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("queues", sa.Text, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        *_texts("version"),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("beat_at", sa.Double, nullable=False),
        sa.Column("lease", sa.Double, nullable=False),
    )


def _make_indexes() -> None:
    waits = sa.text("status = 'queued'")
    to_claim: list[str | sa.TextClause] = ["queue", sa.text("priority DESC"), "seq"]
    op.create_index("jobs_to_claim", "jobs", to_claim, sqlite_where=waits, postgresql_where=waits)
    for name in ("status", "queue", "experiment", "snapshot"):
        op.create_index(f"jobs_of_{name}", "jobs", [name, "seq"])
    op.create_index("jobs_tagged", "tags", ["tag", "job"])
    op.create_index("jobs_with_parameter", "parameters", ["name", sa.text("substr(value, 1, 100)")])
    op.create_index("jobs_after", "dependencies", ["upstream"])
