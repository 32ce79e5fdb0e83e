"""The generic functions for models of Keras; imported once Keras has been."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import Model  # type: ignore[import-not-found, unused-ignore]

from dioptra.errors import EstimatorPredictGenericPredTypeError
from dioptra.sdk.generics._functions import estimator_predict, fit_estimator

__all__ = ["fit_keras_model", "predict_keras_model"]


@fit_estimator.register
def fit_keras_model(
    estimator: Model, x: Any, y: Any = None, batch_size: int | None = None, nb_epochs: int = 1, **kwargs: Any
) -> Any:
    """Fit a Keras model and return its history.

    Args:
        estimator: Compiled model.
        x: Images, or what yields images and labels.
        y: Labels; None when `x` yields them.
        batch_size: How many images make a step; None where `x` decides.
        nb_epochs: How many times all of the data is seen; Keras calls it `epochs`.
        **kwargs: Further arguments of the model's own `fit`.
    """
    return estimator.fit(x=x, y=y, batch_size=batch_size, epochs=nb_epochs, **kwargs)


@estimator_predict.register
def predict_keras_model(
    estimator: Model, x: Any, pred_type: str = "prob", batch_size: int | None = None, **kwargs: Any
) -> Any:
    """Return what a Keras model says about images.

    Args:
        estimator: Fitted model.
        x: Images.
        pred_type: `prob` for probabilities (n, classes), `label` for labels (n,): the most probable class, or, of a
            model with one output, whether it is at least a half.
        batch_size: How many images are taken at once.
        **kwargs: Further arguments of the model's own `predict`.

    Raises:
        EstimatorPredictGenericPredTypeError: The type is another one.
    """
    if pred_type not in ("prob", "label"):
        raise EstimatorPredictGenericPredTypeError(f"no type of prediction {pred_type!r}", hint="have: label, prob")
    probabilities = np.asarray(estimator.predict(x=x, batch_size=batch_size, **kwargs))
    if pred_type == "prob":
        return probabilities
    if probabilities.ndim > 1 and probabilities.shape[-1] > 1:
        return probabilities.argmax(axis=-1)
    return (probabilities.reshape(len(probabilities)) >= 0.5).astype(int)
