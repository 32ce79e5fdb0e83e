"""Distances and performance, against scipy, scikit-learn and values worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from dioptra.errors import BaseTaskPluginError
from dioptra_builtins.metrics import distance, performance
from dioptra_builtins.metrics.exceptions import UnknownDistanceMetricError, UnknownPerformanceMetricError
from dioptra_builtins.metrics.robustness import measure_robustness

DISTANCES = (
    "l_inf_norm",
    "l_1_norm",
    "l_2_norm",
    "paired_cosine_similarities",
    "paired_euclidean_distances",
    "paired_manhattan_distances",
    "paired_wasserstein_distances",
)
PERFORMANCES = ("accuracy", "roc_auc", "categorical_accuracy", "mcc", "f1", "precision", "recall")


@pytest.fixture
def pairs() -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(0)
    return rng.random((5, 4, 3, 2), dtype=np.float32), rng.random((5, 4, 3, 2), dtype=np.float32)


def test_distances_of_one_pair_worked_by_hand() -> None:
    clean = np.array([[[0.0, 0.3], [0.4, 0.0]]])
    moved = np.array([[[0.0, 0.0], [0.4, 0.4]]])

    measured = {name: distance.get_distance_metric(name)(clean, moved).tolist() for name in DISTANCES}

    assert measured == {
        "l_inf_norm": [pytest.approx(0.4)],
        "l_1_norm": [pytest.approx(0.7)],
        "l_2_norm": [pytest.approx(0.5)],
        "paired_cosine_similarities": [pytest.approx(0.16 / (0.5 * 0.32**0.5))],
        "paired_euclidean_distances": [pytest.approx(0.5)],
        "paired_manhattan_distances": [pytest.approx(0.7)],
        "paired_wasserstein_distances": [pytest.approx(0.1 / 4)],
    }


def test_distances_agree_with_scipy_and_scikit_learn(pairs: tuple[NDArray[Any], NDArray[Any]]) -> None:
    from scipy.stats import wasserstein_distance
    from sklearn.metrics import pairwise

    rows = [images.reshape(5, -1).astype(np.float64) for images in pairs]
    expected = {
        "paired_cosine_similarities": 1 - pairwise.paired_cosine_distances(*rows),
        "paired_euclidean_distances": pairwise.paired_euclidean_distances(*rows),
        "paired_manhattan_distances": pairwise.paired_manhattan_distances(*rows),
        "paired_wasserstein_distances": [wasserstein_distance(*pair) for pair in zip(*rows, strict=True)],
    }
    for name, values in expected.items():
        assert distance.get_distance_metric(name)(*pairs) == pytest.approx(values), name


def test_a_black_image_has_no_direction() -> None:
    black = np.zeros((1, 2, 2))
    assert distance.paired_cosine_similarities(black, np.ones((1, 2, 2))).tolist() == [0.0]


@pytest.mark.parametrize("name", DISTANCES)
def test_no_images_have_no_distances_and_other_shapes_are_refused(name: str) -> None:
    metric = distance.get_distance_metric(name)

    assert metric(np.zeros((0, 8, 8, 1)), np.zeros((0, 8, 8, 1))).shape == (0,)
    with pytest.raises(BaseTaskPluginError, match=r"pairs of one shape, got \(2, 8\) and \(3, 8\)"):
        metric(np.zeros((2, 8)), np.zeros((3, 8)))


def test_a_list_of_metrics_keeps_order_and_names_and_leaves_unknown_ones_out() -> None:
    request = [{"name": "b", "func": "l_2_norm"}, {"name": "x", "func": "no_norm"}, {"name": "a", "func": "l_1_norm"}]
    with capture_logs() as logged:
        found = distance.get_distance_metric_list(request)
        none = performance.get_performance_metric_list([{"name": "x", "func": "no_score"}])

    assert found == [("b", distance.l_2_norm), ("a", distance.l_1_norm)]
    assert none == []
    assert [(entry["func"], entry["log_level"]) for entry in logged] == [
        ("no_norm", "warning"),
        ("no_score", "warning"),
    ]


def test_an_unknown_metric_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UnknownDistanceMetricError, match=f"no distance metric 'l2'; have: {', '.join(DISTANCES)}"):
        distance.get_distance_metric("l2")
    with pytest.raises(UnknownPerformanceMetricError, match=f"metric 'acc'; have: {', '.join(PERFORMANCES)}"):
        performance.get_performance_metric("acc")


def test_a_table_has_a_row_for_each_image_and_a_column_for_each_metric(
    pairs: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    some = distance.measure_distances(*pairs, distance.get_distance_metric_list([{"name": "far", "func": "l_1_norm"}]))

    assert list(some.columns) == ["far"]
    assert some["far"].tolist() == pytest.approx(distance.l_1_norm(*pairs).tolist())
    assert list(distance.measure_distances(*pairs).columns) == list(DISTANCES)


def test_a_summary_has_six_numbers_for_each_metric() -> None:
    import pandas as pd

    summary = distance.summarize_distances(pd.DataFrame({"far": [1.0, 2.0, 3.0, 4.0, 10.0]}))

    assert summary == {
        "far_mean": 4.0,
        "far_median": 3.0,
        "far_stdev": pytest.approx(10**0.5),
        "far_iqr": 2.0,
        "far_min": 1.0,
        "far_max": 10.0,
    }
    assert distance.summarize_distances(pd.DataFrame({"far": []})) == {}


def test_performance_of_several_classes_worked_by_hand() -> None:
    truth, said = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 0])

    measured = {
        name: performance.get_performance_metric(name)(truth, said) for name in PERFORMANCES if name != "roc_auc"
    }

    assert measured == {
        "accuracy": pytest.approx(4 / 6),
        "categorical_accuracy": pytest.approx(4 / 6),
        "mcc": pytest.approx((4 * 6 - 12) / ((36 - 14) * (36 - 12)) ** 0.5),
        "f1": pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3),
        "precision": pytest.approx((1 / 2 + 2 / 3 + 1) / 3),
        "recall": pytest.approx((1 / 2 + 1 + 1 / 2) / 3),
    }


def test_two_classes_0_and_1_are_judged_by_class_1() -> None:
    truth, said = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])

    assert performance.precision(truth, said) == 0.5
    assert performance.recall(truth, said) == 1.0
    assert performance.recall(truth, said, average="macro") == pytest.approx((2 / 3 + 1) / 2)


def test_area_under_the_curve_takes_scores_of_one_or_several_classes() -> None:
    assert performance.roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    scores = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]])
    assert performance.roc_auc(np.array([0, 1, 2, 0]), scores) == 1.0


def test_categorical_accuracy_takes_scores_on_either_side() -> None:
    one_hot, scores = np.eye(3)[[0, 1, 2]], np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0, 0, 1]])

    assert performance.categorical_accuracy(one_hot, scores) == pytest.approx(2 / 3)
    assert performance.categorical_accuracy(np.array([0, 1, 2]), scores) == pytest.approx(2 / 3)


def test_performance_is_measured_under_the_names_that_were_asked_for() -> None:
    metrics = performance.get_performance_metric_list([{"name": "right", "func": "accuracy"}])

    assert performance.measure_performance(np.array([0, 1]), np.array([0, 0]), metrics) == {"right": 0.5}
    for labels in (np.array([]), np.array([0, 1, 2])):
        with pytest.raises(BaseTaskPluginError, match="labels must come in pairs"):
            performance.measure_performance(labels, np.array([]), metrics)


def test_robustness_is_accuracy_before_and_after() -> None:
    measured = measure_robustness(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0]), np.array([0, 0, 0, 0]))

    assert measured == {"clean_accuracy": 0.75, "robust_accuracy": 0.25, "samples": 4.0}
    for labels in (np.array([]), np.array([0, 1, 2]), np.eye(4)):
        with pytest.raises(BaseTaskPluginError, match="labels must be lists of one length"):
            measure_robustness(labels, np.arange(4), np.arange(4))
