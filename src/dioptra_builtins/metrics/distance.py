"""How far images were moved: distances between pairs of images, one for each pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

from ._request import look_up
from .exceptions import UnknownDistanceMetricError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "get_distance_metric",
    "get_distance_metric_list",
    "l_1_norm",
    "l_2_norm",
    "l_inf_norm",
    "measure_distances",
    "paired_cosine_similarities",
    "paired_euclidean_distances",
    "paired_manhattan_distances",
    "paired_wasserstein_distances",
    "summarize_distances",
]

Distances = NDArray[np.float64]
DistanceMetric = Callable[[NDArray[Any], NDArray[Any]], Distances]


@pyplugs.register
def get_distance_metric_list(request: Iterable[Mapping[str, str]]) -> list[tuple[str, DistanceMetric]]:
    """Look up several distance metrics; one that does not exist is left out with a warning.

    Args:
        request: For each metric its `name`, as it is to be called in results, and its `func`, as it is called here.

    Returns:
        The name and the function of each metric.
    """
    return look_up(request, _METRICS, "distance")


@pyplugs.register
def get_distance_metric(func: str) -> DistanceMetric:
    """Look up a distance metric, a function of two arrays of images that gives one number for each pair.

    Args:
        func: `l_inf_norm`, `l_1_norm`, `l_2_norm`, `paired_cosine_similarities`, `paired_euclidean_distances`,
            `paired_manhattan_distances` or `paired_wasserstein_distances`.

    Raises:
        UnknownDistanceMetricError: There is no such metric.
    """
    if func not in _METRICS:
        raise UnknownDistanceMetricError(f"no distance metric '{func}'", hint=f"have: {', '.join(_METRICS)}")
    return _METRICS[func]


@pyplugs.register
def measure_distances(
    x_clean: NDArray[Any],
    x_adv: NDArray[Any],
    distance_metrics_list: Sequence[tuple[str, DistanceMetric]] | None = None,
) -> pd.DataFrame:
    """Measure how far each image was moved, in a table with a row for each image and a column for each metric.

    Args:
        x_clean: (n, ...) images before the attack.
        x_adv: (n, ...) images after it.
        distance_metrics_list: Name and function of each metric, from `get_distance_metric_list`; all by default.

    Raises:
        BaseTaskPluginError: The two arrays differ in shape.
    """
    import pandas as pd

    metrics = _METRICS.items() if distance_metrics_list is None else distance_metrics_list
    return pd.DataFrame({name: metric(x_clean, x_adv) for name, metric in metrics})


@pyplugs.register
def summarize_distances(distances: pd.DataFrame) -> dict[str, float]:
    """Summarize distances as `<metric>_mean`, `_median`, `_stdev`, `_iqr`, `_min` and `_max`.

    Args:
        distances: A row for each image and a column for each metric, as `measure_distances` gives them.

    Returns:
        The numbers by name, to be given to `tracking.mlflow.log_metrics`; nothing where there are no images.
    """
    if distances.empty:
        return {}
    return {
        f"{metric}_{statistic}": float(function(distances[metric].to_numpy()))
        for metric in distances.columns
        for statistic, function in _STATISTICS.items()
    }


def _iqr(values: NDArray[Any]) -> float:
    low, high = np.percentile(values, [25, 75])
    return float(high - low)


_STATISTICS: dict[str, Callable[[NDArray[Any]], Any]] = {
    "mean": np.mean,
    "median": np.median,
    "stdev": np.std,
    "iqr": _iqr,
    "min": np.min,
    "max": np.max,
}


def l_inf_norm(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Distances:
    """Return the largest change of any pixel, for each pair of images."""
    first, second = _rows(y_true, y_pred)
    return np.asarray(np.abs(first - second).max(axis=1, initial=0))


def l_1_norm(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Distances:
    """Return the sum of all changes, for each pair of images."""
    first, second = _rows(y_true, y_pred)
    return np.asarray(np.abs(first - second).sum(axis=1))


def l_2_norm(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Distances:
    """Return the root of the sum of all squared changes, for each pair of images."""
    first, second = _rows(y_true, y_pred)
    return np.asarray(np.linalg.norm(first - second, axis=1))


def paired_cosine_similarities(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Distances:
    """Return the cosine of the angle between the images of each pair; 0 where one of them is black."""
    first, second = _rows(y_true, y_pred)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    return np.asarray(np.divide(products, lengths, out=np.zeros_like(lengths), where=lengths > 0))


def paired_euclidean_distances(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Distances:
    """Return the Euclidean distance of each pair of images, which is the L2 norm of their difference."""
    return l_2_norm(y_true, y_pred)


def paired_manhattan_distances(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Distances:
    """Return the Manhattan distance of each pair of images, which is the L1 norm of their difference."""
    return l_1_norm(y_true, y_pred)


def paired_wasserstein_distances(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Distances:
    """Return how far the brightness of pixels must be moved to make one image's histogram the other's, for each pair.

    Source: with as many values on both sides it is the mean distance of the sorted values,
        https://en.wikipedia.org/wiki/Wasserstein_metric#One_dimension
    """
    first, second = _rows(y_true, y_pred)
    return np.asarray(np.abs(np.sort(first, axis=1) - np.sort(second, axis=1)).mean(axis=1))


def _rows(y_true: NDArray[Any], y_pred: NDArray[Any]) -> tuple[Distances, Distances]:
    first, second = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if first.shape != second.shape or first.ndim < 2:
        raise BaseTaskPluginError(f"images must come in pairs of one shape, got {first.shape} and {second.shape}")
    size = int(np.prod(first.shape[1:]))
    return first.reshape(len(first), size), second.reshape(len(second), size)


_METRICS: dict[str, DistanceMetric] = {
    metric.__name__: metric
    for metric in (
        l_inf_norm,
        l_1_norm,
        l_2_norm,
        paired_cosine_similarities,
        paired_euclidean_distances,
        paired_manhattan_distances,
        paired_wasserstein_distances,
    )
}
