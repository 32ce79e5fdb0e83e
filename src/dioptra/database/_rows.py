"""Records as rows, and rows as records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from dioptra.database._records import Attempt, check_text
from dioptra.database._schema import dependencies, jobs, parameters, tags
from dioptra.records import Dependency, Job, JobStatus

__all__ = ["DETAILS_OF_ONE", "RETURNED", "Row", "attempt_of", "clean", "insert_details", "job_values", "load",
           "replace_parameters", "seconds", "to_job", "to_time"]  # fmt: skip

Row = Mapping[str, Any] | sa.RowMapping

_PLAIN = (
    "id", "queue", "priority", "attempt", "retries", "worker", "experiment", "snapshot", "name", "project_dir",
    "entry_point", "run_id", "verifies", "retry_of", "exit_code", "reason", "timeout",
)  # fmt: skip
_ATTEMPT = ("job", "number", "status", "worker", "run_id", "exit_code", "reason", "output_dir")
_Detail = tuple[str, int, str, str, str]  # kind, position, and up to three texts
_TIMES = ("created_at", "started_at", "ended_at")

RETURNED = [jobs.c[name] for name in (*_PLAIN, *_TIMES, "status", "argv", "request")]  # what `load` builds a job from


def to_time(seconds: float | None) -> datetime | None:
    """Return a time of the database as one of a record."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def seconds(time: datetime | None) -> float | None:
    """Return a time of a record as one of the database."""
    return None if time is None else time.timestamp()


def clean(text: str) -> str:
    """Return a text that both kinds of database can hold: a reason is never a reason to fail."""
    return text.replace("\0", "").encode(errors="replace").decode()


def job_values(job: Job) -> dict[str, Any]:
    """Return the columns of a job.

    Raises:
        UsageError: A text of it cannot be stored.
    """
    values = {name: getattr(job, name) for name in _PLAIN}
    for name, value in values.items():
        if isinstance(value, str):
            check_text(f"the job's {name}", value)
    return {
        **values,
        **{name: seconds(getattr(job, name)) for name in _TIMES},
        "argv": json.dumps(job.argv),
        "request": json.dumps(job.request),
        "status": str(job.status),
        "cancel_requested": False,
    }


def insert_details(connection: sa.Connection, job: Job) -> None:
    """Store what a job has several of."""
    insert_parameters(connection, job.id, job.parameters)
    if job.tags:
        rows = [
            {"job": job.id, "position": position, "tag": check_text("a tag", tag)}
            for position, tag in enumerate(job.tags)
        ]
        connection.execute(_INSERT_TAGS, rows)
    if job.waits_for:
        waits = [
            {"job": job.id, "position": n, "upstream": each.job, "parameter": each.parameter, "outcome": each.outcome}
            for n, each in enumerate(job.waits_for)
        ]
        connection.execute(_INSERT_DEPENDENCIES, waits)


def insert_parameters(connection: sa.Connection, job_id: str, values: Mapping[str, str]) -> None:
    """Store the values of parameters of a job that has none yet."""
    if values:
        rows = [
            {"job": job_id, "position": position, "name": name, "value": check_text(f"parameter {name!r}", value)}
            for position, (name, value) in enumerate(values.items())
        ]
        connection.execute(_INSERT_PARAMETERS, rows)


def replace_parameters(connection: sa.Connection, job_id: str, values: Mapping[str, str]) -> None:
    """Store the values of parameters of a job in place of those that it has."""
    connection.execute(_DELETE_PARAMETERS, {"id": job_id})
    insert_parameters(connection, job_id, values)


def load(connection: sa.Connection, rows: Sequence[Row]) -> list[Job]:
    """Build jobs from their rows, with all that they have several of, in one more question."""
    if not rows:
        return []
    details: dict[str, list[_Detail]] = {row["id"]: [] for row in rows}
    for detail in connection.execute(_DETAILS, {"ids": list(details)}):
        details[detail.job].append((detail.kind, *detail[2:]))
    return [to_job(row, details[row["id"]]) for row in rows]


def to_job(row: Row, details: Iterable[_Detail]) -> Job:
    """Build a job from its row and all that it has several of."""
    of_kind: dict[str, list[_Detail]] = {"parameter": [], "tag": [], "dependency": []}
    for detail in sorted(details):
        of_kind[detail[0]].append(detail)
    fields = {name: row[name] for name in _PLAIN}
    fields |= {name: to_time(row[name]) for name in _TIMES}
    return Job(
        **fields,
        status=JobStatus(row["status"]),
        argv=tuple(json.loads(row["argv"])),
        request=json.loads(row["request"]),
        parameters={name: value for _, _, name, value, _ in of_kind["parameter"]},
        tags=tuple(tag for _, _, tag, _, _ in of_kind["tag"]),
        waits_for=tuple(Dependency(job=a, parameter=b, outcome=c) for _, _, a, b, c in of_kind["dependency"]),
    )


def attempt_of(row: sa.RowMapping) -> Attempt:
    """Build the record of an attempt."""
    times = {name: to_time(row[name]) for name in ("started_at", "ended_at")}
    return Attempt(**{**{name: row[name] for name in _ATTEMPT}, **times, "status": JobStatus(row["status"])})


def _details_of(one: bool, kind: str, table: sa.Table, *columns: str) -> sa.Select[Any]:
    values = [table.c[name].label(f"text{number}") for number, name in enumerate(columns)]
    nothing: list[Any] = [sa.literal_column("''").label(f"nothing{n}") for n in range(3 - len(columns))]
    chosen = [sa.literal_column(f"'{kind}'").label("kind"), table.c.job, table.c.position, *values, *nothing]
    of_one, of_many = table.c.job == sa.bindparam("job_id"), table.c.job.in_(sa.bindparam("ids", expanding=True))
    return sa.select(*chosen).where(of_one if one else of_many)


def _all_details(*, one: bool) -> sa.CompoundSelect[Any]:
    return sa.union_all(
        _details_of(one, "parameter", parameters, "name", "value"),
        _details_of(one, "tag", tags, "tag"),
        _details_of(one, "dependency", dependencies, "upstream", "parameter", "outcome"),
    )


_DETAILS, DETAILS_OF_ONE = _all_details(one=False), _all_details(one=True)
_INSERT_PARAMETERS, _INSERT_TAGS, _INSERT_DEPENDENCIES = map(sa.insert, (parameters, tags, dependencies))
_DELETE_PARAMETERS = sa.delete(parameters).where(parameters.c.job == sa.bindparam("id"))
