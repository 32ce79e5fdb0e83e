"""A torch model of a task: where it comes from, the device that it lies on, and the files that it is kept in."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dioptra.errors import RefusedError, UsageError
from dioptra.experiment import DataFolder
from dioptra.learning._model_files import ModelFiles
from dioptra.learning._task import BaseTask
from dioptra.learning._torch_batches import inputs_of
from dioptra.learning._torch_checkpoint import Checkpoint

__all__ = ["TorchModel"]


class TorchModel(BaseTask):
    """A model that has one device and is kept in files.

    Args:
        model: A module, or a class or function that makes one. A module is trained as it is. What is made is made after
            the seed has been set, and anew for each training: the same seed then gives the same first weights too.
    """

    device: str | torch.device = "auto"
    """Where the model computes: a name of torch's such as `cuda:1`, or `auto` for CUDA, else MPS, else the CPU."""

    def __init__(self, model: nn.Module | Callable[[], nn.Module]) -> None:
        self._make = None if isinstance(model, nn.Module) else model
        self._model = model if isinstance(model, nn.Module) else None
        self._input: Mapping[str, Any] | None = None
        if self._model is None and not callable(model):
            raise UsageError(f"{model!r} is no model", hint="give a torch module, or a function that makes one")

    @property
    def model(self) -> Any:
        """The model; it is made when it is first needed."""
        if self._model is None:
            self.make_model()
        return self._model

    @model.setter
    def model(self, model: nn.Module) -> None:
        self._model = model
        if isinstance(self.device, torch.device):  # else it has not been chosen yet
            model.to(self.device)

    @property
    def is_kept(self) -> bool:
        """Whether there is a folder to save models in."""
        return isinstance(self.snapshot, DataFolder)

    def make_model(self) -> None:
        """Make the model anew, if the task was given what makes it."""
        if self._make is None:
            return
        made = self._make()
        if not isinstance(made, nn.Module):
            raise UsageError(f"{self._make!r} made a {type(made).__name__}", hint="make a torch module")
        self.model = made

    def place_model(self) -> None:
        """Move the model to the device.

        Raises:
            RefusedError: There is no such device here.
        """
        self.choose_device()
        self.model.to(self.device)

    def settle_model(self) -> None:
        """Move the model to the device, if that has not been chosen yet, and make it ready for answers."""
        if not isinstance(self.device, torch.device):
            self.place_model()
        if self.model.training:
            self.model.train(False)

    def choose_device(self) -> None:
        """Make of `device` a device of torch's.

        Raises:
            RefusedError: There is no such device here.
        """
        if str(self.device) == "auto":
            self.device = _best_device()
        try:
            device = torch.device(self.device)
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            reason = str(error).partition("\n")[0].partition(". ")[0][:200]
            raise RefusedError(
                f"the device {str(self.device)!r} cannot be used ({reason})", hint="choose 'auto' or 'cpu'"
            ) from error
        self.device = device

    def describe_input(self) -> Mapping[str, Any]:
        """Return what `predict` expects: shape and type of the samples that the model was trained with."""
        return self._input or super().describe_input()

    def notice_input(self, sample: Any) -> None:
        """Remember shape and type of what the model is trained with, from a batch; also in the script's own data.

        A size that differs from one batch to another is -1, any length.
        """
        inputs = inputs_of(sample)
        if not isinstance(inputs, torch.Tensor) or not inputs.ndim:
            return
        known = self._input
        shape = _joined(known["sample_shape"], tuple(inputs.shape[1:])) if known else tuple(inputs.shape[1:])
        if known is None or shape != known["sample_shape"]:
            self._input = {"sample_shape": shape, "dtype": str(inputs.dtype).removeprefix("torch.")}
            with self.snapshot.custom_storage() as storage:
                storage.store("input", self._input)

    def save_model(self, filename: str | None = None) -> None:
        """Save the model's weights in the snapshot's folder; in memory, nothing is saved.

        Args:
            filename: A name that ends in `.safetensors` or `.npz`; by default `final.safetensors`, or `final.npz` where
                the package safetensors is not installed.

        Raises:
            RefusedError: It cannot be written.
            UsageError: The name ends otherwise, or the model holds what such a file does not take.
        """
        if filename is None:
            filename = f"final{'.safetensors' if importlib.util.find_spec('safetensors') else '.npz'}"
        kind = Path(filename).suffix
        if kind not in _WRITERS:
            raise UsageError(
                f"a model is not saved as {filename!r}: a file that torch loads can hold a program",
                hint=f"name it {Path(filename).stem + '.safetensors'!r}",
            )
        if self.is_kept:
            ModelFiles(self.snapshot).save(filename, _WRITERS[kind](_weights(self.model)))

    def load_model(self, filename: str | None = None) -> None:
        """Load the named model, by default the newest one: during a training, that of its last checkpoint.

        Raises:
            RefusedError: There is none, it is not what was saved, or it does not fit the model.
        """
        path, content = ModelFiles(self.models).read(filename)
        if path.suffix not in _READERS:
            raise RefusedError(f"{str(path)!r} is no model that can be loaded", hint="name a safetensors or npz file")
        try:
            self.model.load_state_dict(_READERS[path.suffix](content))
        except Exception as error:  # what a foreign format can raise, nobody lists
            reason = " ".join(str(error).split())
            raise RefusedError(
                f"the model file {str(path)!r} does not fit the model ({reason})", hint="load it with its own code"
            ) from error
        self._input = _as_input(self.models.custom_data.get("input"))
        self.place_model()
        self.model.train(False)


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _joined(known: tuple[int, ...] | None, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return what two shapes have in common: -1 where they differ, None when even their lengths do."""
    if known is None or len(known) != len(shape):
        return None
    return tuple(a if a == b else -1 for a, b in zip(known, shape, strict=True))


def _as_input(kept: Any) -> Mapping[str, Any] | None:
    if not isinstance(kept, Mapping):
        return None
    shape = kept["sample_shape"]
    return {"sample_shape": None if shape is None else tuple(shape), "dtype": str(kept["dtype"])}


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the weights: those that share memory could not be written otherwise."""
    found = model.state_dict()
    if other := [name for name, value in found.items() if not isinstance(value, torch.Tensor)]:
        raise UsageError(f"{other[0]!r} of the model is no tensor", hint="keep it in the snapshot's custom data")
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in found.items()}


def _write_safetensors(weights: Mapping[str, torch.Tensor]) -> bytes:
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise UsageError(
            "the package safetensors is not installed", hint="name the file .npz, or install it"
        ) from error
    return bytes(save(dict(weights)))


def _read_safetensors(content: bytes) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load

    found: Mapping[str, torch.Tensor] = load(content)
    return found


def _write_npz(weights: Mapping[str, torch.Tensor]) -> bytes:
    names = json.dumps(list(weights))  # a name may hold what numpy would take for its own argument
    try:
        arrays = {f"w{number}": value.numpy() for number, value in enumerate(weights.values())}
    except TypeError as error:
        raise UsageError(f"npz does not take the model's weights ({error})", hint="use safetensors") from error
    file = io.BytesIO()
    np.savez(file, names=np.array(names), **arrays)
    return file.getvalue()


def _read_npz(content: bytes) -> Mapping[str, torch.Tensor]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        names = json.loads(str(arrays["names"]))
        return {name: torch.from_numpy(arrays[f"w{number}"]) for number, name in enumerate(names)}


def _read_checkpoint(content: bytes) -> Mapping[str, torch.Tensor]:
    return Checkpoint.from_bytes(content).model


_WRITERS = {".safetensors": _write_safetensors, ".npz": _write_npz}
_READERS = {".safetensors": _read_safetensors, ".npz": _read_npz, ".pt": _read_checkpoint}
