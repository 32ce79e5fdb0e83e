"""Samples from files and results to files: npz and csv, never anything that can run code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import InvalidParameterError
from dioptra.storage import read_arrays, write_aside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["read_samples", "write_result"]


def read_samples(path: Path) -> NDArray[np.generic]:
    """Read samples, whose first axis runs over them.

    Args:
        path: An `npz` file with an array `x`, or with one array; or a `csv` file of numbers, a sample in each line,
            with or without a line of names.

    Raises:
        ArchiveError: The `npz` file cannot be read, or holds pickles.
        InvalidParameterError: It is something else.
    """
    readers = {".npz": _read_npz, ".csv": _read_csv}
    return readers[_kind(path, "read")](path)


def write_result(result: Any, path: Path) -> None:
    """Write what a model answered to a file, whole or not at all.

    Args:
        result: An array, or what becomes one.
        path: An `npz` file, which gets the array `result`, or a `csv` file, which gets a line for each sample.

    Raises:
        InvalidParameterError: It is another suffix, or the result has more than two axes and is to become a `csv` file.
    """
    import numpy as np

    writers = {".npz": _npz, ".csv": _csv}
    content = writers[_kind(path, "write")](np.asarray(result), path)
    write_aside(path, content)


def _kind(path: Path, do: str) -> str:
    kind = path.suffix.lower()
    if kind not in (".npz", ".csv"):
        raise InvalidParameterError(
            f"{path.name!r} is neither npz nor csv", hint=f"name such a file, or {do} it in the task's own way"
        )
    return kind


def _read_npz(path: Path) -> NDArray[np.generic]:
    arrays = read_arrays(path)
    if "x" not in arrays and len(arrays) != 1:
        have = ", ".join(sorted(arrays)) or "none"
        raise InvalidParameterError(f"{str(path)!r} has no array 'x' (have: {have})", hint="name the samples x")
    found: NDArray[np.generic] = arrays["x"] if "x" in arrays else next(iter(arrays.values()))
    return found


def _read_csv(path: Path) -> NDArray[np.generic]:
    import pandas as pd

    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0].split(",")
        frame = pd.read_csv(io.StringIO(text), header=None if all(map(_is_number, first)) else "infer", dtype=float)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InvalidParameterError(f"{str(path)!r} is no table of numbers: {reason}", hint="see the file") from error
    found: NDArray[np.generic] = frame.to_numpy()
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _npz(result: NDArray[Any], path: Path) -> bytes:
    import numpy as np

    if result.dtype == object:
        raise InvalidParameterError(f"a result of {path.name!r} is no array of numbers or texts", hint="give an array")
    content = io.BytesIO()
    np.savez(content, result=result)
    return content.getvalue()


def _csv(result: NDArray[Any], path: Path) -> bytes:
    import pandas as pd

    if result.ndim > 2:
        shape = " x ".join(map(str, result.shape))
        raise InvalidParameterError(f"a result of {shape} does not fit {path.name!r}", hint="name an npz file")
    table = result.reshape(len(result), -1) if result.ndim else result.reshape(1, 1)
    return pd.DataFrame(table).to_csv(index=False, header=False).encode()
