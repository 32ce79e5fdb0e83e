"""Library: all experiments of one place."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dioptra.errors import ExperimentNotFoundError, RefusedError, SnapshotNotFoundError, suggest
from dioptra.experiment._address import is_last, nth_last, select, sure
from dioptra.experiment._experiment import Experiment
from dioptra.experiment._snapshot import Snapshot
from dioptra.storage import find_home
from dioptra.tracking import check_experiment_name

__all__ = ["Library"]


class Library:
    """The experiments in one folder, each in a folder of its own.

    Args:
        path: That folder; by default `experiments` of the home that the testbed uses. It is made with the first
            experiment.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = find_home().experiments_dir if path is None else Path(path).absolute()

    def names(self) -> list[str]:
        """Return the names of all experiments, the broken ones too, sorted."""
        if not self.path.is_dir():
            return []
        return sorted(entry.name for entry in self.path.iterdir() if entry.is_dir() and not entry.name.startswith("."))

    def get_experiment(self, name: str) -> Experiment:
        """Return the experiment of that name.

        Raises:
            ExperimentNotFoundError: There is none.
            RefusedError: It is broken.
        """
        check_experiment_name(name)
        if name not in self.names():
            raise ExperimentNotFoundError(
                f"no experiment {name!r}", where=str(self.path), hint=suggest(name, self.names())
            )
        return Experiment(self.path / name)

    def add_experiment(self, name: str) -> Experiment:
        """Make a new experiment.

        Raises:
            RefusedError: There is one of that name.
            InvalidParameterError: The name cannot be an experiment's.
        """
        return Experiment.make(self.path / check_experiment_name(name))

    def open_experiment(self, name: str) -> Experiment:
        """Return the experiment of that name; it is made if there is none."""
        if not (self.path / check_experiment_name(name)).exists():
            with suppress(RefusedError):  # another process was quicker
                return self.add_experiment(name)
        return self.get_experiment(name)

    def load_experiments(self) -> dict[str, Experiment]:
        """Return all experiments that are whole, by name; `broken` names the others."""
        loaded = {name: self._load(name) for name in self.names()}
        return {name: found for name, found in loaded.items() if isinstance(found, Experiment)}

    def broken(self) -> dict[str, str]:
        """Return the experiments that cannot be used, by name, each with a sentence that says why."""
        loaded = {name: self._load(name) for name in self.names()}
        return {name: str(found) for name, found in loaded.items() if isinstance(found, RefusedError)}

    def get_snapshot(self, address: str, experiment: str | None = None) -> Snapshot:
        """Return a snapshot of an experiment, or of all of them; see `Experiment.get_snapshot`."""
        if experiment is not None:
            return self.get_experiment(experiment).get_snapshot(address)
        return select(address, self.matches(address), str(self.path))

    def matches(self, address: str) -> list[Snapshot]:
        """Return the snapshots that an address can mean, of all experiments."""
        experiments = self.load_experiments().values()
        if is_last(address):
            every = [snapshot for experiment in experiments for snapshot in experiment.snapshots()]
            found = nth_last(sorted(every, key=lambda snapshot: snapshot.created_at), address)
            return sure(address, found, [file for experiment in experiments for file in experiment.broken()])
        return [snapshot for experiment in experiments for snapshot in experiment.matches(address)]

    def experiment_of(self, snapshot: Snapshot) -> Experiment:
        """Return the experiment that a snapshot belongs to."""
        experiment = Experiment(snapshot.folder.parent.parent)
        if experiment.path.parent != self.path:
            raise SnapshotNotFoundError(f"snapshot {snapshot.name} is not in {str(self.path)!r}")
        return experiment

    def _load(self, name: str) -> Experiment | RefusedError:
        try:
            return Experiment(self.path / name)
        except RefusedError as error:
            return error
