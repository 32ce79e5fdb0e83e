"""Fingerprints: equal for equal values in every process, different for different ones, bounded, and never an error."""

from __future__ import annotations

import ast
import functools
import json
import os
import random
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum
from pathlib import Path, PurePosixPath
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra.flow._fingerprint import fingerprint

Point = namedtuple("Point", "x y")


class Level(IntEnum):
    """A kind of integer."""

    LOW = 1


class Awkward:
    """An object that nothing can be asked of."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __len__(self) -> int:
        raise RuntimeError


class AwkwardText(str):
    """A text that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


scalars = st.one_of(st.none(), st.integers(), st.text(max_size=8), st.binary(max_size=8))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(scalars, inner, max_size=4),
        st.sets(scalars, max_size=4),
    ),
    max_leaves=10,
)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


def reordered(value: Any) -> Any:
    """An equal value, made in another order."""
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    if isinstance(value, set):
        return functools.reduce(lambda made, item: made | {item}, reversed(list(value)), set())
    return type(value)(map(reordered, value)) if isinstance(value, (list, tuple)) else value


@given(values)
def test_equal_values_have_equal_fingerprints_that_json_can_hold(value: Any) -> None:
    found = fingerprint(value)
    assert fingerprint(reordered(value)) == found
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "sampled" not in found


@given(values, values)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)


@settings(max_examples=4, deadline=None)
@given(st.lists(values, min_size=10, max_size=20))
def test_another_process_finds_the_same(given_values: list[Any]) -> None:
    script = (
        "import ast, json, sys; from dioptra.flow._fingerprint import fingerprint;"
        "print(json.dumps([fingerprint(v) for v in ast.literal_eval(sys.stdin.read())]))"
    )
    text = repr(given_values)
    assert ast.literal_eval(text) == given_values
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=text.encode(),
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout) == [fingerprint(value) for value in given_values]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {"type": "NoneType", "value": None}),
        (True, {"type": "bool", "value": True}),
        (-3, {"type": "int", "value": -3}),
        (0.25, {"type": "float", "value": 0.25}),
        (float("nan"), {"type": "float", "value": "nan"}),
        (float("-inf"), {"type": "float", "value": "-inf"}),
        (np.float32(0.5), {"type": "numpy.float32", "value": 0.5}),
        (np.float64("inf"), {"type": "numpy.float64", "value": "inf"}),
        (np.int8(2), {"type": "numpy.int8", "value": 2}),
        (np.True_, {"type": f"numpy.{type(np.True_).__name__}", "value": True}),
        (Level.LOW, {"type": f"{__name__}.Level", "value": 1}),
        (object(), {"type": "object"}),
        (len, {"type": "builtin_function_or_method"}),
    ],
)
def test_what_is_told_in_full(value: Any, expected: dict[str, Any]) -> None:
    assert fingerprint(value) == expected
    assert all(type(found) in (str, bool, int, float, type(None)) for found in fingerprint(value).values())


def test_an_object_that_breaks_when_it_is_asked() -> None:
    assert fingerprint(Awkward()) == {"type": f"{__name__}.Awkward"}
    assert fingerprint(AwkwardText("text")) == {"type": f"{__name__}.AwkwardText"}


def test_an_integer_that_python_would_not_write_out() -> None:
    assert fingerprint(10**5_000)["hash"] != fingerprint(10**5_000 + 1)["hash"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("secret", {"type": "str", "length": 6}),
        ("\ud800", {"type": "str", "length": 1}),
        (b"\0\1", {"type": "bytes", "length": 2}),
        (PurePosixPath("/a"), {"type": "pathlib.Path", "length": 2}),
        (2**70, {"type": "int"}),
        (1 + 2j, {"type": "complex"}),
        ([1], {"type": "list", "length": 1}),
        (Point(1, 2), {"type": f"{__name__}.Point", "length": 2}),
        (Counter("aab"), {"type": "collections.Counter", "length": 2}),
        (np.zeros((2, 3), "float32"), {"type": "numpy.ndarray", "shape": [2, 3], "dtype": "float32"}),
        (np.array([], "int64"), {"type": "numpy.ndarray", "shape": [0], "dtype": "int64"}),
        (np.array(["2020-01-01"], "datetime64[D]"), {"type": "numpy.ndarray", "shape": [1], "dtype": "datetime64[D]"}),
        (np.random.default_rng(1), {"type": "numpy.random._generator.Generator"}),
        (seeded(1), {"type": "random.Random"}),
        (pd.DataFrame({"a": [1, 2]}), {"type": f"{pd.DataFrame.__module__}.DataFrame", "shape": [2, 1]}),
        (pd.Series([1.0]), {"type": f"{pd.Series.__module__}.Series", "shape": [1], "dtype": "float64"}),
        (datetime(2020, 1, 1, tzinfo=UTC), {"type": "datetime.datetime"}),
        (Decimal("1.0"), {"type": "decimal.Decimal"}),
    ],
)
def test_what_is_hashed(value: Any, expected: dict[str, Any]) -> None:
    found = fingerprint(value)
    assert len(bytes.fromhex(found.pop("hash"))) == 16
    assert found == expected


def digits() -> np.ndarray[Any, Any]:
    return np.arange(12, dtype="float64").reshape(3, 4)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (lambda: digits(), lambda: np.asfortranarray(digits())),
        (lambda: digits(), lambda: np.repeat(digits(), 2, axis=1)[:, ::2]),
        (lambda: digits().astype("int32"), lambda: digits().astype(">i4")),
        (lambda: np.array(["a", "b"], object), lambda: np.array(["a", "b"], object)),
        (lambda: np.random.default_rng(3), lambda: np.random.default_rng(3)),
        (lambda: np.random.RandomState(3), lambda: np.random.RandomState(3)),
        (lambda: seeded(3), lambda: seeded(3)),
        (lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None]}), lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None]})),
        (lambda: [object(), 1], lambda: [object(), 1]),
        (lambda: {"a": {"b", "c"}, "d": 1}, lambda: {"d": 1, "a": {"c", "b"}}),
    ],
)
def test_the_same_value_made_otherwise(one: Callable[[], Any], same: Callable[[], Any]) -> None:
    assert fingerprint(one()) == fingerprint(same())


def drawn() -> np.random.Generator:
    generator = np.random.default_rng(3)
    generator.random()
    return generator


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (digits(), digits() + np.eye(3, 4) * 1e-12),
        (digits(), digits().reshape(4, 3)),
        ([digits()], [digits().reshape(4, 3)]),
        (digits(), digits().astype("float32")),
        (digits(), digits().T.copy().T[::-1]),
        (np.array(["a", "b"]), np.array(["a", "c"])),
        (np.array(["a", "b"], object), np.array(["a", "c"], object)),
        (np.array([(1, 2)], "i4,i4"), np.array([(1, 3)], "i4,i4")),
        (np.array(["2020"], "M8[D]"), np.array(["2021"], "M8[D]")),
        (np.random.default_rng(3), np.random.default_rng(4)),
        (np.random.default_rng(3), drawn()),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]})),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]})),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 2]}, index=[1, 2])),
        (pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": ["y"]})),
        (pd.Series([1, 2]), pd.Series([1, 2], name="s")),
        (pd.Series(["a", "b"], dtype="category"), pd.Series(["a", "a"], dtype="category")),
        (pd.date_range("2020", periods=2, tz="UTC"), pd.date_range("2021", periods=2, tz="UTC")),
        ([1, 2], (1, 2)),
        ([1], [True]),
        ([1], [1.0]),
        (["1"], [1]),
        (["a"], [b"a"]),
        ([["a"], "b"], ["a", ["b"]]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({(1, 2): 3}, {(1, 3): 3}),
        ({1, (2, 3)}, {1, (3, 2)}),
        (OrderedDict(a=1), OrderedDict(a=2)),
        (defaultdict(list, a=[1]), defaultdict(list, a=[2])),
        (Point(1, 2), Point(1, 3)),
        ("a" * 100 + "b", "a" * 100 + "c"),
        (date(2020, 1, 1), date(2020, 1, 2)),
        (range(3), range(4)),
        (bytearray(b"a"), bytearray(b"b")),
        (Path("/a"), Path("/b")),
    ],
)
def test_a_small_change_is_seen(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


LARGE = 50_000_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros(LARGE, "float32"),
        lambda: np.zeros((1_000, LARGE // 1_000), "float32").T,
        lambda: list(range(1_000_000)),
        lambda: {number: number for number in range(200_000)},
        lambda: set(range(200_000)),
        lambda: "a" * LARGE,
        lambda: bytes(LARGE),
        lambda: [np.zeros(100_000) for _ in range(100)] * 20,
        lambda: [["a" * 100_000] * 100] * 20,
        lambda: [[0] * 1_000] * 1_000,
        lambda: pd.DataFrame({"a": [str(number) for number in range(100_000)]}),
    ],
)
def test_large_values_are_sampled_in_a_bounded_time(make: Callable[[], Any]) -> None:
    value = make()
    start = perf_counter()
    found = fingerprint(value)
    assert perf_counter() - start < 3  # about 0.1 s; machines that are busy take longer
    assert found["sampled"] is True
    assert found == fingerprint(value)
    assert len(json.dumps(found)) < 300


def test_the_ends_of_a_large_value_are_seen() -> None:
    large = np.zeros(LARGE, "float32")
    before = fingerprint(large)
    large[-1] = 1
    assert fingerprint(large) != before


def test_a_value_that_holds_itself() -> None:
    ring: list[Any] = [1]
    ring += [ring, ring]
    assert fingerprint(ring)["sampled"] is True


def test_the_attempt_s_folder_and_the_ids_of_job_and_run_play_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(attempt: Path, job: str, run: str) -> list[Any]:
        monkeypatch.setenv("DIOPTRA_ATTEMPT_DIR", str(attempt))
        monkeypatch.setenv("DIOPTRA_JOB_ID", job)
        monkeypatch.setenv("DIOPTRA_RUN_ID", run)
        file = attempt / "outputs" / "x.npz"
        values = (str(file), file, {"file": [f"see {file} of {job}"]}, file.resolve(), f"runs:/{run}/model")
        return [fingerprint(value) for value in values]

    real = tmp_path / "a"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    first = found(tmp_path / "link", "4f0c", "0a1b2c")
    assert first == found(tmp_path / "attempt-10", "77", "ffee")
    assert first[0]["length"] == len("<attempt>/outputs/x.npz")
    assert first[-1]["length"] == len("runs:/<run>/model")


class FakeTensor:
    """What is used of torch, upon numpy."""

    def __init__(self, array: Any) -> None:
        self.held = np.asarray(array)
        self.shape, self.device = self.held.shape, "gpu"
        self.dtype = f"torch.{self.held.dtype}"

    def detach(self) -> FakeTensor:
        return self

    cpu = contiguous = detach

    def reshape(self, shape: int) -> FakeTensor:
        return FakeTensor(self.held.reshape(shape))

    def numel(self) -> int:
        return self.held.size

    def element_size(self) -> int:
        return self.held.itemsize

    def view(self, dtype: str) -> FakeTensor:
        return FakeTensor(self.held.view(dtype))

    def numpy(self) -> Any:
        return self.held

    def __getitem__(self, index: Any) -> FakeTensor:
        return FakeTensor(self.held[index])


def test_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = ModuleType("torch")
    vars(torch).update(Tensor=FakeTensor, uint8="uint8", as_tensor=lambda array, device: array)
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = fingerprint(FakeTensor(digits()))
    assert (found["shape"], found["dtype"]) == ([3, 4], "float64")
    assert found == fingerprint(FakeTensor(digits()))
    assert found["hash"] != fingerprint(FakeTensor(digits() + 1))["hash"]
    assert fingerprint(FakeTensor(np.zeros(LARGE, "float32")))["sampled"] is True
    assert "hash" in fingerprint(FakeTensor(np.zeros(())))


def test_no_package_is_imported_for_it() -> None:
    script = (
        "import sys; from dioptra.flow._fingerprint import fingerprint;"
        "fingerprint([1, 'a', {2}, object()]); print(sorted({'numpy', 'pandas', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"
