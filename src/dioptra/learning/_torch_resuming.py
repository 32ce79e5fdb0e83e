"""Going on with a training that was killed: a checkpoint at the end of epochs, and the way back to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from dioptra.errors import RefusedError, UsageError
from dioptra.experiment import DataFolder
from dioptra.learning._model_files import ModelFiles
from dioptra.learning._seeds import data_lengths
from dioptra.learning._torch_batches import generators_of
from dioptra.learning._torch_checkpoint import Checkpoint, random_states, restore_random_states
from dioptra.learning._torch_model import TorchModel

__all__ = ["CHECKPOINT_FILE", "Resuming"]

CHECKPOINT_FILE = "checkpoint.pt"
_ANEW = "type `python SCRIPT train --retrain` to train anew"


class Resuming(TorchModel):
    """How a task keeps where its training stands."""

    epochs: int = 1
    """How often the training data are gone through."""
    checkpoint_every: int | timedelta | None = timedelta(seconds=10)
    """After how many epochs, or after which time at the end of an epoch, a checkpoint is made; None for never.

    The first epoch has one in any case. A training in memory has none.
    """
    current_epoch: int = 0
    """The epoch that runs, or the last one that ran; the first one is 0."""

    optimizer: Any
    scheduler: Any
    _seed: int
    _validation: Iterable[Any] | None = None
    _saved_at: float | None = None

    def get_state(self) -> Mapping[str, Any]:
        """Return more that a checkpoint is to keep: tensors, numbers, text, and lists, tuples and dicts of them."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` gave."""

    def find_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint that a killed training left.

        Raises:
            RefusedError: It is not what was saved.
        """
        if not isinstance(self.snapshot, DataFolder) or not self.snapshot.make_path(CHECKPOINT_FILE).exists():
            return None
        path, content = ModelFiles(self.snapshot).read(CHECKPOINT_FILE)
        try:
            return Checkpoint.from_bytes(content)
        except Exception as error:  # what torch can raise, nobody lists
            reason = str(error).partition("\n")[0]
            raise RefusedError(f"the checkpoint {str(path)!r} cannot be loaded ({reason})", hint=_ANEW) from error

    def save_checkpoint(self, data: Iterable[Any]) -> None:
        """Save where the training stands.

        Raises:
            UsageError: What is to be saved could not be loaded again.
        """
        content = Checkpoint(
            epoch=self.current_epoch + 1,
            seed=self._seed,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scheduler=self.scheduler.state_dict() if self.scheduler is not None else None,
            lengths=data_lengths(self.snapshot),
            random=random_states(generators_of(data, self._validation)),
            more=self.get_state(),
        ).to_bytes()
        if self._saved_at is None:
            _check_loads(content)
        ModelFiles(self.snapshot).save(CHECKPOINT_FILE, content)
        self._saved_at = time.monotonic()

    def restore(self, checkpoint: Checkpoint, data: Iterable[Any]) -> None:
        """Go on where a checkpoint stands.

        Raises:
            RefusedError: It does not fit what the script made.
        """
        try:
            self.model.load_state_dict(checkpoint.model)
            self.optimizer.load_state_dict(checkpoint.optimizer)
            if self.scheduler is not None and checkpoint.scheduler is not None:
                self.scheduler.load_state_dict(checkpoint.scheduler)
            self.set_state(checkpoint.more)
            restore_random_states(checkpoint.random, generators_of(data, self._validation))
        except Exception as error:  # what a script's own classes can raise, nobody lists
            reason = " ".join(str(error).split())
            raise RefusedError(f"the checkpoint does not fit the task ({reason})", hint=_ANEW) from error

    def _is_checkpoint_due(self) -> bool:
        every, number = self.checkpoint_every, self.current_epoch + 1
        if every is None or number == self.epochs:
            return False
        if self._saved_at is None:
            return True
        if isinstance(every, timedelta):
            return time.monotonic() - self._saved_at >= every.total_seconds()
        return number % every == 0


def _check_loads(content: bytes) -> None:
    try:
        Checkpoint.from_bytes(content)
    except Exception as error:  # what torch can raise, nobody lists
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"a checkpoint of this task could not be loaded again ({reason})",
            hint="keep plain values in get_state, or set checkpoint_every = None",
        ) from error
