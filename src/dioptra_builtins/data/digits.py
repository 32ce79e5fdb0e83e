"""Handwritten digits: 1,797 grey images of 8 x 8 pixels in ten classes, which come with scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

__all__ = ["load_digits"]

_BRIGHTEST = 16  # the data set counts ink in blocks of 4 x 4 pixels


@pyplugs.register
@pyplugs.task_nout(2)
def load_digits(
    subset: str = "training", test_fraction: float = 1 / 3, split_seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Load the handwritten digits of scikit-learn, split the same way in every job.

    Args:
        subset: `training` or `testing`.
        test_fraction: Share of each class that is kept for testing, between 0 and 1.
        split_seed: Seed of the split; jobs that are to agree give the same one.

    Returns:
        The images, (n, 8, 8, 1) float32 in [0, 1], and their labels, (n,) int64 from 0 to 9.

    Raises:
        BaseTaskPluginError: There is no such subset, or the fraction leaves one of them empty.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
        1998, https://doi.org/10.24432/C50P49 (its test part)
    """
    from sklearn.datasets import load_digits as load

    if subset not in ("training", "testing"):
        raise BaseTaskPluginError(f"no subset '{subset}'", hint="have: testing, training")
    images, labels = load(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / _BRIGHTEST).astype(np.float32)
    y = labels.astype(np.int64)
    chosen = _testing(y, test_fraction, split_seed) ^ (subset == "training")
    if not chosen.any():
        raise BaseTaskPluginError(f"test_fraction {test_fraction} leaves the {subset} subset empty")
    return x[chosen], y[chosen]


def _testing(y: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mark the images kept for testing: the same share of every class."""
    if not 0 <= fraction <= 1:
        raise BaseTaskPluginError(f"test_fraction must be between 0 and 1, got {fraction}")
    rng = np.random.default_rng(seed)
    marks = np.zeros(len(y), dtype=np.bool_)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        marks[members[: round(len(members) * fraction)]] = True
    return marks
