"""What tests look at of processes: whether they live, whose they are, and which belong to a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from dioptra.records import Job

__all__ = ["is_alive", "marked", "parent", "until"]


def until(is_true: Callable[[], object], seconds: float = 60) -> None:
    over = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < over, "it did not happen"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def marked(job: Job) -> list[int]:
    """Return the living processes of all attempts of a job."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and f"DIOPTRA_ATTEMPT={job.id}/".encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return [pid for pid in found if is_alive(pid)]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
