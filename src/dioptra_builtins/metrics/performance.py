"""How well predictions agree with the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

from ._request import look_up
from .exceptions import UnknownPerformanceMetricError

__all__ = [
    "accuracy",
    "categorical_accuracy",
    "f1",
    "get_performance_metric",
    "get_performance_metric_list",
    "mcc",
    "measure_performance",
    "precision",
    "recall",
    "roc_auc",
]

PerformanceMetric = Callable[..., float]


@pyplugs.register
def get_performance_metric_list(request: Iterable[Mapping[str, str]]) -> list[tuple[str, PerformanceMetric]]:
    """Look up several performance metrics; one that does not exist is left out with a warning.

    Args:
        request: For each metric its `name`, as it is to be called in results, and its `func`, as it is called here.

    Returns:
        The name and the function of each metric.
    """
    return look_up(request, _METRICS, "performance")


@pyplugs.register
def get_performance_metric(func: str) -> PerformanceMetric:
    """Look up a performance metric, a function of true and predicted labels that gives one number.

    Args:
        func: `accuracy`, `roc_auc`, `categorical_accuracy`, `mcc`, `f1`, `precision` or `recall`.

    Raises:
        UnknownPerformanceMetricError: There is no such metric.
    """
    if func not in _METRICS:
        raise UnknownPerformanceMetricError(f"no performance metric '{func}'", hint=f"have: {', '.join(_METRICS)}")
    return _METRICS[func]


@pyplugs.register
def measure_performance(
    y_true: NDArray[Any],
    y_pred: NDArray[Any],
    performance_metrics_list: Sequence[tuple[str, PerformanceMetric]],
) -> dict[str, float]:
    """Measure how well predictions agree with the truth, in one number for each metric.

    Args:
        y_true: (n,) true labels.
        y_pred: (n,) predicted labels, or (n, classes) probabilities for `roc_auc`.
        performance_metrics_list: Name and function of each metric, as `get_performance_metric_list` gives them.

    Returns:
        The numbers by name, to be given to `tracking.mlflow.log_metrics`.
    """
    if len(y_true) != len(y_pred) or len(y_true) == 0:
        raise BaseTaskPluginError(f"labels must come in pairs, got {len(y_true)} true and {len(y_pred)} predicted ones")
    return {name: float(metric(y_true, y_pred)) for name, metric in performance_metrics_list}


def accuracy(y_true: NDArray[Any], y_pred: NDArray[Any], **kwargs: Any) -> float:
    """Return the share of labels that were predicted right."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(y_true, y_pred, **kwargs))


def roc_auc(y_true: NDArray[Any], y_pred: NDArray[Any], **kwargs: Any) -> float:
    """Return the area under the receiver operating characteristic curve, of each class against the rest if several."""
    from sklearn.metrics import roc_auc_score

    several = np.ndim(y_true) == 1 and np.ndim(y_pred) == 2
    return float(roc_auc_score(y_true, y_pred, **({"multi_class": "ovr"} if several else {}) | kwargs))


def categorical_accuracy(y_true: NDArray[Any], y_pred: NDArray[Any]) -> float:
    """Return the share of labels that were predicted right; of scores for each class the largest counts."""
    truth, said = (
        np.argmax(labels, axis=-1) if np.ndim(labels) > 1 else np.asarray(labels) for labels in (y_true, y_pred)
    )
    return float(np.mean(truth == said))


def mcc(y_true: NDArray[Any], y_pred: NDArray[Any], **kwargs: Any) -> float:
    """Return Matthews' correlation coefficient of the labels, from -1 to 1."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(y_true, y_pred, **kwargs))


def f1(y_true: NDArray[Any], y_pred: NDArray[Any], **kwargs: Any) -> float:
    """Return the harmonic mean of precision and recall, averaged over the classes where there are more than two."""
    from sklearn.metrics import f1_score

    return float(f1_score(y_true, y_pred, **_averaging(y_true, y_pred) | kwargs))


def precision(y_true: NDArray[Any], y_pred: NDArray[Any], **kwargs: Any) -> float:
    """Return the share of what was predicted as a class that is of it, averaged where there are more than two."""
    from sklearn.metrics import precision_score

    return float(precision_score(y_true, y_pred, **_averaging(y_true, y_pred) | kwargs))


def recall(y_true: NDArray[Any], y_pred: NDArray[Any], **kwargs: Any) -> float:
    """Return the share of a class that was predicted as it, averaged where there are more than two."""
    from sklearn.metrics import recall_score

    return float(recall_score(y_true, y_pred, **_averaging(y_true, y_pred) | kwargs))


def _averaging(y_true: NDArray[Any], y_pred: NDArray[Any]) -> dict[str, Any]:
    """Return arguments that scikit-learn needs with other labels than 0 and 1: all classes count the same."""
    binary = np.ndim(y_true) == 1 and set(np.unique(y_true)) | set(np.unique(y_pred)) <= {0, 1}
    return {"zero_division": 0} | ({} if binary else {"average": "macro"})


_METRICS: dict[str, PerformanceMetric] = {
    metric.__name__: metric for metric in (accuracy, roc_auc, categorical_accuracy, mcc, f1, precision, recall)
}
