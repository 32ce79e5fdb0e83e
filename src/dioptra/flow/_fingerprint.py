"""Fingerprints: short descriptions of results that are equal on every machine when the values are equal.

They hold no text of the value (it may be a secret), no address and no time, do not depend on the order of sets, and
cost a bounded time: what is larger than the limits is sampled, and the fingerprint says so.
"""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any

from dioptra.flow._digest import Digest, is_number, type_name, without_places

__all__ = ["fingerprint"]

_BYTES = 16 * 2**20  # hashed in full, over the whole value
_ITEMS = 50_000  # elements of collections


def fingerprint(value: Any) -> dict[str, Any]:
    """Describe a value by its type, its size, and a hash of what it holds.

    Args:
        value: Any object. Numbers, text, paths, dates, collections, numpy, scipy and pandas data, torch tensors,
            random generators and models are hashed; of other objects only the type is given.

    Returns:
        A dictionary that JSON can hold: `type`, and where they make sense `value` (numbers and None), `length`,
        `shape`, `dtype`, `hash` (BLAKE2b, 128 bits) and `sampled`, which is true when a part was left out.
    """
    found: dict[str, Any] = {"type": type_name(value)}
    try:
        return found | _contents(value)
    except Exception:  # a strange object must not fail the task that returned it
        return found


def _contents(value: Any) -> dict[str, Any]:
    if value is None:
        return {"value": None}
    if is_number(value) and (number := _number(value)) is not None:
        return {"value": number}
    digest = Digest(_BYTES, _ITEMS)
    if not digest.feed(value):
        return {}
    return _size(value) | {"hash": digest.hex()} | ({"sampled": True} if digest.sampled else {})


def _number(value: Any) -> bool | float | str | None:
    """Return a number as JSON can hold it, None when it is too long."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float):
        return float(plain) if math.isfinite(plain) else repr(float(plain))
    if isinstance(plain, bool):
        return plain
    return int(plain) if plain.bit_length() <= 64 else None


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except Exception:  # it has none, or not yet, such as a forest that is not fitted
        return None


def _size(value: Any) -> dict[str, Any]:
    if isinstance(value, (str, PurePath)):
        return {"length": len(without_places(str(value)))}
    size: dict[str, Any] = {}
    if (shape := getattr(value, "shape", None)) is not None:
        size["shape"] = [int(length) for length in shape]
    elif (length := _length(value)) is not None:
        size["length"] = length
    if (dtype := getattr(value, "dtype", None)) is not None:
        native = dtype.newbyteorder("=") if hasattr(dtype, "newbyteorder") else dtype
        size["dtype"] = str(native).removeprefix("torch.").lstrip("<>=|")
    return size
