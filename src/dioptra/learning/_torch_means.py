"""The mean of each loss over the iterations of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["Losses", "Means"]

Losses = Mapping[str, Any]


class Means:
    """The mean of each loss so far.

    On a GPU the sums stay there: to ask for a number after each iteration would make the CPU wait for it.
    """

    def __init__(self, *, on_cpu: bool) -> None:
        self._on_cpu = on_cpu
        self._sums: dict[str, Any] = {}
        self._count = 0

    def add(self, losses: Losses) -> None:
        """Add what an iteration returned."""
        self._count += 1
        sums = self._sums
        for name, loss in losses.items():
            if isinstance(loss, torch.Tensor):
                value: Any = loss.item() if self._on_cpu else loss.detach()
            else:
                value = float(loss)
            sums[name] = sums[name] + value if name in sums else _wide(value)

    def result(self) -> dict[str, float]:
        """Return the means."""
        return {name: float(total) / self._count for name, total in self._sums.items()}


def _wide(value: Any) -> Any:
    """Return a sum to begin with, wide enough that thousands of small numbers are not lost on it."""
    return value.double() if isinstance(value, torch.Tensor) and value.device.type != "mps" else value
