"""Handwritten digits with torch: trained, tested, evaluated and served by one script."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dioptra.learning import PytorchTask


def make_model() -> nn.Module:
    """Make a small convolutional network: (n, 64) float32 in [0, 16] -> (n, 10) float32."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(32 * 4 * 4, 10),
    )


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the share of images whose digit is told."""
    return (outputs.argmax(dim=1) == targets).float().mean()


class Digits(PytorchTask):
    """Tell handwritten digits apart with a small convolutional network."""

    epochs = 5
    seed = 7
    checkpoint_every = 1

    def get_training_data(self) -> Any:
        """Return two thirds of the 1,797 images, in batches of 64."""
        return DataLoader(self.load()[0], batch_size=64, shuffle=True)

    def get_testing_data(self) -> Any:
        """Return the other third."""
        return DataLoader(self.load()[1], batch_size=256)

    def get_criterion(self) -> Any:
        """Return the loss."""
        return nn.CrossEntropyLoss()

    def get_optimizer(self) -> Any:
        """Return the optimizer."""
        return torch.optim.Adam(self.model.parameters(), lr=0.003)

    def get_scheduler(self, optimizer: Any) -> Any:
        """Return what lets the learning rate fall to zero."""
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)

    def get_metric(self) -> Any:
        """Return what is measured."""
        return accuracy

    def postprocess(self, outputs: Any) -> Any:
        """Return the digits that outputs stand for."""
        return outputs.argmax(dim=1)

    def load(self) -> Any:
        """Split the images in the same way each time."""
        x, y = load_digits(return_X_y=True)
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=1 / 3, stratify=y, random_state=0)
        return _dataset(x_train, y_train), _dataset(x_test, y_test)


def _dataset(x: Any, y: Any) -> Any:
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))


task = Digits(make_model)
task.main()
