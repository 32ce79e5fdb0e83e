"""Where the model of a snapshot lies: with the job that trained it last, or with the snapshot itself."""

from __future__ import annotations

from pathlib import Path

from dioptra.experiment import DataFolder
from dioptra.learning._life import Life, LifeState
from dioptra.storage import Home

__all__ = ["TASK_DIR", "trained_place"]

TASK_DIR = "task"  # of an attempt


def trained_place(home: Home, snapshot: str, folder: Path) -> DataFolder | None:
    """Return where the newest model of a snapshot lies, None if it has none.

    Args:
        home: The home that keeps the jobs.
        snapshot: Its name.
        folder: Its own folder, for a script that was run directly.
    """
    jobs = [job for job in home.jobs()[::-1] if job.snapshot == snapshot and not job.verifies]
    for place in (*(home.attempt(job.id, job.attempt).folder / TASK_DIR for job in jobs), folder):
        life, found = Life(place), DataFolder(place)
        if (life.state is not LifeState.INITIALIZED or life.is_training) and found.fetch_last_model_file():
            return found
    return None
