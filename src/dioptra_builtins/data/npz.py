"""Data sets as `npz` files: named arrays in one file, never pickled."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError
from dioptra.storage import read_arrays

from .._outputs import output_file

__all__ = ["load_arrays", "save_arrays"]


@pyplugs.register
def save_arrays(arrays: Mapping[str, Any], file_name: str, working_dir: str | PathLike[str] | None = None) -> Path:
    """Save named arrays to one compressed `npz` file and return its path.

    Args:
        arrays: Each array by its name; arrays of Python objects are refused, as they would need pickle.
        file_name: Name of the file, `.npz` is added where it is missing.
        working_dir: Folder for the file; the job's output folder by default.

    Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    path = output_file(file_name if file_name.endswith(".npz") else f"{file_name}.npz", working_dir)
    contents = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in contents.items():
        if array.dtype.hasobject:
            raise BaseTaskPluginError(f"array '{name}' holds Python objects", hint="give numbers or text")
    aside = path.with_name(f".{path.name}")
    with aside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **contents)
    return aside.replace(path)


@pyplugs.register
def load_arrays(filepath: str | PathLike[str]) -> dict[str, NDArray[np.generic]]:
    """Load the arrays of an `npz` file by name, refusing anything pickled.

    Args:
        filepath: Path of the file.

    Raises:
        ArchiveError: There is no such file, it is not an `npz` file, or an array in it is pickled.
    """
    return read_arrays(Path(filepath))
