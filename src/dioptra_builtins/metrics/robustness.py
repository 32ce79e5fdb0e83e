"""How a model does on images before and after an attack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

__all__ = ["measure_robustness"]


@pyplugs.register
def measure_robustness(y_true: NDArray[Any], y_pred_clean: NDArray[Any], y_pred_adv: NDArray[Any]) -> dict[str, float]:
    """Measure the accuracy of a model on clean and on adversarial images.

    Args:
        y_true: (n,) true labels.
        y_pred_clean: (n,) labels that the model gives to the clean images.
        y_pred_adv: (n,) labels that it gives to the adversarial ones.

    Returns:
        `clean_accuracy`, `robust_accuracy` and the number of `samples`, to be given to `tracking.mlflow.log_metrics`.

    Raises:
        BaseTaskPluginError: There are no labels, or not equally many of each.
    """
    truth, clean, adversarial = (np.asarray(labels) for labels in (y_true, y_pred_clean, y_pred_adv))
    if truth.ndim != 1 or not len(truth) or not truth.shape == clean.shape == adversarial.shape:
        raise BaseTaskPluginError(
            f"labels must be lists of one length, got {truth.shape}, {clean.shape} and {adversarial.shape}"
        )
    return {
        "clean_accuracy": float(np.mean(clean == truth)),
        "robust_accuracy": float(np.mean(adversarial == truth)),
        "samples": float(len(truth)),
    }
