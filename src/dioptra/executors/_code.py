"""The code that a script's tasks need and an installed Dioptra does not bring: its modules, and its task plugins.

It is collected from the folders of `sys.path` that nothing was installed into, and goes to the workers with its hash.
Packages are sent whole; of folders without `__init__.py` that the script has not imported, the code alone. What is
hidden stays here, as does what is no regular file, and a link inside a package to something outside.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from importlib.machinery import PathFinder
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from dioptra import settings
from dioptra.errors import FlowError

__all__ = ["Code", "Folder", "collect_code", "hash_of", "is_installed", "read_folder"]

_LIMIT = 64 * 2**20  # bytes: code is small, and data is not sent this way
_MOST_FILES = 10_000
_INSTALLED = ("site-packages", "dist-packages")
_SKIP = ("__pycache__", "node_modules")
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")  # what tells that a folder is one


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
    folders = tuple(read_folder(path, only=names) for path, names in _names().items())
    return Code(sha256("".join(folder.sha256 for folder in folders).encode()).hexdigest(), folders)


def _names() -> dict[Path, list[str]]:
    """Return the names of the files that are sent from each folder, before anything is read."""
    own = _own_places()
    found = {path: _code_of(path, with_namespaces=path in own) for path in _places()}
    try:
        files = list(islice(chain.from_iterable(found.values()), _MOST_FILES + 1))
        _check_size(files)
    except OSError as error:
        raise FlowError(f"some code cannot be sent to a cluster ({error})") from error
    names = {path: sorted(name for place, name in files if place == path) for path in found}
    return {path: each for path, each in names.items() if each}


def _check_size(files: Collection[tuple[Path, str]]) -> None:
    size = sum((place / name).stat().st_size for place, name in files)
    if size <= _LIMIT and len(files) <= _MOST_FILES:
        return
    much = f"are {size / 2**20:.0f} MiB" if size > _LIMIT else f"have more than {_MOST_FILES:,} files"
    raise FlowError(
        f"the modules of {', '.join(dict.fromkeys(str(place) for place, _ in files))} {much}, "
        f"and {_LIMIT / 2**20:.0f} MiB in {_MOST_FILES:,} files are sent to a cluster at most",
        hint="keep data out of the packages",
    )


def read_folder(path: Path, only: Collection[str] | None = None) -> Folder:
    """Read the code of a folder, or only the files with some names.

    Raises:
        FlowError: It cannot be read.
    """
    try:
        names = sorted(name for _, name in _code_of(path)) if only is None else only
        files = {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
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
    return [path for path in found if path not in ours and _is_open(path) and not is_installed(path)]


def is_installed(path: Path) -> bool:
    """Tell whether a file or folder was installed, and so is no part of a project."""
    library = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(path.is_relative_to(place) for place in library) or not {*_INSTALLED}.isdisjoint(path.parts)


def _own_places() -> set[Path]:
    """Return the folder of the script, the current one, and those with task plugins."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    given = [*sys.path[:1], os.curdir, *settings.get("plugin_dir").split(os.pathsep)]
    return {Path(entry or os.curdir).resolve() for entry in given} | (
        {Path(script).resolve().parent} if script else set()
    )


def _code_of(folder: Path, *, with_namespaces: bool = False) -> Iterator[tuple[Path, str]]:
    """Find the files of the modules and packages in a folder, each with the folder and its name there."""
    for entry in folder.iterdir():
        if entry.suffix == ".py" and entry.stem.isidentifier() and entry.is_file():
            yield folder, entry.name
        elif entry.name.isidentifier() and entry.name != "dioptra" and _may_be_code(entry):
            imported = _is_imported(entry)
            if imported or (entry / "__init__.py").is_file() or (with_namespaces and _is_namespace(entry)):
                for file in _files_of(entry, entry.resolve(), whole=imported):
                    yield folder, file.relative_to(folder).as_posix()


def _files_of(folder: Path, package: Path, *, whole: bool) -> Iterator[Path]:
    """Find the files below a folder: all of them in a package, else those with code; no link leads out of `package`."""
    whole = whole or (folder / "__init__.py").is_file()
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if (whole or entry.suffix == ".py") and entry.is_file():
            if not entry.is_symlink() or entry.resolve().is_relative_to(package):
                yield entry
        elif (whole or _holds_code(entry)) and not entry.is_symlink() and _may_be_code(entry):
            yield from _files_of(entry, package, whole=whole)


def _may_be_code(folder: Path) -> bool:
    """Tell whether something is a folder that code can be in: one that can be read, and no environment."""
    if folder.name in _SKIP or not _is_open(folder):
        return False
    return not any((folder / name).exists() for name in _ENVIRONMENT)


def _is_open(path: Path) -> bool:
    """Tell whether something is a folder that can be read."""
    return os.access(path, os.R_OK | os.X_OK) and path.is_dir()


def _is_imported(package: Path) -> bool:
    places = getattr(sys.modules.get(package.name), "__path__", ())
    return any(Path(place).resolve() == package.resolve() for place in places)


def _is_namespace(folder: Path) -> bool:
    """Tell whether an import would find a folder without `__init__.py`, and modules right in it."""
    if not _holds_code(folder):
        return False
    spec = PathFinder.find_spec(folder.name)
    places = spec.submodule_search_locations if spec and spec.origin is None else None
    return any(Path(place).resolve() == folder.resolve() for place in places or ())


def _holds_code(folder: Path) -> bool:
    """Tell whether modules are right in a folder; one with very many files is not read to its end."""
    if not folder.name.isidentifier() or not _is_open(folder):
        return False
    with os.scandir(folder) as entries:
        return any(entry.name.endswith(".py") for entry in islice(entries, _MOST_FILES))
