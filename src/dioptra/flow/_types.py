"""Types as annotations name them: whether a value of one may be of another, what its parts are, how it is written.

Only what is certainly wrong does not fit: a value that is declared as a base class may be of the class that is wanted,
and a function takes more than it says when NumPy, `open` and the like, to which it passes it on, do.
"""

from __future__ import annotations

import collections
from collections import abc
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from inspect import formatannotation, isabstract
from itertools import product
from numbers import Number
from os import PathLike
from types import FunctionType, GeneratorType, NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, Unpack, get_args, get_origin, is_typeddict

__all__ = ["fits", "part_of", "shown"]

_SEQUENCES = frozenset({list, tuple, collections.deque, abc.Sequence, abc.MutableSequence})
_MAPPINGS = frozenset({dict, collections.defaultdict, collections.OrderedDict, abc.Mapping, abc.MutableMapping})
_OTHERS = frozenset({set, frozenset, abc.Set, abc.MutableSet, abc.Collection, abc.Iterable, abc.Iterator})
_CONTAINERS = _SEQUENCES | _MAPPINGS | _OTHERS
_ARRAY_LIKE = frozenset(
    {list, tuple, range, set, frozenset, collections.deque, GeneratorType, map, filter, zip, enumerate, reversed}
)
_WELL_KNOWN = (str, bytes, tuple, list, dict, set, frozenset, range, FunctionType, GeneratorType)
_BYTES = (bytes, bytearray, memoryview)
_MADE_IN_PYTHON = 1 << 9  # the flag of classes that a `class` statement made


@lru_cache(maxsize=4096)
def fits(given: Any, taken: Any) -> bool:
    """Tell whether a value that is declared as one type may be one of another."""
    return any(_fits(*pair) for pair in product(_members(given), _taken(taken)))


def _taken(hint: Any) -> Iterator[Any]:
    """Give what fits a type: one of several literals is often read from text."""
    yield from _members(hint)
    if any(get_origin(member) is Literal for member in _flat(hint)):
        yield str


def _fits(given: Any, taken: Any) -> bool:
    kind, wanted = _kind(given), _kind(taken)
    return kind is Any or wanted is Any or (_may_be(kind, wanted) and _parts_fit(given, taken))


def _members(hint: Any) -> Iterator[Any]:
    """Give what a union consists of, and what stands behind a name or a literal."""
    for member in _flat(hint):
        if get_origin(member) is Literal:
            yield from map(type, get_args(member))
        else:
            yield member


def _flat(hint: Any) -> Iterator[Any]:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for member in get_args(hint):
            yield from _flat(member)
    elif origin is Annotated:
        yield from _flat(get_args(hint)[0])
    elif isinstance(hint, NewType):
        yield from _flat(hint.__supertype__)
    elif type(alias := origin or hint).__name__ == "TypeAliasType":
        yield from _flat(alias.__value__)
    else:
        yield NoneType if hint is None else hint


def _kind(hint: Any) -> Any:
    """Return the class that a type belongs to; Any when it does not say."""
    kind = get_origin(hint) or hint
    if not isinstance(kind, type) or Any in kind.__mro__ or getattr(kind, "_is_protocol", False):
        return Any
    if kind.__module__ == "typing":  # no file is a TextIO to `issubclass`
        return Any
    return dict if is_typeddict(kind) else kind


def _may_be(kind: type, wanted: type) -> bool:
    return (
        issubclass(kind, wanted)
        or issubclass(wanted, kind)
        or issubclass(wanted, BaseException)  # which stands in place of the result after a failure
        or (_is_array_like(kind) and _is_array_like(wanted))
        or (issubclass(kind, _BYTES) and issubclass(wanted, _BYTES))
        or _stands_for(kind, wanted)
        or any(issubclass(each, kind) and issubclass(each, wanted) for each in _WELL_KNOWN)
        or _has_methods_of(kind, wanted)
        or _has_methods_of(wanted, kind)
        or _may_be_mixed(kind, wanted)
        or _written(kind) == _written(wanted)  # a module, or a cell of a notebook, was executed again
    )


def _is_array_like(kind: type) -> bool:
    """Tell whether it is an array, or something that NumPy makes one of: numbers, and what can be gone through."""
    bases = kind.__mro__  # to `issubclass`, text is a Sequence
    return (
        _is_number(kind)
        or hasattr(kind, "__array__")  # pandas, torch, TensorFlow
        or not _ARRAY_LIKE.isdisjoint(bases)
        or (abc.Iterable in bases and abc.Mapping not in bases)
        or _is_named(kind, "scipy.sparse.", "jax.Array", "array.array")
    )


def _is_number(kind: type) -> bool:
    return issubclass(kind, Number) or _is_named(kind, "numpy.generic")


def _stands_for(kind: type, wanted: type) -> bool:
    """Tell whether a function that says it takes the one is often written to be given the other as well."""
    return (
        (issubclass(kind, PathLike) and issubclass(wanted, str))
        or (issubclass(kind, str) and issubclass(wanted, PathLike))
        or (issubclass(kind, (str, int)) and issubclass(wanted, Enum))
        or (issubclass(kind, (str, type)) and _is_named(wanted, "numpy.dtype"))
        or (_is_named(kind, "numpy.dtype") and issubclass(wanted, (str, type)))
        or (issubclass(kind, (str, int)) and _is_named(wanted, "torch.device"))
        or (_is_number(kind) and _is_named(wanted, "numpy.random."))  # a seed
    )


def _is_named(kind: type, *starts: str) -> bool:
    """Tell whether the name of a class or of one of its bases starts so, without importing what it comes from."""
    return any(f"{each.__module__}.{each.__qualname__}".startswith(starts) for each in kind.__mro__)


def _has_methods_of(kind: type, abstract: type) -> bool:
    """Tell whether a class does what an abstract one wants without deriving from it, as arrays do with sequences."""
    if not isabstract(abstract) or isabstract(kind) or kind.__module__ == "builtins":
        return False
    names: frozenset[str] = abstract.__abstractmethods__  # type: ignore[attr-defined]
    return all(getattr(kind, name, None) for name in names)


def _may_be_mixed(kind: type, wanted: type) -> bool:
    """Tell whether a class is likely to have both as bases, as classifiers have ClassifierMixin and BaseEstimator."""
    pair = (kind, wanted)
    return any(each.__name__.endswith("Mixin") for each in pair) and all(
        each.__flags__ & _MADE_IN_PYTHON for each in pair
    )


def _parts_fit(given: Any, taken: Any) -> bool:
    ours, theirs = _parts(given), _parts(taken)
    if not ours or not theirs:
        return True
    if _is_fixed(given) and _is_fixed(taken):
        return len(ours) == len(theirs) and all(map(fits, ours, theirs))
    if _is_fixed(given):
        theirs = theirs[:1] * len(ours)
    elif _is_fixed(taken):
        ours = ours[:1] * len(theirs)
    return all(map(fits, ours, theirs))  # of a mapping and an iterable, the keys


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return the types of what a container holds, where they are known."""
    args = get_args(hint) if get_origin(hint) in _CONTAINERS else ()
    return () if any(get_origin(arg) is Unpack or getattr(arg, "__unpacked__", False) for arg in args) else args


def _is_fixed(hint: Any) -> bool:
    """Tell whether it is a tuple with a type for each place."""
    return get_origin(hint) is tuple and Ellipsis not in get_args(hint)


@lru_cache(maxsize=4096)
def part_of(hint: Any, index: int | None) -> Any:
    """Return the type of `value[index]`, where it is known."""
    (member, *more) = _members(hint)
    origin, parts = get_origin(member), _parts(member)
    if more or not parts:
        return Any
    if origin in _MAPPINGS:
        return parts[-1]
    if origin not in _SEQUENCES or index is None:
        return Any
    if not _is_fixed(member):
        return parts[0]
    return parts[index] if -len(parts) <= index < len(parts) else Any


def shown(hint: Any) -> str:
    """Return a type as an annotation says it, short of what plays no part here."""
    return " | ".join(dict.fromkeys(map(_shown, _members(hint))))


def _shown(hint: Any) -> str:
    if hint is Ellipsis:
        return "..."
    kind = get_origin(hint) or hint
    if kind is NoneType:
        return "None"
    if not isinstance(kind, type) or kind is Any:
        return formatannotation(hint)
    parts = ", ".join(map(shown, get_args(hint))) if kind in _CONTAINERS else ""
    return _written(kind) + (f"[{parts}]" if parts else "")


def _written(kind: type) -> str:
    module = kind.__module__.partition("._")[0]  # pathlib._local.Path is imported from pathlib
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
