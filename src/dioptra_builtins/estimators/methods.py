"""Fit and ask an estimator of any library, through the generic functions of the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from dioptra import pyplugs
from dioptra.sdk.generics import estimator_predict, fit_estimator

__all__ = ["fit", "predict"]


@pyplugs.register
def fit(estimator: Any, x: Any = None, y: Any = None, fit_kwargs: Mapping[str, Any] | None = None) -> Any:
    """Fit an estimator of any library and return what its library returns.

    The minutes that it took are logged to the run of the job as the metric `training_time_in_minutes`.

    Args:
        estimator: Estimator, of a class that `fit_estimator` knows or that has a method `fit`.
        x: Data, such as images (n, h, w, c) float32 in [0, 1], or what yields images and labels.
        y: Labels; None when `x` yields them.
        fit_kwargs: Further arguments, such as `{"nb_epochs": 3}` for a model of Keras.

    Raises:
        BaseGenericsRegistryError: The estimator cannot be fitted.
    """
    import mlflow

    start = perf_counter()
    fitted = fit_estimator(estimator, x, y, **dict(fit_kwargs or {}))
    mlflow.log_metric("training_time_in_minutes", (perf_counter() - start) / 60)
    return fitted


@pyplugs.register
def predict(estimator: Any, x: Any = None, predict_kwargs: Mapping[str, Any] | None = None) -> Any:
    """Return what a fitted estimator of any library says about data.

    Args:
        estimator: Estimator, of a class that `estimator_predict` knows or that has a method `predict`.
        x: Data, such as images (n, h, w, c) float32 in [0, 1].
        predict_kwargs: Further arguments, such as `{"pred_type": "label"}` for a model of Keras.

    Raises:
        BaseGenericsRegistryError: The estimator cannot be asked.
    """
    return estimator_predict(estimator, x, **dict(predict_kwargs or {}))
