"""Random integers, for seeds of the libraries that a job uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs

__all__ = ["draw_random_integer", "draw_random_integers"]


@pyplugs.register
def draw_random_integer(rng: np.random.Generator, low: int = 0, high: int = 2**31 - 1) -> int:
    """Draw one integer, uniformly, with `low` possible and `high` not.

    Args:
        rng: Generator to draw from, as `init_rng` makes it.
        low: Smallest integer that can be drawn.
        high: One more than the largest.
    """
    return int(rng.integers(low=low, high=high))


@pyplugs.register
def draw_random_integers(
    rng: np.random.Generator,
    low: int = 0,
    high: int = 2**31 - 1,
    size: int | tuple[int, ...] | None = None,
) -> NDArray[np.int64]:
    """Draw an array of integers, uniformly, with `low` possible and `high` not.

    Args:
        rng: Generator to draw from, as `init_rng` makes it.
        low: Smallest integer that can be drawn.
        high: One more than the largest.
        size: Number of integers or shape of the array; one integer in an array of shape () by default.
    """
    return np.asarray(rng.integers(low=low, high=high, size=size))
