"""How a training begins: with a seed that is given, or drawn and recorded, and with nothing left of an earlier one."""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from dioptra.errors import UsageError
from dioptra.experiment import Data

__all__ = ["check_epochs", "choose_seed", "cut_data", "data_lengths", "record_seed", "set_seed"]

_LIMIT = 2**32  # numpy takes no larger one

Lengths = Mapping[str, Mapping[str, int]]


def check_epochs(epochs: Any) -> None:
    """Raise UsageError unless it is a number of epochs."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise UsageError(f"epochs is {epochs!r}", hint="give a whole number from 1")


def choose_seed(seed: int | None) -> int:
    """Return a seed, drawn if none is given.

    Raises:
        UsageError: It is no whole number from 0 to 2**32 - 1.
    """
    if seed is None:
        return secrets.randbelow(2**31)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _LIMIT:
        raise UsageError(
            f"{seed!r} is no seed", hint=f"give a whole number from 0 to {_LIMIT - 1}, or None to draw one"
        )
    return seed


def record_seed(snapshot: Data, seed: int) -> None:
    """Remember the seed of a training in the script's own data, as `seed`."""
    with snapshot.custom_storage() as storage:
        storage.store("seed", seed)


def set_seed(seed: int) -> None:
    """Begin the random numbers of Python, and of numpy if it is loaded, anew."""
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed)


def data_lengths(snapshot: Data) -> dict[str, dict[str, int]]:
    """Return how long each list in the data of training and validation is."""
    kinds = {"train": snapshot.train_data, "val": snapshot.val_data}
    return {kind: {n: len(v) for n, v in data.items() if isinstance(v, list)} for kind, data in kinds.items()}


def cut_data(snapshot: Data, lengths: Lengths) -> None:
    """Cut each list in the data of training and validation to what it was; one that is not named becomes empty."""
    kinds = {"train": (snapshot.train_data, snapshot.train_storage), "val": (snapshot.val_data, snapshot.val_storage)}
    for kind, (data, storage) in kinds.items():
        with storage() as block:
            for name, value in data.items():
                if isinstance(value, list) and len(value) > (length := lengths.get(kind, {}).get(name, 0)):
                    block.store(name, value[:length])
