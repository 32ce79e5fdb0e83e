"""Where the model of a snapshot lies: with the job that trained it last, or with the snapshot itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from dioptra.experiment import DataFolder
from dioptra.learning._life import Life
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
    jobs = [job for job in home.jobs() if job.snapshot == snapshot and not job.verifies]
    places = [folder, *(home.attempt(job.id, job.attempt).folder / TASK_DIR for job in jobs)]
    found = [(at, number) for number, place in enumerate(places) if (at := _saved_at(place)) is not None]
    return DataFolder(places[max(found)[1]]) if found else None


def _saved_at(place: Path) -> float | None:
    """Return when the newest model of a place was saved, in seconds; None if it has none that may be used."""
    life, file = Life(place), DataFolder(place).fetch_last_model_file()
    if file is None or not (life.mark or life.is_training):
        return None
    try:
        return datetime.fromisoformat(life.mark).timestamp() if life.mark else file.stat().st_mtime
    except FileNotFoundError:  # a checkpoint goes as soon as the training is over
        return None
