"""Hashing any value in a bounded time, equally in every process and on every machine."""

from __future__ import annotations

import os
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

from dioptra import settings
from dioptra.flow._models import reader_of

__all__ = ["Digest", "is_number", "type_name", "without_places"]

_DEPTH = 20
_SAMPLE = 2**18  # elements of an array that is too large ...
_LEAST = 64  # ... and of one that comes when nothing is left
_DICTS = (dict, OrderedDict, defaultdict, Counter)
_SHOWN = (date, time, timedelta, Decimal, complex, range)  # `repr` says all of these, and nothing else


def type_name(value: Any) -> str:
    """Return the name of a value's type, with its module."""
    kind = type(value)
    if isinstance(value, PurePath):
        return "pathlib.Path"  # the module that defines it differs between versions of Python
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _own_name(value: Any) -> str:
    """Return the name of a function or a class, with its module; of anything else, nothing."""
    for name in ("__qualname__", "__name__"):
        if any(name in vars(base) for base in type(value).__mro__):  # asking the value could run code of its own
            return f"{getattr(value, '__module__', None)}.{getattr(value, name)}"
    return ""


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number or a boolean, numpy's included."""
    if isinstance(value, (int, float)):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.number, numpy.bool_)) and value.dtype.kind in "biuf"


def without_places(text: str, places: Sequence[tuple[str, str]] | None = None) -> str:
    """Replace what differs between two runs of the same job: the attempt's folder, and the ids of job and run."""
    for place, word in _places() if places is None else places:
        text = text.replace(place, word)
    return text


def _places() -> tuple[tuple[str, str], ...]:
    folder = settings.get("attempt_dir").rstrip("/")
    folders = sorted({folder, os.path.realpath(folder)}, key=len, reverse=True) if folder else []
    ids = ((settings.get("job_id"), "<job>"), (settings.get("run_id"), "<run>"))
    return tuple((name, "<attempt>") for name in folders) + tuple(pair for pair in ids if pair[0])


class Digest:
    """A hash that is fed with values, each behind a tag that keeps different types apart."""

    def __init__(self, bytes_left: int, items_left: int, places: tuple[tuple[str, str], ...] | None = None) -> None:
        """Start a hash.

        Args:
            bytes_left: How much data is hashed in full.
            items_left: How many elements of collections are looked at.
            places: What to replace in text, with the words to put there.
        """
        self.bytes_left = bytes_left
        self.items_left = items_left
        self.places = _places() if places is None else places
        self.sampled = False
        self._hash = blake2b(digest_size=16)

    def hex(self) -> str:
        """Return the hash of all that was fed."""
        return self._hash.hexdigest()

    def feed(self, value: Any, depth: int = 0) -> bool:
        """Add a value; tell whether more than its type was added."""
        self.items_left -= 1
        if self.items_left < 0 or depth > _DEPTH:
            self.sampled = True
            return True
        if (feeder := _feeder(value)) is None:
            self.tag("object", f"{type_name(value)} {_own_name(value)}")
            return False
        feeder(self, value, depth)
        return True

    def number(self, value: bool | float | None, depth: int) -> None:
        """Add a number or None."""
        self.tag(type_name(value), float.__repr__(value) if isinstance(value, float) else value and hex(value))

    def shown(self, value: Any, depth: int) -> None:
        """Add a value that `repr` describes in full."""
        self.tag(type_name(value), repr(value))

    def text(self, value: str | PurePath, depth: int) -> None:
        """Add a text or a path."""
        text = without_places(str(value), self.places)
        self.tag("path" if isinstance(value, PurePath) else "str", len(text))
        half = max(self.bytes_left, 0) // 8  # a character has up to four bytes
        if len(text) > 2 * half:
            self.sampled = True
            text = text[:half] + text[len(text) - half :]
        self._add(text.encode("utf-8", "surrogatepass"))

    def octets(self, value: bytes | bytearray, depth: int) -> None:
        """Add bytes."""
        self.tag("bytes", len(value))
        half = max(self.bytes_left, 0) // 2
        if len(value) > 2 * half:
            self.sampled = True
            value = value[:half] + value[len(value) - half :]
        self._add(value)

    def sequence(self, value: Sequence[Any], depth: int) -> None:
        """Add a list or a tuple."""
        self.tag("tuple" if isinstance(value, tuple) else "list", len(value))
        for index in self._spread(len(value)):
            self.feed(value[index], depth + 1)

    def unordered(self, value: frozenset[Any], depth: int) -> None:
        """Add a set."""
        self.tag("set", len(value))
        for key, _ in self._sorted(value, depth):
            self._add(key)

    def mapping(self, value: dict[Any, Any], depth: int) -> None:
        """Add a dictionary; the order of its keys plays no part."""
        self.tag("dict", len(value))
        for key, name in self._sorted(value, depth):
            self._add(key)
            self.feed(value[name], depth + 1)

    def array(self, value: Any, depth: int) -> None:
        """Add a numpy array or scalar: shape, type, and the elements in the order of their indices."""
        numpy = sys.modules["numpy"]
        array = numpy.asarray(value)
        dtype = array.dtype
        self.tag("array", (array.shape, str(dtype.newbyteorder("="))))
        if dtype.names:
            for name in dtype.names:  # the bytes between fields may be anything
                self.array(array[name], depth + 1)
        elif dtype.hasobject or dtype.kind == "T":
            for index in self._spread(array.size):
                self.feed(array.flat[index], depth + 1)
        else:
            if array.nbytes > self.bytes_left:
                array = array.flat[self._evenly(numpy, array)]
            self._add(numpy.ascontiguousarray(array, dtype=dtype.newbyteorder("<")).tobytes())

    def frame(self, value: Any, depth: int) -> None:
        """Add a pandas table, column or index."""
        if hasattr(value, "columns"):
            self.tag("frame", value.shape)
            self.frame(value.columns, depth)
            self.frame(value.index, depth)
            for position in self._spread(value.shape[1]):
                self._column(value.iloc[:, position], depth)
            return
        self._column(value, depth)
        if hasattr(value, "index"):
            self.frame(value.index, depth)

    def sparse(self, value: Any, depth: int) -> None:
        """Add a sparse array of scipy, as it is stored."""
        self.tag("sparse", (value.format, value.shape))
        rows = value if hasattr(value, "indptr") else value.tocsr()
        self.sequence((rows.data, rows.indices, rows.indptr), depth)

    def tensor(self, value: Any, depth: int) -> None:
        """Add a torch tensor, from whatever device."""
        torch = sys.modules["torch"]
        self.tag("tensor", (tuple(value.shape), str(value.dtype)))
        flat = value.detach().reshape(-1)
        if flat.numel() * flat.element_size() > self.bytes_left:
            import numpy

            flat = flat[torch.as_tensor(self._evenly(numpy, flat), device=flat.device)]
        if flat.numel():
            self.array(flat.cpu().contiguous().view(torch.uint8).numpy(), depth)

    def generator(self, value: Any, depth: int) -> None:
        """Add the state of a random generator of numpy or of Python."""
        if hasattr(value, "getstate"):
            state = value.getstate()
        else:
            state = value.get_state() if hasattr(value, "get_state") else getattr(value, "bit_generator", value).state
        self.tag("generator", "")
        self.feed(state, depth + 1)

    def model(self, value: Any, parts: dict[Any, Any], depth: int) -> None:
        """Add a model: its type and its parts."""
        self.tag("model", type_name(value))
        self.mapping(parts, depth)

    def _column(self, value: Any, depth: int) -> None:
        self.tag("column", str(value.dtype))
        self.feed(value.name, depth + 1)
        self.array(value.to_numpy(), depth)

    def tag(self, kind: str, detail: object) -> None:
        self._hash.update(f"{kind}:{detail};".encode("utf-8", "surrogatepass"))

    def _add(self, data: bytes | bytearray) -> None:
        self.bytes_left -= len(data)
        self._hash.update(data)

    def _spread(self, size: int) -> Sequence[int]:
        """Choose the elements to look at: all when there are few, else evenly spread ones."""
        count = max(self.items_left, 0)
        if size <= count:
            return range(size)
        self.sampled = True
        return [index * (size - 1) // (count - 1) for index in range(count)] if count > 1 else []

    def _evenly(self, numpy: Any, array: Any) -> Any:
        """Choose elements of an array that is too large."""
        self.sampled = True
        size = array.numel() if hasattr(array, "numel") else array.size
        width = array.element_size() if hasattr(array, "element_size") else array.itemsize
        count = min(_SAMPLE, max(self.bytes_left // width, _LEAST), size)
        return numpy.arange(count, dtype=numpy.int64) * (size - 1) // max(count - 1, 1)

    def _sorted(self, value: Any, depth: int) -> list[tuple[bytes, Any]]:
        """Hash each key by itself, with an equal share of what is left, so that their order plays no part."""
        size = max(len(value), 1)
        if size > self.items_left:
            self.sampled = True
            return []
        share = (self.bytes_left // size, self.items_left // size)
        found = []
        for key in value:
            digest = Digest(*share, places=self.places)
            digest.feed(key, depth + 1)
            self.sampled |= digest.sampled
            found.append((digest._hash.digest(), key))
        self.items_left -= len(value)
        return sorted(found, key=lambda pair: pair[0])


_Feeder = Callable[[Digest, Any, int], None]


def _feeder(value: Any) -> _Feeder | None:
    """Find how a value is hashed."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return Digest.number
    if isinstance(value, (str, PurePath)):
        return Digest.text
    if isinstance(value, (bytes, bytearray)):
        return Digest.octets
    if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        return Digest.sequence
    if kind in (set, frozenset):
        return Digest.unordered
    if kind in _DICTS:
        return Digest.mapping
    return _feeder_of_package(value) or _feeder_of_model(value) or _feeder_of_subclass(value)


def _feeder_of_model(value: Any) -> _Feeder | None:
    reader = reader_of(value)
    return reader and (lambda digest, value, depth: digest.model(value, reader(value), depth))


def _feeder_of_package(value: Any) -> _Feeder | None:
    known: tuple[tuple[str, tuple[str, ...], _Feeder], ...] = (
        ("numpy", ("ndarray", "generic"), Digest.array),
        ("numpy.random", ("Generator", "BitGenerator", "RandomState"), Digest.generator),
        ("random", ("Random",), Digest.generator),
        ("pandas", ("DataFrame", "Series", "Index"), Digest.frame),
        ("scipy.sparse", ("spmatrix", "sparray"), Digest.sparse),
        ("torch", ("Tensor",), Digest.tensor),
    )
    for module, names, feeder in known:  # an instance cannot be there unless its package is loaded
        loaded = sys.modules.get(module)  # which another thread may be about to load
        if isinstance(value, tuple(getattr(loaded, name, ()) for name in names)):
            return feeder
    return None


def _feeder_of_subclass(value: Any) -> _Feeder | None:
    if isinstance(value, (int, float)):
        return Digest.number
    return Digest.shown if isinstance(value, _SHOWN) else None
