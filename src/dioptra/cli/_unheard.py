"""What is said of queues that nobody listens to: a job there would wait in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dioptra.cli._print import note

if TYPE_CHECKING:
    from dioptra.records import Job
    from dioptra.testbed import Testbed

__all__ = ["note_unheard", "warn_unheard"]


def warn_unheard(testbed: Testbed, jobs: Sequence[Job]) -> None:
    """Say which queues nobody listens to, though one of these jobs waits for that."""
    for name in testbed.unheard(jobs):
        note_unheard(name)


def note_unheard(name: str) -> None:
    """Say that nobody listens to a queue."""
    note(f"Warning: no worker listens to {name!r}; start one: dioptra worker --queue {name}")
