"""Curves: their intervals, their order, and the check that a stronger attack never leaves more right."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dioptra.errors import ArchiveError, UsageError
from dioptra.results import (
    TABLE_HEADER,
    CurvePoint,
    RobustnessCurve,
    gallery_rows,
    monotone,
    rises,
    table_rows,
    wilson_interval,
)
from dioptra.storage import read_arrays


def point(epsilon: float, robust: float, **fields: float) -> CurvePoint:
    return CurvePoint(
        epsilon=epsilon,
        clean_accuracy=0.95,
        robust_accuracy=robust,
        samples=600,
        **fields,  # type: ignore[arg-type]
    )


def curve(*robust: float) -> RobustnessCurve:
    return RobustnessCurve(points=tuple(point(index / 10, accuracy) for index, accuracy in enumerate(robust)))


@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    [  # from R: prop.test(right, samples, correct = FALSE)$conf.int
        (0, 20, 0.0, 0.16113),
        (1, 29, 0.00611, 0.17176),
        (15, 148, 0.06241, 0.16054),
        (81, 263, 0.25527, 0.36621),
        (20, 20, 0.83887, 1.0),
    ],
)
def test_wilson_interval_agrees_with_published_values(right: int, samples: int, low: float, high: float) -> None:
    assert wilson_interval(right / samples, samples) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 10_000), st.data())
def test_an_interval_holds_the_accuracy_and_shrinks_with_more_samples(samples: int, data: st.DataObject) -> None:
    accuracy = data.draw(st.integers(0, samples)) / samples
    low, high = wilson_interval(accuracy, samples)
    more_low, more_high = wilson_interval(accuracy, 10 * samples)

    assert 0 <= low <= accuracy <= high <= 1
    assert more_high - more_low < high - low


@pytest.mark.parametrize("arguments", [(0.5, 0), (1.5, 10), (-0.1, 10), (math.nan, 10), (0.5, 10, 1.0), (0.5, 10, 0.0)])
def test_no_interval_is_made_up(arguments: tuple[float, int]) -> None:
    with pytest.raises(UsageError, match="no interval"):
        wilson_interval(*arguments)


def test_points_are_put_in_the_order_of_epsilon() -> None:
    shuffled = RobustnessCurve(points=(point(0.3, 0.1), point(0.0, 0.9), point(0.1, 0.5)))

    assert [entry.epsilon for entry in shuffled.points] == [0.0, 0.1, 0.3]


def test_a_curve_without_points_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one point"):
        RobustnessCurve(points=())


@pytest.mark.parametrize(
    ("robust", "expected"),
    [
        ((0.95, 0.5, 0.1, 0.0), True),
        ((0.95, 0.95, 0.95), True),
        ((0.95, 0.50, 0.52), True),  # a rise inside the interval of 0.46 to 0.54
        ((0.95, 0.50, 0.56), False),
        ((0.95, 0.50, 0.53, 0.56), False),  # the weakest point counts, not the neighbour
        ((0.0, 0.5), False),
        ((0.3,), True),
    ],
)
def test_monotone_allows_rises_within_the_interval_only(robust: tuple[float, ...], expected: bool) -> None:
    assert monotone(curve(*robust)) is expected


def test_rises_name_the_weaker_attack_that_left_fewer_right() -> None:
    [(lower, higher)] = rises(curve(0.95, 0.2, 0.1, 0.6))

    assert (lower.robust_accuracy, higher.robust_accuracy) == (0.1, 0.6)


def test_table_rows_are_text_under_the_header() -> None:
    rows = table_rows(RobustnessCurve(points=(point(0.05, 0.8125, mean_l2=0.3412, mean_linf=0.05), point(0.0, 0.95))))

    assert rows == [
        ("0", "95.0% (93.0-96.5)", "95.0% (93.0-96.5)", "-", "-"),
        ("0.05", "95.0% (93.0-96.5)", "81.2% (77.9-84.2)", "0.341", "0.050"),
    ]
    assert {len(row) for row in rows} == {len(TABLE_HEADER)}


def test_a_gallery_has_one_image_of_each_class_and_a_row_for_each_epsilon() -> None:
    clean = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1) / 10
    labels = np.array([1, 0, 1, 2, 0, 2])
    data_sets = {eps: {"x_clean": clean, "x_adv": clean + np.float32(eps), "y": labels} for eps in (0.2, 0.0, 0.1)}

    rows = gallery_rows(data_sets)

    assert [row.label for row in rows] == ["clean", "0.1", "0.2"]
    assert rows[0].images.ravel() == pytest.approx([0.1, 0.0, 0.3])
    assert rows[2].images.ravel() == pytest.approx([0.3, 0.2, 0.5])
    assert gallery_rows({}) == []


def test_arrays_are_read_and_pickles_are_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "good.npz", y=np.arange(3))
    np.savez(tmp_path / "bad.npz", y=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npz").write_text("hello")

    assert read_arrays(tmp_path / "good.npz")["y"].tolist() == [0, 1, 2]
    for name in ("bad.npz", "text.npz", "absent.npz"):
        with pytest.raises(ArchiveError, match=f"{name} is not a readable npz file"):
            read_arrays(tmp_path / name)
