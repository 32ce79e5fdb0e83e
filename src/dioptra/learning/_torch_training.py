"""Training a torch model: epochs of iterations, in small steps that a script can replace one by one."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from dioptra.errors import UsageError
from dioptra.experiment import Logger
from dioptra.learning._metrics import by_name, not_written
from dioptra.learning._model_files import ModelFiles
from dioptra.learning._seeds import check_epochs, choose_seed, cut_data, record_seed, set_seed
from dioptra.learning._torch_batches import length_of, on_device, pair
from dioptra.learning._torch_checkpoint import Checkpoint
from dioptra.learning._torch_means import Losses, Means
from dioptra.learning._torch_resuming import CHECKPOINT_FILE, Resuming

__all__ = ["Training"]

_SHOWN_EVERY = 0.1  # seconds

Function = Callable[..., Any]


class Training(Resuming):
    """How a task trains: `train` -> `epoch` -> `iteration` -> `prepare_train`, `forward_train`, `backward`, `step`."""

    seed: int | None = None
    """Where the random numbers of Python, numpy and torch begin; None draws one, which is recorded."""
    validate_every: int = 1
    """After how many epochs the model is validated; also after the last one. 0 for never."""

    criterion: Mapping[str, Function]

    # What a script says.

    def get_training_data(self) -> Iterable[Any]:
        """Return the data to train with: a `DataLoader`, or a list of batches `(input, target)`."""
        raise not_written(self, "get_training_data", "write one that returns a DataLoader, or a list of batches")

    def get_criterion(self) -> Function | Mapping[str, Function]:
        """Return the loss, a function of outputs and targets, or several by name, whose sum is what decreases."""
        raise not_written(self, "get_criterion", "write one that returns a loss, such as nn.CrossEntropyLoss()")

    def get_optimizer(self) -> Any:
        """Return the optimizer of the model's parameters."""
        raise not_written(self, "get_optimizer", "write one that returns an optimizer of self.model.parameters()")

    def get_scheduler(self, optimizer: Any) -> Any:
        """Return what changes the learning rate after each epoch; None for nothing."""
        return None

    def get_validation_data(self) -> Iterable[Any] | None:
        """Return what to validate with; None for no validation."""
        return None

    def after_epoch(self, losses: Mapping[str, float]) -> None:
        """Do something after each epoch; by default nothing. See `every_n_epochs`."""

    # Training.

    def train(self) -> None:
        """Train the model, and save it; a training that was killed goes on after its last checkpoint.

        What an earlier training left in the data of training and validation is dropped.

        Raises:
            RefusedError: The checkpoint is not what was saved, or does not fit the model.
            UsageError: What the script returned cannot be trained with.
        """
        check_epochs(self.epochs)
        checkpoint = self.find_checkpoint()
        data, ended = self.begin(checkpoint)
        for number in range(ended, self.epochs):
            self.current_epoch = number
            self.end_epoch(self.epoch(data), data)
        self.model.train(False)
        self.save_model()
        if self.is_kept:
            ModelFiles(self.snapshot).remove(CHECKPOINT_FILE)

    def begin(self, checkpoint: Checkpoint | None) -> tuple[Iterable[Any], int]:
        """Make all that a training needs, always in the same order.

        Returns:
            The training data, and how many epochs have ended.
        """
        self.seed_all(checkpoint.seed if checkpoint else choose_seed(self.seed))
        self.make_model()
        self._input = None
        self.place_model()
        self.criterion = by_name(self.get_criterion(), "loss", own_name=False)
        self.optimizer = self.get_optimizer()
        self.scheduler = self.get_scheduler(self.optimizer)
        data = self.get_training_data()
        self._validation = self.get_validation_data() if self.validate_every else None
        cut_data(self.snapshot, checkpoint.lengths if checkpoint else {})
        if checkpoint:
            self.restore(checkpoint, data)
        self._saved_at = time.monotonic() if checkpoint else None
        return data, checkpoint.epoch if checkpoint else 0

    def seed_all(self, seed: int) -> None:
        """Begin all random numbers with a seed, and record it."""
        set_seed(seed)
        torch.manual_seed(seed)
        record_seed(self.snapshot, seed)
        self._seed = seed
        self.record.parameters({"seed": seed})

    def epoch(self, dataset: Iterable[Any]) -> dict[str, float]:
        """Go through the data once, and return the mean of each loss over the iterations.

        Raises:
            UsageError: There are no data.
        """
        self.model.train()
        means = Means(on_cpu=torch.device(self.device).type == "cpu")
        total, shown_at, count = length_of(dataset), time.monotonic(), 0
        is_first = self._input is None
        for count, sample in enumerate(dataset, 1):
            if is_first:
                self.notice_input(sample)
            losses = self.iteration(sample)
            means.add(losses)
            if (now := time.monotonic()) - shown_at >= _SHOWN_EVERY:
                shown_at = now
                share = count / total if total else 0.0
                self.record.progress(self.current_epoch + 1, self.epochs, min(share, 1.0), means.result())
        if not count:
            raise UsageError(
                f"there are no training data in epoch {self.current_epoch + 1}",
                hint="give a DataLoader or a list of batches; what can be gone through only once is no such thing",
            )
        return means.result()

    def iteration(self, sample: Any) -> Losses:
        """Train with one batch, and return its losses by name."""
        inputs, targets = self.prepare_train(sample)
        self.optimizer.zero_grad(set_to_none=True)
        outputs = self.forward_train(inputs)
        losses = self.backward(outputs, targets)
        self.step()
        return losses

    def prepare_train(self, sample: Any) -> tuple[Any, Any]:
        """Return the inputs and the targets of a batch, on the device."""
        inputs, targets = pair(sample)
        return on_device(inputs, self.device), on_device(targets, self.device)

    def forward_train(self, inputs: Any) -> Any:
        """Return the model's outputs."""
        return self.model(inputs)

    def backward(self, outputs: Any, targets: Any) -> Losses:
        """Compute the losses and the gradients of their sum, and return them by name; the sum of several is `loss`."""
        losses: dict[str, Any] = {}
        for name, criterion in self.criterion.items():
            total = losses[name] = criterion(outputs, targets)
        if len(losses) > 1:
            total = sum(losses.values())
            losses = {"loss": total, **losses}
        total.backward()
        return losses

    def step(self) -> None:
        """Change the model's weights by its gradients."""
        self.optimizer.step()

    # Between two epochs.

    def end_epoch(self, losses: Mapping[str, float], data: Iterable[Any]) -> None:
        """Keep what an epoch measured, validate, change the learning rate, and make a checkpoint."""
        number = self.current_epoch + 1
        rate = {"lr": self.optimizer.param_groups[0]["lr"]} if self.scheduler is not None else {}
        logger = Logger()
        logger.log(losses)
        logger.store_train(self.snapshot, **rate)
        validated = self.validate() if self._is_due(self.validate_every) else {}
        told = {**losses, **rate, **{f"val_{name}": value for name, value in validated.items()}}
        self.record.epoch(number, self.epochs, told)
        if self.scheduler is not None:
            self.step_scheduler(told)
        self.after_epoch(losses)
        if self.is_kept and self._is_checkpoint_due():
            self.save_checkpoint(data)

    def validate(self) -> dict[str, float]:
        """Test the model on the data of validation, and keep the result with its epoch; the first epoch is 1 there."""
        if self._validation is None:
            return {}
        values = self.test_on(self._validation)
        with self.snapshot.val_storage() as storage:
            for name, value in {"epoch": self.current_epoch + 1, **values}.items():
                storage.append(name, value)
        return values

    @abstractmethod
    def test_on(self, dataset: Iterable[Any]) -> dict[str, float]:
        """Return each metric of the model on a data set."""

    def step_scheduler(self, measured: Mapping[str, float]) -> None:
        """Change the learning rate; one that waits for a plateau is given `val_loss`, else the first loss."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(measured.get("val_loss", next(iter(measured.values()))))
        else:
            self.scheduler.step()

    def every_n_epochs(self, n: int, function: Callable[[], Any], skip_zero: bool = True) -> None:
        """Call a function in every n-th epoch.

        Args:
            n: It is called if n divides `current_epoch`.
            function: Takes no argument.
            skip_zero: Not in the first epoch, which is 0.
        """
        if self.current_epoch % n == 0 and not (skip_zero and self.current_epoch == 0):
            function()

    def _is_due(self, every: int) -> bool:
        number = self.current_epoch + 1
        return every > 0 and (number % every == 0 or number == self.epochs)
