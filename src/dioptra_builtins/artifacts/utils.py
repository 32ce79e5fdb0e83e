"""Folders and archives on disk."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from dioptra import pyplugs
from dioptra.storage import DATA_LIMITS, unpack_tar

from .._outputs import output_dir as outputs

__all__ = ["extract_tarfile", "extract_tarfile_in_unique_subdir", "make_directories"]


@pyplugs.register
def extract_tarfile(
    filepath: str | PathLike[str], tarball_read_mode: str = "r:gz", output_dir: str | PathLike[str] | None = None
) -> Path:
    """Unpack a tar archive, plain files and folders only, and return the folder it was unpacked into.

    Args:
        filepath: Path of the archive.
        tarball_read_mode: `r:gz`, `r:bz2`, `r:xz` or `r:` (not compressed).
        output_dir: Folder to unpack into; the job's output folder by default.

    Raises:
        ArchiveError: The archive is damaged, or a member leads out of the folder, is a link, or is too large.
    """
    return unpack_tar(Path(filepath), outputs(output_dir), mode=tarball_read_mode, limits=DATA_LIMITS)


@pyplugs.register
def extract_tarfile_in_unique_subdir(filepath: str | PathLike[str], tarball_read_mode: str = "r:gz") -> Path:
    """Unpack a tar archive into a new folder with a random name and return that folder.

    Args:
        filepath: Path of the archive.
        tarball_read_mode: `r:gz`, `r:bz2`, `r:xz` or `r:` (not compressed).

    Raises:
        ArchiveError: The archive is damaged, or a member leads out of the folder, is a link, or is too large.
    """
    return unpack_tar(Path(filepath), outputs() / uuid.uuid4().hex, mode=tarball_read_mode, limits=DATA_LIMITS)


@pyplugs.register
def make_directories(dirs: Iterable[str | PathLike[str]]) -> None:
    """Make folders, with those above them, where they do not exist yet.

    Args:
        dirs: Paths of the folders.
    """
    for folder in dirs:
        Path(folder).mkdir(parents=True, exist_ok=True)
