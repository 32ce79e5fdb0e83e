"""Paths: extensions, folders to clear, and the current folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dioptra.errors import UsageError

__all__ = ["clear_directory", "set_cwd", "set_path_ext"]

Location = str | os.PathLike[str]


def set_path_ext(filepath: Location, ext: str) -> Path:
    """Return a path with all its extensions replaced by one: `x.tar.gz` and `csv` give `x.csv`.

    Args:
        filepath: The path of a file.
        ext: The extension, with or without its leading dot; an empty one only takes the others away.

    Raises:
        UsageError: The path has no file name, or the extension is more than one part of a path.
    """
    path = Path(filepath)
    extension = ext.lstrip(".")
    if not path.name or "/" in extension:
        raise UsageError(f"{str(path)!r} cannot be given the extension {ext!r}", hint="name a file, and write 'csv'")
    stem = path.name.removesuffix("".join(path.suffixes))
    return path.with_name(f"{stem}.{extension}" if extension else stem)


def clear_directory(dir_: Location) -> None:
    """Delete what is in a folder, and keep the folder; links are deleted, never what they lead to.

    Raises:
        UsageError: It is no folder.
    """
    folder = Path(dir_)
    if not folder.is_dir():
        raise UsageError(f"{str(folder)!r} is no folder that could be cleared")
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@contextlib.contextmanager
def set_cwd(temp_cwd: Location) -> Iterator[None]:
    """Make a folder the current one inside the block, for the whole process, all threads included.

    Raises:
        UsageError: It is no folder.
    """
    if not Path(temp_cwd).is_dir():
        raise UsageError(f"{str(temp_cwd)!r} is no folder that could be the current one")
    with contextlib.chdir(temp_cwd):
        yield
