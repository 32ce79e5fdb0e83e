"""Types along the edges of a flow: what is refused when it is built, and what has to be let pass."""

from __future__ import annotations

import array
import collections
import contextlib
import enum
import functools
import gc
import io
import numbers
import os
import pickle
import random
import re
import types
import typing
import weakref
from abc import ABC, abstractmethod
from collections import abc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NewType, Protocol, TypedDict, TypeVar, Union
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from typing_extensions import TypeAliasType

from dioptra import pyplugs
from dioptra.errors import FlowError, TaskTypeError
from dioptra.flow import Flow, FunctionTask, Parameter, Task, task, triggers
from dioptra.flow._types import shown
from dioptra.sdk.utilities.decorators import require_package

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")
Name = NewType("Name", str)


class Animal: ...


class Dog(Animal): ...


class Cat(Animal): ...


class Color(enum.Enum):
    RED = "red"


class Tensor:
    def __array__(self) -> Any: ...


class Device: ...


Device.__module__, Device.__qualname__ = "torch", "device"


class Attack(ABC):
    @abstractmethod
    def generate(self) -> None: ...


class Homemade:
    def generate(self) -> None: ...


class Dataset:
    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> int:
        return index


class Runs(Protocol):
    def go(self) -> None: ...


@typing.runtime_checkable
class Stops(Protocol):
    def stop(self) -> None: ...


class Sizes(TypedDict):
    training: int


class Point(NamedTuple):
    x: int
    y: int


class Refuses(type):
    def __subclasscheck__(cls, other: type) -> bool:
        raise RuntimeError("nobody compares me")


class Odd(metaclass=Refuses): ...


class Unknown(Any): ...  # type: ignore[misc]


def again() -> type:
    class Animal: ...

    Animal.__qualname__ = "Animal"
    return Animal


def gives(hint: Any) -> FunctionTask:
    def give() -> Any: ...

    give.__annotations__ = {"return": hint}
    return task(give)


def takes(hint: Any) -> FunctionTask:
    def take(x: Any) -> Any: ...

    take.__annotations__ = {"x": hint}
    return task(take)


def is_refused(given: Any, taken: Any) -> bool:
    with Flow("types"):
        source = gives(given)()
        try:
            takes(taken)(source)
        except TaskTypeError:
            return True
    return False


FINE = [
    # classes, up and down
    (str, str), (Dog, Animal), (Animal, Dog), (LogisticRegression, ClassifierMixin), (ClassifierMixin, BaseEstimator),
    (Point, tuple), (Point, tuple[int, str]), (tuple, Point), (Color, Color), (again(), Animal), (bytearray, bytes),
    # abstract classes
    (list[int], abc.Sequence), (str, abc.Iterable), (abc.Iterable, np.ndarray), (dict, abc.Mapping), (Homemade, Attack),
    (len.__class__, abc.Callable), (type, abc.Callable), (np.ndarray, abc.Sequence[int]), (Dataset, abc.Sequence[int]),
    (abc.Sequence[int], np.ndarray), (pd.DataFrame, abc.Mapping[str, Any]), (abc.Sized, abc.Iterable),
    (abc.Sequence, abc.Hashable), (Path, os.PathLike),
    (abc.Generator[int, None, None], abc.Iterable[int]),
    # numbers
    (int, float), (float, int), (bool, int), (int, complex), (np.float32, float), (float, np.int64), (np.bool_, bool),
    (int, numbers.Number), (np.generic, float),
    # what says nothing
    (Any, str), (str, Any), (object, str), (str, object), (T, str), (str, T), (5, str), (str, 5),
    (Runs, str), (str, Runs), (Stops, str), (str, Stops), (Odd, str), (str, Odd), (MagicMock(), str),
    (str, MagicMock()), (Unknown, str),
    (typing.NoReturn, str), (typing.Self, str), (typing.LiteralString, int), (io.TextIOWrapper, typing.TextIO),
    (str, ArrayLike), (ArrayLike, str),
    # unions
    (str, str | Path), (str | Path, str), (None, int | None), (int | None, int),
    (typing.Optional[int], Union[int, str]),  # noqa: UP007, UP045
    # what stands for something else
    (Name, str), (str, Name), (typing.Annotated[int, "a number"], int), (typing.Literal["a"], str),
    (str, typing.Literal["a", None]), (typing.Literal["a", 1], int), (Sizes, dict), (dict[str, int], Sizes),
    (type[Dog], type),
    (typing.List[int], list), (typing.Callable[[int], str], abc.Callable[..., int]),  # noqa: UP006
    # what is in containers
    (list[int], list[float]), (list, list[str]), (list[str], list), (list[Dog], abc.Sequence[Animal]),
    (list[Any], list[str]), (list[int | str], list[str]), (dict[str, int], abc.Mapping[str, float]),
    (dict[str, int], abc.Iterable[str]), (tuple[int, str], tuple[float, str]), (tuple[int, ...], tuple[float, ...]),
    (tuple[int, float], tuple[int, ...]), (tuple[int, ...], tuple[int, int]), (tuple[int, int], abc.Sequence[int]),
    (list[tuple[str, int]], abc.Iterable[tuple[str, float]]), (list[list[int]], abc.Sequence[abc.Sequence[int]]),
    (tuple[int, *tuple[str, ...]], tuple[int, str, str]), (tuple[()], tuple[int]), (list[None], list[int | None]),
    (tuple[int, typing.Unpack[tuple[str, ...]]], tuple[int, str, str]),  # noqa: UP044
    (collections.defaultdict[str, int], dict[str, int]),
    # arrays
    (NDArray[np.float32], np.ndarray), (NDArray[np.float32], NDArray[np.int64]), (NDArray[Any] | None, np.ndarray),
    # what works all the same, because NumPy, scikit-learn and the functions of 0.x make one of the other
    (list, np.ndarray), (list[float], np.ndarray), (tuple, np.ndarray), (tuple[int, str], np.ndarray),
    (range, np.ndarray), (pd.DataFrame, np.ndarray), (pd.Series, np.ndarray), (pd.Index, np.ndarray),
    (int, np.ndarray), (float, np.ndarray), (bool, NDArray[Any]), (np.float32, np.ndarray), (Tensor, np.ndarray),
    (scipy.sparse.csr_matrix, np.ndarray), (scipy.sparse.csr_array, np.ndarray), (scipy.sparse.spmatrix, np.ndarray),
    (collections.deque, np.ndarray), (array.array, np.ndarray), (Dataset | list[int], np.ndarray),
    (np.ndarray, list), (np.ndarray, list[int]), (np.ndarray, tuple), (np.ndarray, abc.Sequence),
    (np.ndarray, abc.Iterable[float]), (np.ndarray, abc.MutableSequence), (np.ndarray, float), (np.ndarray, Tensor),
    (np.ndarray, pd.DataFrame), (pd.Series, list), (pd.DataFrame, pd.Series), (list[str], pd.Index), (int, list[int]),
    (dict[str, float], abc.Mapping[str, np.ndarray]), (list[list[int]], abc.Sequence[np.ndarray]),
    (range, list), (range, list[int]), (list, range), (set, list), (list, set), (tuple, list), (list[int], tuple),
    (abc.Iterator[int], list), (abc.Iterator[int], abc.Sequence), (list, abc.Iterator), (abc.Generator, list[int]),
    (types.GeneratorType, list), (map, list[int]), (zip, tuple), (abc.KeysView, list), (abc.ValuesView, list),
    (tuple[str, ...], list[str]), (tuple[str, str], list[str]), (list[str], set[str]), (set[int], frozenset[int]),
    (Point, list),
    (Path, str), (str, Path), (str, os.PathLike[str]), (str, os.PathLike), (str | None, Path),
    (str, Color), (int, Color), (str, typing.Literal[1]), (str, typing.Literal[1] | None), (str, typing.Literal[None]),
    (str, typing.Annotated[typing.Literal[1, 2], "a choice"]), (str, typing.Literal[Color.RED]),
    (str, np.dtype), (str, np.dtype[np.float32]), (type, np.dtype), (type[np.float32], np.dtype), (np.dtype, type),
    (np.dtype, str), (str, Device),
    (int, np.random.Generator), (int, np.random.BitGenerator), (int, np.random.PCG64), (int, np.random.SeedSequence),
    (int, np.random.RandomState), (np.int64, np.random.Generator), (int, np.random.RandomState | None),
    # a failure is passed on in place of a result
    (str, Exception), (np.ndarray, Exception | None), (int, KeyboardInterrupt),
]  # fmt: skip

REFUSED = [
    (str, np.ndarray), (str, NDArray[np.float32]), (np.ndarray, str), (None, np.ndarray), (bytes, np.ndarray),
    (dict, np.ndarray), (dict[str, float], np.ndarray), (np.ndarray, dict), (Path, np.ndarray), (np.ndarray, Path),
    (LogisticRegression, np.ndarray), (BaseEstimator, np.ndarray), (np.ndarray, LogisticRegression),
    (Color, np.ndarray), (Dog, np.ndarray), (type, np.ndarray), (types.FunctionType, np.ndarray),
    (np.random.Generator, np.ndarray),
    (str, pd.DataFrame), (dict, pd.DataFrame), (str, Tensor), (str, scipy.sparse.csr_matrix), (Dog, list), (None, list),
    (Dog, Cat), (Animal, str), (bytes, str), (int, str), (str, int), (str, float), (int, Path), (Path, int),
    (dict, Path), (Color, str), (dict, Color), (None, Color), (Homemade, Animal), (Animal, Attack),
    (ClassifierMixin, np.ndarray), (str, ClassifierMixin),
    (list, dict), (dict, list), (dict, abc.Sequence), (list, abc.Mapping), (abc.Mapping, abc.Sequence),
    (list, abc.Hashable), (np.ndarray, abc.Hashable), (int, abc.Callable),
    (int, str | Path), (str | None, int), (int, typing.Optional[str]),  # noqa: UP045
    (Exception, np.ndarray), (None, int), (int, None),
    (int, np.dtype), (np.ndarray, np.dtype), (str, np.random.Generator), (np.random.Generator, int),
    (int, random.Random),
    (Name, int), (typing.Annotated[int, "a number"], str), (typing.Literal["a"], int), (int, typing.Literal["a"]),
    (typing.Literal[1], str), (Sizes, str),
    (type[Dog], Dog), (Dog, type[Dog]), (typing.List[int], str),  # noqa: UP006
    (list[int], list[str]), (list[str], str), (str, list[str]), (dict[str, int], dict[int, int]),
    (dict[str, str], abc.Mapping[str, int]), (dict[str, str], abc.Mapping[str, np.ndarray]),
    (dict[str, int], abc.Iterable[int]), (tuple[int, str], tuple[str, int]),
    (tuple[int, str], tuple[int, str, int]), (tuple[int, ...], tuple[str, ...]), (tuple[int, str], tuple[int, ...]),
    (tuple[int, ...], tuple[int, str]), (tuple[int, int], abc.Sequence[str]), (list[str], tuple[int, int]),
    (tuple[str, ...], list[int]), (set[str], list[int]), (list[int], set[str]), (abc.Iterator[int], list[str]),
    (list[tuple[str, int]], abc.Iterable[tuple[str, str]]), (list[None], list[int]),
    (list[list[int]], abc.Sequence[abc.Sequence[str]]), (list[str], list[np.ndarray]),
]  # fmt: skip


def id_of(pair: tuple[Any, Any]) -> str:
    return re.sub(r" id='\d+'", "", " into ".join(map(shown, pair)))


class TestPairs:
    @pytest.mark.parametrize("pair", FINE, ids=id_of)
    def test_what_may_be_right_is_let_pass(self, pair: tuple[Any, Any]) -> None:
        assert not is_refused(*pair)

    @pytest.mark.parametrize("pair", REFUSED, ids=id_of)
    def test_what_is_certainly_wrong_is_refused(self, pair: tuple[Any, Any]) -> None:
        assert is_refused(*pair)

    def test_names_of_types(self) -> None:
        row = TypeAliasType("row", tuple[int, *tuple[str, ...]])
        number = TypeAliasType("number", typing.Annotated[int, "a number"])
        assert not is_refused(row, tuple[int, str, str])
        assert is_refused(row, dict)
        assert not is_refused(number, float)
        assert is_refused(number, str)
        assert not is_refused(TypeAliasType("odd", 5), str)
        several = TypeAliasType("several", list[T], type_params=(T,))[int]  # type: ignore[arg-type]
        assert not is_refused(several, list[str])
        assert is_refused(several, str)

    def test_without_an_annotation_it_may_be_anything(self) -> None:
        def bare(x):  # type: ignore[no-untyped-def]
            return x

        with Flow("bare"):
            takes(int)(task(bare)(gives(str)()))

    def test_an_argument_whose_default_is_none_takes_none(self) -> None:
        def take(x: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

        with Flow("default"):
            task(take)(gives(None)())
            with pytest.raises(TaskTypeError, match=r"takes x: int \| None, and task 'give-2' returns str"):
                task(take)(gives(str)())


LEAVES: list[Any] = [
    int, bool, str, None, Any, object, T, Path, np.ndarray, NDArray[np.float32], Dog, Animal, Odd, Runs, Sizes, Name,
    Color, Point, abc.Iterable, abc.Hashable, ValueError, typing.Literal["a", 1, None], typing.TextIO, type[int],
    abc.Callable[[int], str], ArrayLike, "int", "no.such.name", "list[", 5, MagicMock(), [], {}, (),
]  # fmt: skip
PARTS = [leaf for leaf in LEAVES if leaf is None or isinstance(leaf, (type, TypeVar, NewType, types.GenericAlias))]
HINTS = st.recursive(
    st.sampled_from(PARTS),
    lambda inner: st.one_of(
        inner.map(lambda one: list[one]),  # type: ignore[valid-type]
        inner.map(lambda one: abc.Iterable[one]),  # type: ignore[valid-type]
        inner.map(lambda one: tuple[one, ...]),  # type: ignore[valid-type]
        st.lists(inner, max_size=3).map(lambda several: tuple[tuple(several)]),  # type: ignore[misc]
        st.tuples(inner, inner).map(lambda both: dict[both]),  # type: ignore[misc,valid-type]
        st.lists(inner, min_size=1, max_size=3).map(lambda several: Union[tuple(several)]),  # noqa: UP007
    ),
    max_leaves=6,
) | st.sampled_from(LEAVES)


class TestAllPairs:
    @given(HINTS, HINTS)
    def test_none_breaks_the_building(self, one: Any, other: Any) -> None:
        assert is_refused(one, other) in (True, False)

    @given(HINTS)
    def test_each_fits_itself_and_anything(self, hint: Any) -> None:
        assert not is_refused(hint, hint)
        assert not is_refused(hint, Any)
        assert not is_refused(Any, hint)


# Annotations as text, as this module has them.


def load() -> NDArray[np.float32]: ...  # type: ignore[empty-body]
def describe() -> str: ...  # type: ignore[empty-body]
def infer(x: NDArray[Any], price: Decimal, later: Later) -> Decimal: ...  # type: ignore[empty-body]
def price(x: Dog) -> Decimal: ...  # type: ignore[empty-body]
def numbers_only(**given: int) -> None: ...
def numbers_and(kind: str, **given: int) -> None: ...


class Later: ...


class Scale(Task):
    def run(self, x: Dog) -> str: ...  # type: ignore[empty-body]


class Caller:
    def __call__(self, x: Dog) -> str: ...  # type: ignore[empty-body]
    def method(self, x: Dog) -> str: ...  # type: ignore[empty-body]
    @classmethod
    def of_class(cls, x: Dog) -> str: ...  # type: ignore[empty-body]


class Made:
    def __init__(self, x: Dog) -> None: ...


def as_array(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return np.asarray(fn(*args, **kwargs))

    return wrapper


class Converted:
    @as_array
    def __init__(self, x: Dog) -> None: ...


class ConvertedCall:
    @as_array
    def __call__(self, x: Dog) -> str: ...  # type: ignore[empty-body]
    @as_array
    def method(self, x: Dog) -> str: ...  # type: ignore[empty-body]


class ConvertedTask(Task):
    @as_array
    def run(self, x: Dog) -> str: ...  # type: ignore[empty-body]


@contextlib.contextmanager
def opened() -> Iterator[int]:
    yield 1


def counted() -> Iterator[int]:
    yield 1


def method(self: Any, x: Dog) -> str: ...  # type: ignore[empty-body]


def named_partial(fn: Callable[..., Any], wrapped: Callable[..., Any]) -> Callable[..., Any]:
    return functools.update_wrapper(functools.partial(fn), wrapped)


NEEDS_DOG = [
    task(price),
    task(functools.partial(price)),
    task(named_partial(price, price)),
    task(functools.lru_cache(price)),
    task(functools.partial(functools.cache(price))),
    task(staticmethod(price)),
    task(require_package("numpy")(price)),
    task(require_package("numpy")(require_package("pandas")(price))),
    task(Caller()),
    task(Caller().method),
    task(Caller.of_class),
    task(Made),
    task(functools.partial(method, None)),
    Scale(),
]
CONVERTED: list[Task] = [
    task(as_array(price)),
    task(as_array(as_array(price))),
    task(as_array(require_package("numpy")(price))),
    task(require_package("numpy")(as_array(price))),
    task(functools.lru_cache(as_array(price))),
    task(functools.partial(as_array(price))),
    task(named_partial(as_array(price), price)),
    task(functools.singledispatch(price)),
    task(as_array(Made)),
    task(ConvertedCall()),
    task(ConvertedCall().method),
    ConvertedTask(),
]


class TestAnnotations:
    @pytest.mark.parametrize("made", CONVERTED, ids=lambda made: str(made.name))
    def test_what_a_decorator_may_convert_means_anything(self, made: Task) -> None:
        with Flow("converted"):
            takes(np.ndarray)(made(gives(str)()))
            takes(Dog)(made(gives(int)()))

    def test_a_decorated_constructor_takes_anything_and_makes_an_object_of_its_class(self) -> None:
        with Flow("constructor"):
            made = task(Converted)(gives(str)())
            with pytest.raises(TaskTypeError, match=r"returns .*\.Converted"):
                takes(str)(made)

    @pytest.mark.parametrize("made", NEEDS_DOG, ids=lambda made: str(made.name))
    def test_whatever_can_be_a_task_is_checked(self, made: Task) -> None:
        with Flow("kinds"):
            made(gives(Dog)())
            with pytest.raises(TaskTypeError, match=r"takes x: .*\.Dog, and task 'give-2' returns str"):
                made(gives(str)())

    @pytest.mark.parametrize("made", [task(Caller()), task(Caller().method), Scale()], ids=lambda made: str(made.name))
    def test_and_so_is_what_it_returns(self, made: Task) -> None:
        with Flow("kinds"):
            takes(str)(made(1))
            with pytest.raises(TaskTypeError, match=r"and task '\w+-2' returns str"):
                takes(int)(made(1))

    def test_a_class_returns_what_is_made_of_it(self) -> None:
        with Flow("classes"):
            takes(Made)(task(Made)(1))
            with pytest.raises(TaskTypeError, match=r"returns .*\.Made"):
                takes(str)(task(functools.partial(Made))(1))

    def test_one_that_cannot_be_resolved_means_anything_and_the_others_count(self) -> None:
        with Flow("one by one"):
            text, nothing = gives(str)(), gives(None)()
            task(infer)(task(load)(), price=text, later=Later())
            takes(int)(task(price)(1))
            with pytest.raises(TaskTypeError, match=r"takes x: numpy\.ndarray, and"):
                task(infer)(text, price=text, later=Later())
            with pytest.raises(TaskTypeError, match=r"takes later: .*\.Later, and"):
                task(infer)(x=task(load)(), price=text, later=nothing)

    def test_a_name_may_be_defined_after_the_task(self) -> None:
        scope: dict[str, Any] = {}
        exec("from __future__ import annotations\ndef take(x: Late) -> None: ...", scope)  # noqa: S102
        made = task(scope["take"])
        scope["Late"] = Dog
        with Flow("late"), pytest.raises(TaskTypeError, match=r"takes x: .*\.Dog"):
            made(gives(str)())

    def test_further_keyword_arguments(self) -> None:
        with Flow("keywords"):
            task(numbers_only)(a=gives(int)(), b=gives(float)())
            with pytest.raises(TaskTypeError, match=r"'numbers_only' takes b: int, and"):
                task(numbers_only)(a=gives(int)(), b=gives(str)())
            with pytest.raises(TaskTypeError, match=r"'numbers_and' takes kind: str, and"):
                task(numbers_and)(gives(int)(), a=gives(int)())

    def test_a_generator_that_a_decorator_turned_into_something_else(self) -> None:
        with Flow("generators"):
            takes(contextlib.AbstractContextManager)(task(opened)())
            for counts in (counted, require_package("numpy")(counted)):
                with pytest.raises(TaskTypeError, match=r"returns collections\.abc\.Iterator"):
                    takes(contextlib.AbstractContextManager)(task(counts)())

    def test_a_function_lives_no_longer_because_it_was_checked(self) -> None:
        scope: dict[str, Any] = {}
        exec("from __future__ import annotations\ndef take(x: int) -> int: ...", scope)  # noqa: S102
        with Flow("short"):
            task(scope["take"])(task(scope["take"])(1))
        function = weakref.ref(scope["take"])
        del scope
        gc.collect()
        assert function() is None

    def test_a_task_can_be_sent_to_another_process(self) -> None:
        made = task(price)
        with Flow("sent"):
            made(gives(Dog)())
        sent: Task = pickle.loads(pickle.dumps(made))  # noqa: S301
        assert sent._spec.hints["x"] is Any


@task
def pair() -> tuple[int, str]: ...  # type: ignore[empty-body]
@task
def nested() -> tuple[dict[str, tuple[int, Path]], list[Path]]: ...  # type: ignore[empty-body]


class TestParts:
    @pytest.mark.parametrize(
        ("given", "key", "part"),
        [
            (tuple[int, Path], 0, int),
            (tuple[int, Path], 1, Path),
            (tuple[int, Path], -2, int),
            (tuple[int, Path], True, Path),
            (tuple[int, ...], 7, int),
            (list[Path], 0, Path),
            (abc.Sequence[Path], -1, Path),
            (dict[str, Path], "a", Path),
            (abc.Mapping[int, Path], 0, Path),
            (NewType("Pair", tuple[int, Path]), 1, Path),
        ],
        ids=str,
    )
    def test_what_is_known(self, given: Any, key: Any, part: Any) -> None:
        other = {int: Path, Path: int}[part]
        with Flow("parts"):
            takes(part)(gives(given)()[key])
            with pytest.raises(TaskTypeError):
                takes(other)(gives(given)()[key])

    @pytest.mark.parametrize(
        ("given", "key"),
        [
            (tuple[int, Path], 2),
            (tuple[int, Path], -3),
            (tuple[int, Path], slice(1)),
            (tuple[int, *tuple[Path, ...]], 1),
            (list[int], slice(1)),
            (tuple, 0),
            (tuple[()], 0),
            (set[int], 0),
            (str, 0),
            (tuple[int, int] | None, 0),
            (Point, 0),
            (None, 0),
            ([], 0),
        ],
        ids=str,
    )
    def test_what_is_not(self, given: Any, key: Any) -> None:
        with Flow("parts"):
            takes(bytes)(gives(given)()[key])

    def test_unpacked_and_chained(self) -> None:
        with Flow("unpacked"):
            number, text = pair()
            takes(int)(number)
            takes(str)(text)
            takes(Path)(nested()[0]["a"][1])
            with pytest.raises(TaskTypeError, match=r"^task 'take' takes x: str, and task 'pair\[0\]-1' returns int;"):
                takes(str)(number)
            with pytest.raises(TaskTypeError, match=r"task \"nested\[0\]\['a'\]\[1\]-2\" returns pathlib\.Path;"):
                takes(int)(nested()[0]["a"][1])

    def test_a_task_as_the_index(self) -> None:
        with Flow("index"):
            index = gives(int)()
            takes(bytes)(gives(list[int])()[index])
            takes(int)(gives(dict[str, int])()[index])
            with pytest.raises(TaskTypeError):
                takes(str)(gives(dict[str, int])()[index])

    def test_other_operators_give_anything(self) -> None:
        with Flow("operators"):
            number = gives(int)()
            takes(str)(number + 1)
            takes(str)(number > 1)
            takes(str)(gives(list[int])() * 2)
            takes(str)(number.is_equal(1))
            takes(str)((number + 1)[0])

    def test_an_operator_that_is_called_is_no_part_of_anything(self) -> None:
        with Flow("called"):
            index = gives(list[int])()[0]
            takes(str)(index([1, 2], 0))
            takes(str)(index.copy())
            copied = index.copy()
            copied.set_upstream(copied, key="a")
            copied.set_upstream(gives(int)(), key="b")
            takes(str)(copied)

    def test_very_many_indices(self) -> None:
        with Flow("deep"):
            last: Task = gives(tuple[int, str])()
            for _ in range(3000):
                last = last[0]
            takes(str)(last)


@task
def fail() -> int:
    raise ValueError


@task(trigger=triggers.always_run)
def name_of(result: Exception | None) -> str:
    return type(result).__name__


class TestRefusals:
    def test_the_sentence(self) -> None:
        with Flow("sentence"):
            loaded = task(describe)()
            with pytest.raises(TaskTypeError) as caught:
                task(infer)(x=loaded, price=1, later=2)
        assert str(caught.value) == (
            "task 'infer' takes x: numpy.ndarray, and task 'describe-1' returns str; "
            "give it what it takes, or correct the annotation that is not true"
        )
        assert isinstance(caught.value, (FlowError, TypeError))
        assert caught.value.code == "task-type"

    def test_nothing_is_added(self) -> None:
        with Flow("nothing") as flow:
            source = gives(str)()
            elsewhere = gives(str).copy()
            for given in (source, elsewhere):
                with pytest.raises(TaskTypeError):
                    takes(int)(given, upstream_tasks=[Parameter("p")])
            with pytest.raises(TaskTypeError):
                task(numbers_only)(a=[source], b={"c": (source,)}, d=source)
        assert flow.tasks == {source}
        assert flow.upstream_tasks(source) == set()

    def test_set_upstream_with_a_key(self) -> None:
        with Flow("edges") as flow:
            number, text = gives(int)(), gives(str)()
            target = flow.add_task(takes(int).copy())
            with pytest.raises(TaskTypeError, match="task 'take-1' takes x: int, and task 'give-2' returns str"):
                target.set_upstream(text, key="x")
            with pytest.raises(TaskTypeError, match="task 'take-1' takes x: int, and task 'give-2' returns str"):
                text.set_downstream(target, key="x")
            assert flow.upstream_tasks(target) == set()
            target.set_upstream(text)
            target.set_upstream(number, key="x")
            target.set_upstream(text, key="no such argument")
            flow.add_task(Scale()).set_upstream(number, key="no such argument")

    def test_only_tasks_are_looked_at(self) -> None:
        with Flow("values"):
            take = takes(np.ndarray)
            take("text")
            take(None)
            take(Parameter("p", default="text"))
            take([gives(str)()])
            takes(str)(Parameter("q", default=(1, 2))[0])

    def test_what_is_no_task_is_refused_as_before(self) -> None:
        with Flow("odd") as flow, pytest.raises(FlowError, match="is not a task"):
            flow.set_dependencies("odd", keyword_tasks={"x": gives(int)()})  # type: ignore[arg-type]

    def test_a_task_that_looks_after_a_failure(self) -> None:
        with Flow("failure") as flow:
            cleaned = name_of(fail())
        assert flow.run().result[cleaned].result == "ValueError"

    def test_plugins(self) -> None:
        module = types.ModuleType("typed_plugins.images")
        scope = vars(module) | {"NDArray": NDArray, "Any": Any}
        for name, signature in {"load": "() -> str", "infer": "(x: NDArray[Any]) -> int"}.items():
            exec(f"def {name}{signature}: ...", scope)  # noqa: S102
            scope[name].__module__ = module.__name__
            pyplugs.register(scope[name])
        with Flow("plugins"):
            loaded = pyplugs.call_task("typed_plugins", "images", "load")
            with pytest.raises(
                TaskTypeError, match=r"^task 'infer' takes x: numpy\.ndarray, and task 'load-1' returns"
            ):
                pyplugs.call_task("typed_plugins", "images", "infer", x=loaded)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "int"),
        (None, "None"),
        (Path, "pathlib.Path"),
        (NDArray[np.float32], "numpy.ndarray"),
        (int | None, "int | None"),
        (typing.Literal["a", "b"], "str"),
        (Name, "str"),
        (tuple[int, ...], "tuple[int, ...]"),
        (list[tuple[str, NDArray[Any]]], "list[tuple[str, numpy.ndarray]]"),
        (dict[str, Any], "dict[str, Any]"),
        (abc.Sequence[int], "collections.abc.Sequence[int]"),
        (type[int], "type"),
        (T, "~T"),
        (random.Random, "random.Random"),
        (np.random.Generator, "numpy.random.Generator"),
    ],
)
def test_how_types_are_written(hint: Any, words: str) -> None:
    assert shown(hint) == words
