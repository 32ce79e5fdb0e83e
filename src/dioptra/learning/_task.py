"""BaseTask: a whole model that is trained, tested, evaluated and served, by one script."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import RefusedError
from dioptra.experiment import Data, DummySnapshot, current_import
from dioptra.learning._record import NoRecord, Record
from dioptra.learning._sample_files import check_paths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BaseTask"]


class BaseTask(ABC):
    """Base class for models of any kind; a backend fills in the steps.

    A script makes one and calls `main()` at its end. Run as a program it is a command; imported by another script it is
    a plain object, whose data stay in memory; imported through `Experiment.import_snapshot` it is the object of that
    version.
    """

    @property
    def snapshot(self) -> Data:
        """Where data and model files go: a snapshot, a job's attempt, or memory."""
        if "_snapshot" not in self.__dict__:
            self.__dict__["_snapshot"] = DummySnapshot()
        found: Data = self.__dict__["_snapshot"]
        return found

    @snapshot.setter
    def snapshot(self, snapshot: Data) -> None:
        self.__dict__["_snapshot"] = snapshot

    @property
    def models(self) -> Data:
        """Where the model to test, evaluate or serve comes from; in a job that tests, another one than `snapshot`."""
        found: Data = self.__dict__.get("_models") or self.snapshot
        return found

    @models.setter
    def models(self, models: Data) -> None:
        self.__dict__["_models"] = models

    @property
    def record(self) -> Record:
        """What else is told of losses and metrics: an MLflow run, a person at a terminal."""
        if "_record" not in self.__dict__:
            self.__dict__["_record"] = NoRecord()
        found: Record = self.__dict__["_record"]
        return found

    @record.setter
    def record(self, record: Record) -> None:
        self.__dict__["_record"] = record

    @abstractmethod
    def train(self) -> None:
        """Train the model, store what was measured in `snapshot`, and save the model."""

    @abstractmethod
    def test(self) -> None:
        """Test the model as it is in memory, and store what was measured in `snapshot`."""

    @abstractmethod
    def load_model(self, filename: str | None = None) -> None:
        """Load the named model of `models`, by default the newest one.

        Raises:
            RefusedError: There is none, or it is not what was saved.
        """

    def eval_path(self, input_path: Path, output_path: Path) -> None:
        """Evaluate the model on a file and write the result to another.

        Raises:
            RefusedError: The task does not say how.
        """
        raise RefusedError(f"{type(self).__name__} cannot evaluate files", hint="give it a method eval_path")

    def check_files(self, input_path: Path, output_path: Path) -> None:
        """Check the files of `eval_path`; the command calls it before anything is loaded.

        Raises:
            InvalidParameterError: `eval_path` would refuse one of them; by default, it cannot be read or written.
        """
        check_paths(input_path, output_path)

    def predict(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the model's answers for a batch of samples, whose first axis runs over them.

        Raises:
            RefusedError: The task does not say how.
        """
        raise RefusedError(f"{type(self).__name__} cannot predict", hint="give it a method predict")

    def describe_input(self) -> Mapping[str, Any]:
        """Return what `predict` expects: `sample_shape`, None for any, and `dtype`."""
        return {"sample_shape": None, "dtype": "float32"}

    def parameters(self) -> Mapping[str, Any]:
        """Return what to record of the settings of a training, such as epochs and seed."""
        return {}

    def main(self, message: str | None = None) -> None:
        """Be what the script is used as; to be called at its end, at the top level.

        Args:
            message: What to say about a new snapshot, unless `-m` says something else.
        """
        caller = sys._getframe(1).f_globals
        name = caller.get("__name__")
        if name == "__main__":
            from dioptra.learning._command_line import run_command

            file = Path(os.path.abspath(caller.get("__file__", "<none>")))  # noqa: PTH100  # links are kept
            if hasattr(sys, "ps1") and not file.is_file():
                return  # a notebook or an interpreter: a plain object
            sys.exit(run_command(self, file, sys.argv[1:], message))
        context = current_import()
        if context is not None and context.module_name == name:
            context.accept(self)
