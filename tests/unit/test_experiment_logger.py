"""Loggers: what is collected, what becomes of it, and where it goes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dioptra.errors import UsageError
from dioptra.experiment._logger import Logger
from dioptra.experiment._snapshot import DummySnapshot


class Tensor:
    """A tensor that knows its graph."""

    shape: tuple[int, ...] = ()

    def item(self) -> float:
        return 0.25


class Complex:
    def item(self) -> complex:
        return 1j


def logged(*values: Any, mode: Any = "average") -> Any:
    logger = Logger(mode)
    for value in values:
        logger.log({"x": value})
    return logger.return_final()["x"]


@pytest.mark.parametrize(
    ("values", "average"),
    [
        ([1, 2], 1.5),
        ([0.1] * 10, 0.1),
        ([True, False], 0.5),
        ([1e16, 1.0, -1e16], 1 / 3),
        ([1.5e308, 1.5e308], 1.5e308),
        ([math.inf, 1.0], math.inf),
        ([math.inf, 1.5e308, 1.5e308], math.inf),
        ([7], 7.0),
    ],
)
def test_the_average_is_exact(values: list[float], average: float) -> None:
    found = logged(*values)

    assert found == average
    assert type(found) is float


@pytest.mark.parametrize("values", [[math.nan, 1], [math.inf, -math.inf], [1.5e308, 1.5e308, math.inf, -math.inf]])
def test_the_average_of_what_has_none_is_nan(values: list[float]) -> None:
    assert math.isnan(logged(*values))


def test_all_values_or_those_of_a_function() -> None:
    assert logged(3, 1, 2, mode="all") == [3.0, 1.0, 2.0]
    assert logged(3, 1, 2, mode=max) == 3.0


def test_a_function_cannot_change_what_was_logged() -> None:
    logger = Logger(list.sort)
    logger.log({"x": 2})
    logger.log({"x": 1})
    logger.return_final()
    snapshot = DummySnapshot()
    logger.store_test(snapshot)

    assert snapshot.test_data["x_data"] == [2.0, 1.0]


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1), np.array(1), np.array([1]), np.longdouble(1),
                                   np.bool_(True), True, Fraction(1)], ids=repr)  # fmt: skip
def test_numbers_become_floats(value: Any) -> None:
    (found,) = logged(value, mode="all")

    assert found == 1.0
    assert type(found) is float


def test_no_tensor_is_held() -> None:
    assert logged(Tensor(), mode="all") == [0.25]


@pytest.mark.parametrize(
    "value",
    ["1.5", None, [1], np.arange(2), 1j, Complex(), 10**400, np.array(["a"])],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_number_is_refused_with_all_of_its_call(value: Any) -> None:
    logger = Logger()
    with pytest.raises(UsageError, match=f"'odd' was given a {type(value).__name__}"):
        logger.log({"fine": 1, "odd": value})

    assert logger.return_final() == {}


def test_the_shape_is_named() -> None:
    with pytest.raises(UsageError, match=r"ndarray of shape \(2, 3\)"):
        Logger().log({"x": np.zeros((2, 3))})


@pytest.mark.parametrize(("mode", "words"), [("avrage", "did you mean 'average'"), ("", "all, average"), (3, "3"),
                                             (None, "None"), (["all"], "function")])  # fmt: skip
def test_a_mode_that_does_not_exist(mode: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Logger(mode)

    assert words in str(caught.value)


def test_an_epoch_is_appended_and_the_next_begins_anew() -> None:
    logger, snapshot = Logger(), DummySnapshot()
    for epoch in range(3):
        logger.log({"loss": epoch, "other": 1})
        logger.log({"loss": epoch + 1})
        logger.store_train(snapshot, epoch=epoch, note=["x"])

    assert snapshot.train_data == {
        "loss": [0.5, 1.5, 2.5],
        "other": [1.0, 1.0, 1.0],
        "epoch": [0, 1, 2],
        "note": [["x"], ["x"], ["x"]],
    }
    assert logger.return_final() == {}


def test_a_test_is_stored_in_place_of_the_last() -> None:
    snapshot = DummySnapshot()
    for first in (5, 1):
        logger = Logger()
        logger.log({"hit": first})
        logger.log({"hit": 2})
        logger.store_test(snapshot, name="clean")

    assert snapshot.test_data == {"hit": 1.5, "hit_data": [1.0, 2.0], "name": "clean"}
    assert logger.return_final() == {"hit": 1.5}


def test_raw_values_can_be_left_out() -> None:
    logger, snapshot = Logger(), DummySnapshot()
    logger.log({"hit": 1})
    logger.store_test(snapshot, store_raw=False)

    assert snapshot.test_data == {"hit": 1.0}


@pytest.mark.parametrize("store", ["store_train", "store_test"])
def test_an_own_value_cannot_take_a_logged_name(store: str) -> None:
    logger, snapshot = Logger(), DummySnapshot()
    logger.log({"loss": 1})
    with pytest.raises(UsageError, match="'loss' would be stored twice"):
        getattr(logger, store)(snapshot, loss=2)

    assert not snapshot.train_data
    assert not snapshot.test_data
    assert logger.return_final() == {"loss": 1.0}


@pytest.mark.parametrize(("names", "own"), [(("hit", "hit_data"), {}), (("hit",), {"hit_data": 1})])
def test_raw_values_cannot_take_a_name_either(names: tuple[str, ...], own: dict[str, Any]) -> None:
    logger, snapshot = Logger(), DummySnapshot()
    logger.log(dict.fromkeys(names, 1))
    with pytest.raises(UsageError, match="'hit_data' would be stored twice"):
        logger.store_test(snapshot, **own)

    logger.store_test(snapshot, store_raw=False, **own)
    assert "hit_data" in snapshot.test_data


def test_what_could_not_be_stored_is_still_there() -> None:
    logger, snapshot = Logger(lambda values: object()), DummySnapshot()
    logger.log({"loss": 1})
    with pytest.raises(UsageError, match="'loss' cannot be kept"):
        logger.store_train(snapshot)

    assert "loss" in logger.return_final()
