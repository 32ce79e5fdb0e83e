"""Samples from files and results to files: npz and csv, never anything that can run code."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import DioptraError, InvalidParameterError
from dioptra.storage import read_arrays, write_aside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["check_kinds", "check_paths", "fit_samples", "read_samples", "write_result"]

_KINDS = (".npz", ".csv")


def check_paths(infile: Path, outfile: Path) -> None:
    """Check that one file can be read and the other be written.

    Raises:
        InvalidParameterError: It cannot, or one would be written over the other.
    """
    if not infile.exists():
        raise InvalidParameterError(f"there is no file {str(infile)!r} to evaluate", hint="name one that exists")
    if not os.access(infile, os.R_OK):
        raise InvalidParameterError(f"{str(infile)!r} cannot be read", hint="see who may read it")
    if outfile.is_dir():
        raise InvalidParameterError(f"{str(outfile)!r} is a folder", hint="name the file to write")
    if not outfile.absolute().parent.is_dir():
        raise InvalidParameterError(
            f"there is no folder {str(outfile.absolute().parent)!r} to write to", hint="make it"
        )
    if not os.access(outfile if outfile.exists() else outfile.absolute().parent, os.W_OK):
        raise InvalidParameterError(f"{str(outfile)!r} cannot be written", hint="name another file")
    if outfile.exists() and outfile.samefile(infile):
        raise InvalidParameterError(f"{str(outfile)!r} would be written over itself", hint="name another file")


def check_kinds(task: object, backend: type, infile: Path, outfile: Path) -> None:
    """Check that a backend can read samples from one file and write a result to another, before there is a result.

    Args:
        task: What evaluates; a file that it reads or writes in a way of its own may be of any kind.
        backend: The class whose `eval_path`, `load_sample` and `store_result` know `npz` and `csv`.
        infile: Where the samples are.
        outfile: Where the result will be.

    Raises:
        InvalidParameterError: The suffix is another one.
    """
    for step, file, do in (("load_sample", infile, "read"), ("store_result", outfile, "write")):
        if all(getattr(type(task), name) is getattr(backend, name) for name in ("eval_path", step)):
            _kind(file, do)


def fit_samples(samples: NDArray[np.generic], dtype: str, path: Path) -> NDArray[np.generic]:
    """Return samples in the type that a model takes.

    Args:
        samples: What was read, `(n, ...)`; whole numbers of a table, which are read as floats, fit whole numbers.
        dtype: A name of numpy's; of another one's, such as `bfloat16`, float32 is as good.
        path: Where they come from.

    Raises:
        InvalidParameterError: There are none, or a number would lose more than digits.
    """
    import numpy as np

    from dioptra.learning._wire import cast

    if samples.dtype.kind == "f" and dtype.lstrip("u").startswith("int") and (samples == np.trunc(samples)).all():
        samples = samples.astype(np.int64)
    try:
        return cast(samples, None, dtype if dtype in np.sctypeDict else "float32")
    except DioptraError as error:
        raise InvalidParameterError(error.message, where=str(path), hint=error.hint) from error


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
    place = path.resolve()  # behind a link
    mode = place.stat().st_mode if place.exists() else 0o666 & ~_umask()
    write_aside(place, content)
    place.chmod(stat.S_IMODE(mode))


def _umask() -> int:
    """Return which permissions new files do not get."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _kind(path: Path, do: str) -> str:
    kind = path.suffix.lower()
    if kind not in _KINDS:
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
        frame = pd.read_csv(io.StringIO(text), header=None if any(map(_is_number, first)) else "infer", dtype=float)
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
