"""Where a task plugin writes its files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from dioptra import settings
from dioptra.errors import BaseTaskPluginError

__all__ = ["output_dir", "output_file"]


def output_dir(working_dir: str | PathLike[str] | None = None) -> Path:
    """Return the folder for a job's files: the given one, else `DIOPTRA_OUTPUT_DIR`, else the current folder."""
    folder = Path(working_dir or settings.get("output_dir") or ".")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def output_file(file_name: str, working_dir: str | PathLike[str] | None = None) -> Path:
    """Return the path of a file in the folder for a job's files; the name may not lead out of it."""
    folder = output_dir(working_dir)
    path = folder / file_name
    if not file_name or not path.resolve().is_relative_to(folder.resolve()) or path.is_dir():
        raise BaseTaskPluginError(f"'{file_name}' does not name a file in {folder}", hint="give a plain file name")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
