"""Testing a torch model: the mean of each metric over a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from dioptra.errors import UsageError
from dioptra.experiment import Data, Logger
from dioptra.learning._metrics import by_name, not_written
from dioptra.learning._torch_batches import on_device, pair, size_of
from dioptra.learning._torch_model import TorchModel

__all__ = ["Testing"]

Function = Callable[..., Any]


class Testing(TorchModel):
    """How a task tests: `test` -> `test_on` -> `single_test` -> `prepare_test`, `forward_test`, `evaluate_metrics`."""

    metrics: Mapping[str, Function]

    # What a script says.

    def get_testing_data(self) -> Iterable[Any]:
        """Return the data to test with: a `DataLoader`, or any iterable of batches `(input, target)`."""
        raise not_written(self, "get_testing_data", "write one that returns a DataLoader, or a list of batches")

    def get_metric(self) -> Function | Mapping[str, Function]:
        """Return what is measured: a function of outputs and targets that returns a number, or several by name.

        Each is called with a batch, and its values are averaged, weighted by the sizes of the batches. A metric that is
        no mean over samples, such as F1, needs all data in one batch.
        """
        raise not_written(self, "get_metric", "write one that returns a function of outputs and targets")

    def get_validation_data(self) -> Iterable[Any] | None:
        """Return what to validate with during training; by default the testing data, None for no validation."""
        return self.get_testing_data()

    # Testing.

    def test(self) -> None:
        """Test the model on the testing data, and store each metric, and its value on each batch as `<name>_data`."""
        self.record.tested(self.test_on(self.get_testing_data(), self.snapshot))

    def test_on(self, dataset: Iterable[Any], snapshot: Data | None = None) -> dict[str, float]:  # noqa: PT028
        """Return the mean of each metric over a data set.

        Args:
            dataset: Batches `(input, target)`.
            snapshot: Gets the means, and the values on each batch, as data of testing; None keeps nothing.

        Raises:
            UsageError: There are no data.
        """
        self.metrics = by_name(self.get_metric(), "metric")
        self.settle_model()
        with torch.no_grad():
            found = [(size_of(sample), self.single_test(sample)) for sample in dataset]
        if not found:
            raise UsageError("there are no testing data", hint="give a DataLoader or a list of batches")
        sizes = [size for size, _ in found]
        logger = Logger(
            lambda numbers: math.fsum(n * size for n, size in zip(numbers, sizes, strict=True)) / sum(sizes)
        )
        for _, values in found:
            logger.log(values)
        means: dict[str, float] = logger.return_final()
        if snapshot is not None:
            logger.store_test(snapshot)
        return means

    def single_test(self, sample: Any) -> Mapping[str, Any]:
        """Return each metric on one batch."""
        inputs, targets = self.prepare_test(sample)
        return self.evaluate_metrics(self.forward_test(inputs), targets)

    def prepare_test(self, sample: Any) -> tuple[Any, Any]:
        """Return the inputs and the targets of a batch, on the device."""
        inputs, targets = pair(sample)
        return on_device(inputs, self.device), on_device(targets, self.device)

    def forward_test(self, inputs: Any) -> Any:
        """Return the model's outputs."""
        return self.model(inputs)

    def evaluate_metrics(self, outputs: Any, targets: Any) -> Mapping[str, Any]:
        """Return each metric of outputs and targets, a number or a tensor of one element."""
        return {name: metric(outputs, targets) for name, metric in self.metrics.items()}
