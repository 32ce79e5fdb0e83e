"""Random number generators that can be made again from a logged seed."""

from __future__ import annotations

import numpy as np

from dioptra import pyplugs

__all__ = ["init_rng"]


@pyplugs.register
@pyplugs.task_nout(2)
def init_rng(seed: int = -1) -> tuple[int, np.random.Generator]:
    """Make a random number generator and return it with the seed that makes it again.

    Args:
        seed: Seed of the generator; a negative one draws a 128-bit seed from the operating system.

    Returns:
        The seed that was used, and the generator. Log the seed: giving it again gives the same numbers.
    """
    if seed < 0:
        seed = int(np.random.SeedSequence().entropy)  # type: ignore[arg-type]
    return seed, np.random.default_rng(seed)
