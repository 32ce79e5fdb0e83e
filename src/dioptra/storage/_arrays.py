"""Data sets as `npz` files, without pickles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import ArchiveError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_arrays"]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an `npz` file by name, never a pickled one.

    Raises:
        ArchiveError: There is no such file, it is not an `npz` file, or an array in it is pickled.
    """
    import zipfile
    import zlib

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as contents:
            return {name: contents[name] for name in contents.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{path} is not a readable npz file without pickles: {error}") from error
