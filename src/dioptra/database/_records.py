"""What the database tells beside jobs, queues and workers, and the form of names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dioptra.errors import UsageError
from dioptra.records import JobStatus

__all__ = ["DEFAULT_QUEUE", "Attempt", "Standing", "check_queue_name", "check_text"]

DEFAULT_QUEUE = "default"

_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Standing(StrEnum):
    """What a beat is answered for an attempt."""

    ALIVE = "alive"  # go on
    CANCEL = "cancel"  # somebody has asked to end the job
    STALE = "stale"  # the attempt is not the job's any more: end what it started, keep nothing


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of a job."""

    job: str  # its id
    number: int
    status: JobStatus
    worker: str
    started_at: datetime | None
    ended_at: datetime | None
    run_id: str | None
    exit_code: int | None
    reason: str
    output_dir: str


def check_queue_name(name: str) -> str:
    """Return the name if it can be a queue's."""
    if not _QUEUE_NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} cannot be a queue's name",
            hint="use 1 to 63 letters, digits, '.', '_' and '-', the first a letter or digit",
        )
    return name


def check_text(what: str, text: str) -> str:
    """Return the text if both kinds of database can hold it."""
    if "\0" in text:
        raise UsageError(f"{what} holds a zero byte", hint="no text in the database can")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} holds half of a character: {text[:80]!r}", hint="write it as UTF-8") from None
    return text
