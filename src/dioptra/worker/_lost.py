"""Jobs whose worker is gone: taken back, their processes ended, their records and runs put right."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from dioptra.errors import DioptraError
from dioptra.records import Job
from dioptra.storage import Home
from dioptra.tracking import Tracking
from dioptra.worker._descendants import sweep

if TYPE_CHECKING:
    from dioptra.database import Database

__all__ = ["end_runs", "keep_record", "take_back"]

logger = logging.getLogger("dioptra.worker")


def take_back(home: Home, database: Database) -> list[Job]:
    """Take back the jobs whose lease is over, and end what of them still runs here.

    Raises:
        StoreUnreachableError: The database does not answer.
    """
    found = database.queue.reap()
    for job in found:
        sweep(f"{job.id}/{job.attempt}")
        if job.status.is_final:
            keep_record(home, job)
    return found


def keep_record(home: Home, job: Job) -> None:
    """Keep the record of an ended job beside what it left; when that fails, the database has it all the same."""
    try:
        home.save(job)
    except OSError as error:
        logger.warning("the record of job %s could not be kept (%s)", job.id[:8], error)


def end_runs(tracking: Tracking, job: Job) -> None:
    """End the run of an attempt that was taken back; a store that does not answer is left alone.

    The database does not know the run when the worker was killed right after making it.
    """
    tags = {"dioptra.jobId": job.id, "dioptra.attempt": str(job.attempt)}
    with contextlib.suppress(DioptraError):
        for run_id in [job.run_id] if job.run_id else tracking.unfinished(job.experiment, tags):
            tracking.end(run_id, "KILLED")
