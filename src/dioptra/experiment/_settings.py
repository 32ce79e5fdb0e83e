"""`dioptra.toml`: what a project says about its own capture."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from dioptra.errors import InvalidProjectError, did_you_mean
from dioptra.experiment._files import is_never
from dioptra.storage import ContentHash, hash_content

__all__ = ["FILE_LIMIT", "SETTINGS_FILE", "ProjectSettings", "read_settings"]

SETTINGS_FILE = "dioptra.toml"
FILE_LIMIT = 50_000_000
_LARGEST = 1_000_000  # bytes of the file itself
_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", re.ASCII)


@dataclass(frozen=True)
class ProjectSettings:
    """What the file says, with defaults for what it does not say."""

    share: tuple[str, ...] = ()  # folders with data, from the project on
    file_limit: int = FILE_LIMIT  # bytes that a captured file may have

    def shared_dirs(self, project: Path) -> dict[str, Path]:
        """Return the shared folders of a project by their names; they need not exist."""
        return {name: project / name for name in self.share}

    def link_shared(self, project: Path, into: Path) -> None:
        """Link the shared folders of a project into a copy of it.

        Raises:
            InvalidProjectError: One does not exist.
        """
        for name, folder in self.shared_dirs(project).items():
            if not folder.is_dir():
                raise InvalidProjectError(
                    f"the shared folder {name!r} is not a folder of {str(project)!r}",
                    where=SETTINGS_FILE,
                    hint="make it, or take it out of `share`",
                )
            place = into / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(folder.resolve(), target_is_directory=True)

    def hash_shared(self, project: Path, cache: Path) -> dict[str, ContentHash]:
        """Return the hash of the content of each shared folder."""
        return {name: hash_content(folder, cache=cache) for name, folder in self.shared_dirs(project).items()}


def read_settings(project: Path) -> ProjectSettings:
    """Read the settings of a project; without a file all are as by default.

    Raises:
        InvalidProjectError: The file is not valid.
    """
    file = project / SETTINGS_FILE
    try:
        if file.exists() and not (file.is_file() and file.stat().st_size < _LARGEST):  # a pipe would never end
            raise ValueError("it is not a small file")
        values = tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError:
        return ProjectSettings()
    except (OSError, ValueError) as error:
        raise InvalidProjectError(f"is not valid TOML ({error})", where=str(file)) from error
    for name in values:
        if name not in ("share", "file_limit"):
            known = did_you_mean(name, ("share", "file_limit")) or "known are share and file_limit"
            raise InvalidProjectError(f"{name!r} is not a setting", where=str(file), hint=known)
    return ProjectSettings(_share(file, values.get("share", [])), _size(file, values.get("file_limit", FILE_LIMIT)))


def _share(file: Path, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise _invalid(file, f"share is {value!r}", 'write a list of folders: share = ["data"]')
    found = tuple(os.path.normpath(entry) for entry in value)
    for entry, written in zip(found, value, strict=True):
        parts = PurePosixPath(entry).parts
        if not written or entry == "." or ".." in parts or PurePosixPath(entry).is_absolute() or "\0" in entry:
            raise _invalid(file, f"share holds {written!r}", "name folders inside the project, such as data")
    for entry in found:
        if is_never(os.fsencode(entry)):
            raise _invalid(file, f"share holds {entry!r}, which is never part of a run", "name a folder with data")
    if inner := _inside_another(found):
        raise _invalid(file, f"share names {inner!r} twice, once through a folder above it", "keep one")
    return found


def _inside_another(names: Iterable[str]) -> str:
    paths = sorted(PurePosixPath(name) for name in names)
    return next((str(b) for a, b in pairwise(paths) if b.is_relative_to(a)), "")


def _size(file: Path, value: Any) -> int:
    found = _SIZE.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if not found or found[2] not in _UNITS:
        raise _invalid(file, f"file_limit is {value!r}", 'write a size such as "50 MB"')
    return int(float(found[1]) * _UNITS[found[2]])


def _invalid(file: Path, message: str, hint: str) -> InvalidProjectError:
    return InvalidProjectError(message, where=str(file), hint=hint)
