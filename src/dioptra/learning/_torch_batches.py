"""Batches of a data set: pairs of input and target, and how long, how large, and where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from dioptra.errors import UsageError

__all__ = ["generators_of", "inputs_of", "length_of", "on_device", "pair", "size_of"]

_SEQUENCES = (tuple, list)


def pair(sample: Any) -> tuple[Any, Any]:
    """Return inputs and targets of a batch.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(sample, _SEQUENCES) and len(sample) == 2:
        return sample[0], sample[1]
    raise UsageError(
        f"a batch is a {type(sample).__name__} and not a pair of input and target",
        hint="give such pairs, or override prepare_train and prepare_test",
    )


def inputs_of(sample: Any) -> Any:
    """Return the inputs of a batch, of whatever form it is."""
    return sample[0] if isinstance(sample, _SEQUENCES) and sample else sample


def size_of(sample: Any) -> int:
    """Return how many samples a batch holds; 1 if it does not say."""
    try:
        return len(inputs_of(sample))
    except TypeError:
        return 1


def length_of(dataset: Iterable[Any]) -> int | None:
    """Return how many batches a data set holds; None if it does not say."""
    try:
        return len(dataset)  # type: ignore[arg-type]
    except TypeError:
        return None


def on_device(value: Any, device: Any) -> Any:
    """Return tensors, also those in lists, tuples and dicts, on a device; anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value if value.device == device else value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: on_device(inner, device) for key, inner in value.items()}
    if type(value) in _SEQUENCES:
        return type(value)(on_device(inner, device) for inner in value)
    return value


def generators_of(*datasets: Any) -> list[torch.Generator]:
    """Return the generators of data loaders that are not torch's own."""
    batchers = [getattr(dataset, "batch_sampler", None) for dataset in datasets]
    samplers = [getattr(place, "sampler", None) for place in (*datasets, *batchers)]
    found = [getattr(place, "generator", None) for place in (*datasets, *batchers, *samplers)]
    return list({id(each): each for each in found if isinstance(each, torch.Generator)}.values())
