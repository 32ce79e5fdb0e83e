"""The checkpoint of a training: all that a killed one needs to go on as if nothing had been."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch

__all__ = ["Checkpoint", "random_states", "restore_random_states"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a training stands at the end of an epoch.

    Args:
        epoch: The number of epochs that have ended.
        seed: Where the random numbers began.
        model: The model's weights.
        optimizer: The optimizer's state.
        scheduler: The scheduler's state, None without one.
        lengths: How long each list in the data of training and validation was.
        random: The states of all random numbers.
        more: What the task keeps for itself.
    """

    epoch: int
    seed: int
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    scheduler: Mapping[str, Any] | None
    lengths: Mapping[str, Mapping[str, int]]
    random: Mapping[str, Any]
    more: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Return it as a file of torch's."""
        file = io.BytesIO()
        torch.save({field.name: getattr(self, field.name) for field in fields(self)}, file)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return what `to_bytes` gave; only tensors and plain values are taken, never a program.

        Raises:
            Exception: It is something else; of what kind, torch decides.
        """
        return cls(**torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))


def random_states(generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """Return the states of the random numbers of torch, numpy, Python, and of some generators, as plain values."""
    numpy = np.random.get_state(legacy=False)
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": {**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].tolist()}},
        "python": random.getstate(),
        "generators": [generator.get_state() for generator in generators],
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Any], generators: Sequence[torch.Generator]) -> None:
    """Go on with random numbers where they stood."""
    torch.set_rng_state(states["torch"])
    keys = {**states["numpy"]["state"], "key": np.array(states["numpy"]["state"]["key"], dtype=np.uint32)}
    np.random.set_state({**states["numpy"], "state": keys})
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    for generator, state in zip(generators, states["generators"], strict=True):
        generator.set_state(state)
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])
    if "mps" in states:
        torch.mps.set_rng_state(states["mps"])
