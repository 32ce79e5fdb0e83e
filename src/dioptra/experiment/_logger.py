"""Collecting numbers during an epoch or a test, and keeping what they amount to."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from numbers import Real
from typing import Any

from dioptra.errors import UsageError, suggest
from dioptra.experiment._data import Data

__all__ = ["Logger"]


class Logger:
    """Collects numbers by name, and makes one value of those of each name.

    Args:
        mode: What the numbers of a name become: `average`, `all` (their list), or a function that takes the list.

    Raises:
        UsageError: There is no such mode.
    """

    def __init__(self, mode: str | Callable[[list[float]], Any] = "average") -> None:
        self._process = _process(mode)
        self._logged: dict[str, list[float]] = {}

    def log(self, values: Mapping[str, Any]) -> None:
        """Add numbers by name.

        Args:
            values: Numbers, scalars of numpy, or tensors of one element; kept as Python's floats.

        Raises:
            UsageError: A value is not a number; none of the others is added either.
        """
        numbers = {name: _number(value, name) for name, value in values.items()}
        for name, number in numbers.items():
            self._logged.setdefault(name, []).append(number)

    def store_train(self, snapshot: Data, **custom: Any) -> None:
        """Append the value of each name to the training data, and begin anew: to be called after each epoch.

        Args:
            snapshot: Gets the values.
            custom: More values to append, under their names.

        Raises:
            UsageError: A name was also logged, or a value cannot be kept; what was logged is still there.
        """
        final = self.return_final()
        _refuse_twice(custom, final)
        with snapshot.train_storage() as storage:
            for name, value in (final | custom).items():
                storage.append(name, value)
        self._logged.clear()

    def store_test(self, snapshot: Data, store_raw: bool = True, **custom: Any) -> None:
        """Store the value of each name in the data of testing, in place of those of an earlier test.

        Args:
            snapshot: Gets the values.
            store_raw: Store the list of a name too, as `<name>_data`.
            custom: More values to store, under their names.

        Raises:
            UsageError: Two values would have one name, or a value cannot be kept; nothing is stored.
        """
        final = self.return_final()
        raw = {f"{name}_data": numbers for name, numbers in self._logged.items()} if store_raw else {}
        _refuse_twice(raw, final)
        _refuse_twice(custom, final | raw)
        with snapshot.test_storage() as storage:
            for name, value in (final | raw | custom).items():
                storage.store(name, value)

    def return_final(self) -> dict[str, Any]:
        """Return the value of each name."""
        return {name: self._process(list(numbers)) for name, numbers in self._logged.items()}


def _process(mode: str | Callable[[list[float]], Any]) -> Callable[[list[float]], Any]:
    if callable(mode):
        return mode
    modes: dict[str, Callable[[list[float]], Any]] = {"average": _average, "all": list}
    if not isinstance(mode, str) or mode not in modes:
        raise UsageError(f"there is no mode {mode!r} of a logger", hint=f"{suggest(str(mode), modes)}, or a function")
    return modes[mode]


def _average(numbers: list[float]) -> float:
    if math.inf in numbers and -math.inf in numbers:
        return math.nan
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:  # the sum is too large, the average is not
        return math.fsum(number / len(numbers) for number in numbers)


def _number(value: Any, name: str) -> float:
    try:
        inner = value if isinstance(value, Real) else value.item()
        if isinstance(inner, Real):
            return float(inner)
    except Exception as error:
        raise _not_a_number(value, name) from error
    raise _not_a_number(value, name)


def _not_a_number(value: Any, name: str) -> UsageError:
    of_shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return UsageError(f"{name!r} was given a {type(value).__name__}{of_shape}", hint="log a number")


def _refuse_twice(more: Collection[str], names: Collection[str]) -> None:
    if twice := sorted(set(more) & set(names)):
        raise UsageError(f"{twice[0]!r} would be stored twice", hint="log it or give it under another name")
