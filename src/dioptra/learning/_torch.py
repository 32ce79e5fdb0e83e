"""Torch models: trained, tested and evaluated in steps that a script can replace one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dioptra.errors import BaseOptionalDependencyError

try:
    import torch
except ModuleNotFoundError as error:
    raise BaseOptionalDependencyError("torch is not installed", hint="type `pip install torch safetensors`") from error

from dioptra.learning._torch_evaluation import Evaluation
from dioptra.learning._torch_testing import Testing
from dioptra.learning._torch_training import Training

__all__ = ["PytorchTask", "Task"]


class PytorchTask(Testing, Training, Evaluation):
    """A whole torch model: a script gives data, loss, optimizer and metric, and `main()` makes it a command.

    Args:
        model: A module, or a class or function that makes one. A module is trained as it is. What is made is made after
            the seed has been set, and anew for each training: the same seed then gives the same first weights too.
    """

    def parameters(self) -> Mapping[str, Any]:
        """Return what to record of the settings: the number of epochs, the device, and torch's version."""
        self.choose_device()
        return {"epochs": self.epochs, "device": str(self.device), "torch": torch.__version__}


Task = PytorchTask
