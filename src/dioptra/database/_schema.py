"""The tables. What they are today is the sum of the scripts in `migrations/versions`; a test compares."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["VERSION", "DatabaseTime", "attempts", "dependencies", "jobs", "metadata", "parameters", "queues", "tags",
           "workers"]  # fmt: skip

VERSION = "0001"  # of the newest script

metadata = sa.MetaData()

# Ids are compared byte by byte on either database, so that a prefix is a range of an index.
_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME: sa.Double[float] = sa.Double()  # seconds since 1970, as the database's own clock has them


def _job(**options: Any) -> sa.Column[str]:
    return sa.Column("job", _ID, sa.ForeignKey("jobs.id", ondelete="CASCADE"), **options)


jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("seq", _NUMBER, sa.Identity(always=True), primary_key=True),  # its age among all: no clock is asked
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("key", _ID, unique=True),  # of a submit that may be said twice
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("lease_until", _TIME),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("experiment", sa.Text, nullable=False),
    sa.Column("snapshot", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("project_dir", sa.Text, nullable=False),
    sa.Column("entry_point", sa.Text, nullable=False),
    sa.Column("argv", sa.Text, nullable=False),  # JSON, like all that no statement looks into
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("started_at", _TIME),
    sa.Column("ended_at", _TIME),
    sa.Column("run_id", sa.Text),
    sa.Column("verifies", sa.Text, nullable=False),
    sa.Column("retry_of", sa.Text, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("timeout", _TIME),
    sa.Column("request", sa.Text, nullable=False),
    sqlite_autoincrement=True,  # the number of a removed job is not given again
)

# The next four are kept in the order of their keys: one page is written where there would be two.
attempts = sa.Table(
    "attempts",
    metadata,
    _job(primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("started_at", _TIME),
    sa.Column("ended_at", _TIME),
    sa.Column("run_id", sa.Text),
    sa.Column("exit_code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("output_dir", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

tags = sa.Table(
    "tags",
    metadata,
    _job(primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tag", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

parameters = sa.Table(
    "parameters",
    metadata,
    _job(primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

dependencies = sa.Table(
    "dependencies",
    metadata,
    _job(primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("upstream", _ID, nullable=False),  # the job that is waited for; it may be removed once this one has ended
    sa.Column("parameter", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

queues = sa.Table(
    "queues",
    metadata,
    sa.Column("name", _ID, primary_key=True),
    sa.Column("locked", sa.Boolean, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("queues", sa.Text, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started_at", _TIME, nullable=False),
    sa.Column("beat_at", _TIME, nullable=False),
    sa.Column("lease", _TIME, nullable=False),  # seconds after a beat in which it counts as alive
)

_WAITS = sa.text("status = 'queued'")

sa.Index(
    "jobs_to_claim", jobs.c.queue, jobs.c.priority.desc(), jobs.c.seq, sqlite_where=_WAITS, postgresql_where=_WAITS
)
sa.Index("jobs_of_status", jobs.c.status, jobs.c.seq)
sa.Index("jobs_of_queue", jobs.c.queue, jobs.c.seq)
sa.Index("jobs_of_experiment", jobs.c.experiment, jobs.c.seq)
sa.Index("jobs_of_snapshot", jobs.c.snapshot, jobs.c.seq)
sa.Index("jobs_tagged", tags.c.tag, tags.c.job)
# A value may be longer than what an index of PostgreSQL can hold.
sa.Index("jobs_with_parameter", parameters.c.name, sa.func.substr(parameters.c.value, sa.text("1"), sa.text("100")))
sa.Index("jobs_after", dependencies.c.upstream)


class DatabaseTime(FunctionElement[float]):
    """The present in seconds since 1970, as the database's clock has it."""

    type = sa.Double()
    inherit_cache = True


@compiles(DatabaseTime, "sqlite")
def _sqlite_time(element: DatabaseTime, compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(DatabaseTime, "postgresql")
def _postgresql_time(element: DatabaseTime, compiler: Any, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
