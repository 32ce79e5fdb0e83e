"""What will go wrong with a collection of task plugins, found without importing anything of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dioptra.pyplugs._check_files import check_files
from dioptra.pyplugs._check_imports import check_imports
from dioptra.pyplugs._source import Loaded, load
from dioptra.pyplugs._source_problem import Problem

__all__ = ["check_plugins"]


def check_plugins(folder: Path, collection: str, *, others: Iterable[str] = ()) -> tuple[Problem, ...]:
    """Return what is wrong with a collection, by file and line.

    An error fails for certain: when a module is imported, when its functions are looked for, or when the files are
    moved. All else is a warning. An import of something that is not there is an error where the module itself does it,
    a warning in a function or under a condition, and nothing where `except ImportError` or `require_package` expects
    it, or where it is for type checkers alone; the collection's own modules must be there in functions as well.

    Args:
        folder: The folder that is the package.
        collection: The name by which it is imported.
        others: Packages that will be there when the plugins are imported, though they are not installed here.

    Raises:
        NotFoundError: There is no such folder.
    """
    loaded = load(folder, collection)
    found = {
        *loaded.problems,
        *check_files(loaded.entries),
        *check_imports(loaded, collection, others),
        *_nothing_registered(loaded, collection),
    }
    return tuple(sorted(found, key=lambda each: (each.file, each.line, not each.is_error, each.message)))


def _nothing_registered(loaded: Loaded, collection: str) -> Iterator[Problem]:
    unsure = any(each.registers_by_call for each in loaded.modules) or any(each.is_error for each in loaded.problems)
    if not unsure and not any(each.functions for each in loaded.modules):
        yield Problem(
            "",
            0,
            f"{collection!r} registers no task plugin",
            "write @pyplugs.register above its functions",
            is_error=False,
        )
