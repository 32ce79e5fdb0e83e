"""What a command finds inside a job: the job's snapshot and attempt; nothing is captured, and nothing refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dioptra import settings
from dioptra.errors import RefusedError
from dioptra.experiment import Data, DataFolder, Library
from dioptra.learning._life import Life
from dioptra.learning._places import TASK_DIR, trained_place
from dioptra.learning._session import open_tracking, recorded
from dioptra.learning._task import BaseTask
from dioptra.storage import find_home

__all__ = ["JobSession", "is_in_job"]


def is_in_job() -> bool:
    """Tell whether this process belongs to a job that runs a snapshot."""
    return bool(settings.get("job_id") and settings.get("snapshot"))


@dataclass
class JobSession:
    """A script that a job runs: data and models belong to the attempt that makes them."""

    task: BaseTask
    script: Path

    def train(self, message: str | None, default: str | None, *, retrain: bool, force: bool) -> Data:
        """Train."""
        own = self._own()
        self.task.snapshot = own
        with Life(own.folder).training(), self._recorded():
            self.task.record.parameters(self.task.parameters())
            self.task.train()
        return own

    def test(self, *, ignore: bool, retest: bool) -> Data:
        """Test the model that a job of this snapshot trained last."""
        own = self._own()
        self.task.snapshot, self.task.models = own, self._trained()
        self.task.load_model()
        with self._recorded():
            self.task.test()
        return own

    def load(self, command: str, *, ignore: bool) -> Data:
        """Load the model that a job of this snapshot trained last."""
        self.task.snapshot, self.task.models = self._own(), self._trained()
        self.task.load_model()
        return Library(find_home().experiments_dir).get_snapshot(settings.get("snapshot"))

    def amend(self, message: str | None) -> Data:
        """Refuse: a job runs what was captured."""
        raise RefusedError("a job cannot amend the snapshot that it runs", hint="type it outside of a job")

    def status(self) -> dict[str, Any]:
        """Return where the script stands."""
        return {
            "experiment": settings.get("experiment"),
            "snapshot": settings.get("snapshot"),
            "job": settings.get("job_id"),
        }

    def _own(self) -> DataFolder:
        folder = Path(settings.get("attempt_dir")) / TASK_DIR
        folder.mkdir(exist_ok=True)
        return DataFolder(folder)

    def _trained(self) -> DataFolder:
        """Return where the newest model of this snapshot lies: of a job, else of the script that was run directly."""
        home, name = find_home(), settings.get("snapshot")
        if found := trained_place(home, name, Library(home.experiments_dir).get_snapshot(name).folder):
            return found
        raise RefusedError(
            f"snapshot {name} has not been trained",
            hint=f"run its training first: dioptra run {self.script.name} -e train",
        )

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        with recorded(self.task, open_tracking(), settings.get("run_id")):
            yield
