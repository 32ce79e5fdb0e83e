"""What goes over the wire of the inference server: arrays as JSON or `npz` without pickles, and errors."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from dioptra.errors import DioptraError, suggest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["JSON", "NPZ", "cast", "failure", "is_shape", "read_json", "read_npz", "write_json", "write_npz"]

JSON, NPZ = "application/json", "application/x-npz"
EXAMPLE = 'write {"inputs": [sample, sample, ...]}'
EXIT_CODES = {400: 2, 401: 5, 403: 5, 404: 3, 405: 2, 406: 2, 408: 8, 413: 7, 415: 7, 422: 7, 503: 4}
MEMBERS = 16  # of an npz file; one is used, and reading the names of a million others would take long
KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b", "c": "cfiu"}  # of arrays that a kind of model takes
WORDS = {
    "f": "numbers with a fraction",
    "i": "whole numbers",
    "u": "whole numbers",
    "b": "true and false",
    "U": "text",
    "c": "complex numbers",
}
NAMES: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def failure(status: int, code: str, message: str, *, where: str = "", hint: str = "") -> DioptraError:
    """Return an error with the HTTP status and the code that it has on the wire, on either side of it."""
    error = DioptraError(message, where=where, hint=hint)
    error.http_status, error.code, error.exit_code = status, code, EXIT_CODES.get(status, 1)
    return error


def _invalid(message: str, *, hint: str = "", status: int = 422, where: str = "inputs") -> DioptraError:
    return failure(status, "too-large" if status == 413 else "invalid-input", message, where=where, hint=hint)


def read_json(body: bytes) -> NDArray[Any]:
    """Read `{"inputs": [...]}`, with numbers as float64 or int64; JSON has neither NaN nor infinity."""
    import numpy as np
    from pydantic_core import from_json

    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _invalid(f"the body is not JSON: {error}", hint=EXAMPLE, where="") from None
    inputs = _field(content)
    if body.count(b'"') > 2 or body.count(b"u") > 1 or b"l" in body or body.count(b"{") > 1:
        _check_values(inputs)  # there is text, true, false, null or an object, which numpy would accept in its own way
    try:
        array = np.array(inputs)
    except (ValueError, OverflowError):
        raise _invalid(_difference(inputs), hint="all samples have one shape") from None
    if array.dtype.kind == "O" or not np.isfinite(array).all():
        raise _invalid("a number is too large for 64 bits")
    return array


def _check_values(inputs: list[Any]) -> None:
    import numpy as np

    kinds = set(map(type, np.array(inputs, dtype=object).flat))
    if list in kinds:
        raise _invalid(_difference(inputs), hint="all samples have one shape")
    if not (kinds == {bool} or kinds <= {int, float}):
        found = " and ".join(sorted({NAMES.get(kind, "a number") for kind in kinds}))
        raise _invalid(f"the samples hold {found}", hint="write numbers only, or true and false only")


def _field(content: object) -> list[Any]:
    if not isinstance(content, dict):
        raise _invalid(f"the body is {_kind_of(content)}, not an object", hint=EXAMPLE, where="")
    if unknown := content.keys() - {"inputs"}:
        word = min(unknown)
        raise _invalid(f"{word[:80]!r} is not a field of a request", hint=suggest(word[:80], ["inputs"]), where="")
    inputs = content.get("inputs")
    if not isinstance(inputs, list):
        what = "is missing" if "inputs" not in content else f"is {_kind_of(inputs)}, not a list"
        raise _invalid(what, hint=EXAMPLE)
    return inputs


def _kind_of(value: object) -> str:
    return NAMES.get(type(value), "a number")


def _difference(values: list[Any], place: str = "inputs") -> str:
    """Say which two neighbours of ragged lists differ."""
    first = values[0] if values else None
    for index, value in enumerate(values):
        if isinstance(value, list) != isinstance(first, list):
            return f"{place}[{index}] is {_kind_of(value)} and {place}[0] is {_kind_of(first)}"
        if isinstance(value, list) and isinstance(first, list) and len(value) != len(first):
            return f"{place}[{index}] holds {len(value)} values and {place}[0] holds {len(first)}"
    for index, value in enumerate(values):
        if isinstance(value, list) and (found := _difference(value, f"{place}[{index}]")):
            return found
    return "" if place != "inputs" else "the lists differ in length or depth"


def read_npz(body: bytes, name: str, limit: int) -> NDArray[Any]:
    """Read the one array of an `npz` file, compressed or not; NaN and infinity are kept.

    Nothing is unpacked before its size is known to be under the limit (bytes), and nothing is ever unpickled.

    Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    if body[:2] != b"PK" or body.count(b"PK\x01\x02") > MEMBERS:
        raise _invalid("the body is not an npz file with one array", hint=f"numpy.savez(file, {name}=array)", where="")
    try:
        return _read_member(body, name, limit)
    except DioptraError:
        raise
    except Exception as error:  # whatever zipfile and numpy make of damaged bytes
        raise _invalid(f"the npz file cannot be read: {error}", where=name) from None


def _read_member(body: bytes, name: str, limit: int) -> NDArray[Any]:
    import numpy as np

    with np.load(BytesIO(body), allow_pickle=False) as arrays:
        if arrays.files != [name]:
            found = ", ".join(arrays.files)[:80] or "nothing"
            raise _invalid(f"the npz file holds {found}", hint=f"it must hold {name!r} and nothing else", where="")
        member = arrays.zip.infolist()[0]
        if member.file_size > limit:
            text = f"the array takes {member.file_size} bytes unpacked"
            raise _invalid(text, hint=f"the limit is {limit}", status=413, where=name)
        with arrays.zip.open(member) as stream:
            shape, is_fortran, dtype = _read_header(stream, name)
            data = stream.read(member.file_size)
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _invalid(f"the npz file holds {len(data)} bytes for shape {shape} of {dtype}", where=name)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


def _read_header(stream: _Stream, name: str) -> tuple[tuple[int, ...], bool, Any]:
    from numpy.lib import format as npy

    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(stream))
    if read is None:
        raise _invalid("the npz file has a newer format", hint="numpy.savez writes version 1.0 or 2.0", where=name)
    shape, is_fortran, dtype = read(stream)
    if dtype.hasobject or dtype.kind == "V":
        raise _invalid(f"the array is of dtype {dtype}", hint="pickles and records are not read", where=name)
    return shape, is_fortran, dtype


def cast(array: NDArray[Any], shape: tuple[int, ...] | None, dtype: str) -> NDArray[Any]:
    """Return what was sent as the model takes it, or say why it does not fit.

    Args:
        array: (n, ...), as it was read.
        shape: The shape of one sample; -1 in it is any length; None is any shape.
        dtype: What the model takes; a number that would lose more than digits in it is refused.
    """
    import numpy as np

    target = np.dtype(dtype)
    if array.ndim == 0 or len(array) == 0:
        raise _invalid("there is no sample", hint="send at least one")
    if array.dtype.kind not in KINDS.get(target.kind, target.kind):
        held = WORDS.get(array.dtype.kind, array.dtype.name)
        raise _invalid(f"the samples hold {held}", hint=f"the model takes {target.name}")
    if shape is not None and not is_shape(array.shape[1:], shape):
        raise _wrong_shape(array.shape, shape)
    if target.kind in "iu" and array.size:
        bounds = np.iinfo(target)
        for value in (int(array.min()), int(array.max())):
            if not bounds.min <= value <= bounds.max:
                raise _invalid(f"{value} does not fit {target.name} ({bounds.min} to {bounds.max})")
    with np.errstate(all="ignore"):
        fitted = array.astype(target, copy=False)
    if target.kind == "f" and array.dtype.kind == "f" and array.dtype.itemsize > target.itemsize:
        lost = np.isinf(fitted) & np.isfinite(array)
        if lost.any():
            raise _invalid(f"{array[lost][0]:g} does not fit {target.name}")
    return fitted


def is_shape(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    """Tell whether a shape is the wanted one, in which -1 is any size."""
    return len(have) == len(want) and all(b in (-1, a) for a, b in zip(have, want, strict=True))


def _wrong_shape(have: tuple[int, ...], want: tuple[int, ...]) -> DioptraError:
    words = "(" + ", ".join("any" if size < 0 else str(size) for size in want) + ("," if len(want) == 1 else "") + ")"
    if is_shape(have, want):
        return _invalid(f"this is one sample of shape {have}", hint="send a list of samples, [sample] for a single one")
    return _invalid(f"a sample has shape {have[1:]}", hint=f"the model takes {words}")


def write_json(outputs: NDArray[Any]) -> bytes:
    """Write `{"outputs": [...]}`; NaN and infinity, which JSON has not, are refused and never written as null."""
    import numpy as np
    from pydantic_core import PydanticSerializationError, to_json

    hint = f"ask for {NPZ} with the header Accept"
    if outputs.dtype.kind in "fc" and not np.isfinite(outputs).all():
        raise failure(406, "not-acceptable", "the outputs hold NaN or infinity, which JSON has not", hint=hint)
    try:
        return to_json({"outputs": outputs.tolist()})
    except (PydanticSerializationError, ValueError):
        message = f"outputs of dtype {outputs.dtype} cannot be written as JSON"
        raise failure(406, "not-acceptable", message, hint=hint) from None


def write_npz(name: str, array: NDArray[Any]) -> bytes:
    """Write an `npz` file of one array that holds no objects."""
    import numpy as np

    file, arrays = BytesIO(), {name: array}
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()
