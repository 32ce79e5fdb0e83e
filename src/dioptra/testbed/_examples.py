"""The projects that come with the testbed."""

from __future__ import annotations

import shutil
from pathlib import Path

import dioptra
from dioptra.errors import NotFoundError, RefusedError, suggest
from dioptra.storage import PROJECT_HOME

__all__ = ["copy_example", "example_dir", "example_names"]


def example_dir(name: str) -> Path:
    """Return the folder of an example: in the installed package, or in the source tree beside it.

    Raises:
        NotFoundError: There is no example of that name.
    """
    found = _examples()
    if name not in found:
        raise NotFoundError(f"there is no example {name!r}", hint=suggest(name, found))
    return found[name]


def example_names() -> list[str]:
    """Return the names of the examples."""
    return sorted(_examples())


def _examples() -> dict[str, Path]:
    package = Path(dioptra.__file__).parent
    roots = [package / "examples", package.parents[1] / "examples"]
    return {file.parent.name: file.parent for root in reversed(roots) for file in root.glob("*/README.md")}


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example into a new or empty folder, and return the folder.

    Raises:
        RefusedError: The folder holds something already.
    """
    source = example_dir(name)
    if folder.exists() and (not folder.is_dir() or any(entry.name != PROJECT_HOME for entry in folder.iterdir())):
        raise RefusedError(f"{str(folder)!r} exists and is not an empty folder", hint="name a new one")
    return Path(shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")))
