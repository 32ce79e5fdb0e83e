"""The error tree: its shape, its codes, and the exit codes of DESIGN's table."""

from __future__ import annotations

import inspect

import pytest

from dioptra import errors
from dioptra.errors import DioptraError, suggest

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, DioptraError)]
EXIT_CODES = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}


def test_all_public_errors_are_exported_and_nothing_else() -> None:
    assert sorted(errors.__all__) == sorted([*(each.__name__ for each in CLASSES), "did_you_mean", "suggest"])


@pytest.mark.parametrize("error", CLASSES)
def test_each_error_stands_in_the_tree_that_is_drawn(error: type[DioptraError]) -> None:
    assert errors.__doc__ is not None
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize("error", CLASSES)
def test_each_error_has_a_code_a_status_and_an_exit_code(error: type[DioptraError]) -> None:
    assert error.code == error.code.lower()
    assert 400 <= error.http_status <= 599
    assert error.exit_code in EXIT_CODES


def test_no_code_is_used_twice() -> None:
    codes = [each.code for each in CLASSES]

    assert sorted(codes) == sorted(set(codes))


def test_a_message_says_where_what_and_what_would_be_right() -> None:
    error = DioptraError("'x' is wrong", where="file line 3", hint="write 'y'")

    assert str(error) == "file line 3: 'x' is wrong; write 'y'"
    assert error.to_dict() == {"code": "error", "message": "'x' is wrong", "where": "file line 3", "hint": "write 'y'"}
    assert str(DioptraError()) == "Something went wrong that Dioptra can name."


def test_what_would_be_right_is_suggested() -> None:
    assert suggest("trian", ["infer", "train"]) == "did you mean 'train'? (have: infer, train)"
    assert suggest("main", ["train", "infer"]) == "(have: infer, train)"
    assert suggest("x", []) == "(have: none)"
