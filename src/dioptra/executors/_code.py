"""The code that a script's tasks need and an installed Dioptra does not bring: its modules, and its task plugins.

It is collected from the folders of `sys.path` that nothing was installed into, and goes to the workers with its hash.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from dioptra.errors import FlowError

__all__ = ["Code", "Folder", "collect_code", "hash_of", "is_installed", "read_folder"]

_LIMIT = 64 * 2**20  # bytes: code is small, and data is not sent this way
_INSTALLED = ("site-packages", "dist-packages")
_SKIP = ("__pycache__", "node_modules")


class Folder(NamedTuple):
    """A folder of `sys.path`, with those of its files that are modules, or that lie in packages."""

    path: str
    sha256: str
    files: Mapping[str, bytes]

    def names(self) -> set[str]:
        """Return the top-level modules and packages."""
        return {name.partition("/")[0].removesuffix(".py") for name in self.files}


class Code(NamedTuple):
    """All that is sent, in the order of `sys.path`."""

    sha256: str
    folders: tuple[Folder, ...]


def collect_code() -> Code:
    """Read the code of the script's folders as it is now.

    Raises:
        FlowError: It is too much, or cannot be read.
    """
    folders = tuple(folder for path in _places() if (folder := read_folder(path)).files)
    size = sum(len(data) for folder in folders for data in folder.files.values())
    if size > _LIMIT:
        raise FlowError(
            f"the modules of {', '.join(folder.path for folder in folders)} are {size / 2**20:.0f} MiB, "
            f"and {_LIMIT / 2**20:.0f} are sent to a cluster at most",
            hint="keep data out of the packages",
        )
    return Code(sha256("".join(folder.sha256 for folder in folders).encode()).hexdigest(), folders)


def read_folder(path: Path, only: Mapping[str, object] | None = None) -> Folder:
    """Read the code of a folder, or only the files with some names.

    Raises:
        FlowError: It cannot be read.
    """
    names = sorted(_code_of(path)) if only is None else [name for name in only if (path / name).is_file()]
    try:
        files = {name: (path / name).read_bytes() for name in names}
    except OSError as error:
        raise FlowError(f"{str(path)!r} has code that cannot be sent to a cluster ({error})") from error
    return Folder(str(path), hash_of(files), files)


def hash_of(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of names and contents."""
    found = sha256()
    for name, data in sorted(files.items()):
        found.update(f"{len(name.encode())} {len(data)} {name}".encode())
        found.update(data)
    return found.hexdigest()


def _places() -> list[Path]:
    """Return the folders of `sys.path` that hold the script's own modules."""
    from dioptra.prefect import STAND_IN_DIR
    from dioptra.tracking import IN_JOB_DIR

    ours = {Path(__file__).resolve().parents[2], STAND_IN_DIR.resolve(), IN_JOB_DIR.resolve()}
    found = dict.fromkeys(Path(entry or os.curdir).resolve() for entry in sys.path)
    return [path for path in found if path not in ours and path.is_dir() and not is_installed(path)]


def is_installed(path: Path) -> bool:
    """Tell whether a file or folder was installed, and so is no part of a project."""
    library = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(path.is_relative_to(place) for place in library) or not {*_INSTALLED}.isdisjoint(path.parts)


def _code_of(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.suffix == ".py" and entry.stem.isidentifier() and entry.is_file():
            yield entry.name
        elif entry.name.isidentifier() and entry.is_dir() and _is_package(entry):
            yield from _files_of(entry, folder)


def _is_package(folder: Path) -> bool:
    """Tell whether a folder is a package: one that says so, or one without a word that has been imported."""
    if folder.name in _SKIP or folder.name == "dioptra":
        return False
    if (folder / "__init__.py").is_file():
        return True
    places = getattr(sys.modules.get(folder.name), "__path__", ())
    return any(Path(place).resolve() == folder.resolve() for place in places)


def _files_of(package: Path, folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name not in _SKIP and not name.startswith(".")]
        yield from (Path(place, name).relative_to(folder).as_posix() for name in names if not name.startswith("."))
