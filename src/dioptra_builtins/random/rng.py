"""Random number generators that can be made again from a logged seed."""

from __future__ import annotations

import numpy as np

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

__all__ = ["init_rng"]


@pyplugs.register
@pyplugs.task_nout(2)
def init_rng(seed: int = -1) -> tuple[int, np.random.Generator]:
    """Make a random number generator and return it with the seed that makes it again.

    Args:
        seed: Seed of the generator; a negative one draws a 128-bit seed from the operating system.

    Returns:
        The seed that was used, and the generator. Log the seed: giving it again gives the same numbers.

    Raises:
        BaseTaskPluginError: The seed is not a whole number.
    """
    try:
        number = int(seed)
    except (TypeError, ValueError) as error:
        raise BaseTaskPluginError(f"seed must be a whole number, got {seed!r}", hint="-1 draws one") from error
    if number < 0:
        number = int(np.random.SeedSequence().entropy)  # type: ignore[arg-type]
    return number, np.random.default_rng(number)
