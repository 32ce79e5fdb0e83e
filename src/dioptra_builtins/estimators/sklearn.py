"""Classifiers of scikit-learn on images, which are given as (n, h, w, c) and flattened here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

__all__ = ["fit", "flatten", "init_classifier", "predict"]

_CLASSIFIERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "linear_svc": ("sklearn.svm", "LinearSVC", {}),
    "logistic_regression": ("sklearn.linear_model", "LogisticRegression", {"max_iter": 1000}),
    "svc": ("sklearn.svm", "SVC", {}),
}


_SMALL = 1_000_000  # numbers


@pyplugs.register
def init_classifier(
    classifier: str = "logistic_regression",
    seed: int | None = None,
    classifier_kwargs: Mapping[str, Any] | None = None,
) -> ClassifierMixin:
    """Make a scikit-learn classifier that is not fitted yet.

    Args:
        classifier: `logistic_regression`, `linear_svc` or `svc`, which have the gradients that `attacks.fgm` needs.
        seed: Seed of the classifier's own random choices, 0 to 2**32 - 1.
        classifier_kwargs: Further arguments of the class, such as `{"C": 0.1}`.

    Raises:
        BaseTaskPluginError: There is no such classifier, or it takes no such argument.
    """
    import importlib

    if classifier not in _CLASSIFIERS:
        raise BaseTaskPluginError(f"no classifier '{classifier}'", hint=f"have: {', '.join(sorted(_CLASSIFIERS))}")
    module, name, defaults = _CLASSIFIERS[classifier]
    arguments = defaults | {"random_state": seed} | dict(classifier_kwargs or {})
    try:
        return getattr(importlib.import_module(module), name)(**arguments)
    except TypeError as error:
        raise BaseTaskPluginError(f"classifier '{classifier}': {error}") from error


@pyplugs.register
def fit(
    estimator: ClassifierMixin,
    x: NDArray[np.floating[Any]],
    y: NDArray[np.integer[Any]],
    fit_kwargs: Mapping[str, Any] | None = None,
) -> ClassifierMixin:
    """Fit a scikit-learn classifier to labelled images and return it.

    Args:
        estimator: Classifier, as `init_classifier` makes it.
        x: (n, h, w, c) float32 in [0, 1].
        y: (n,) labels.
        fit_kwargs: Further arguments of the classifier's own `fit`.
    """
    with _threads(x):
        estimator.fit(flatten(x), np.asarray(y), **dict(fit_kwargs or {}))
    return estimator


def _threads(x: NDArray[Any]) -> AbstractContextManager[Any]:
    """Keep linear algebra on small data to one thread: waiting for the others takes 30 times as long as the work."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limited: AbstractContextManager[Any] = threadpool_limits(limits=1 if x.size < _SMALL else None, user_api="blas")
    return limited


@pyplugs.register
def predict(estimator: ClassifierMixin, x: NDArray[np.floating[Any]], pred_type: str = "label") -> NDArray[Any]:
    """Return what a fitted classifier says about images.

    Args:
        estimator: Classifier that was fitted with `fit`, or loaded from the registry.
        x: (n, h, w, c) float32 in [0, 1].
        pred_type: `label` for labels of shape (n,), `prob` for probabilities of shape (n, classes).

    Raises:
        BaseTaskPluginError: The type is another one, or the classifier gives no probabilities.
    """
    if pred_type not in ("label", "prob"):
        raise BaseTaskPluginError(f"no type of prediction '{pred_type}'", hint="have: label, prob")
    if pred_type == "label":
        return np.asarray(estimator.predict(flatten(x)))
    if not hasattr(estimator, "predict_proba"):
        raise BaseTaskPluginError(f"a {type(estimator).__name__} gives no probabilities", hint="use pred_type='label'")
    return np.asarray(estimator.predict_proba(flatten(x)))


def flatten(x: NDArray[Any]) -> NDArray[Any]:
    """Return images as rows, the way scikit-learn takes them."""
    x = np.asarray(x)
    return x.reshape(len(x), -1) if len(x) else x.reshape(0, int(np.prod(x.shape[1:])))
