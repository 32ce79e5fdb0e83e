"""Files of a collection of task plugins that cannot be imported, or that do more than lie there."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterable, Iterator

from dioptra.pyplugs._source_files import Entry
from dioptra.pyplugs._source_problem import Problem

__all__ = ["check_files"]

_ACTED_UPON = frozenset({"sitecustomize.py", "usercustomize.py", ".git"})

_WRONG_KINDS = {
    "outside": ("it is a link that leads out of the collection", "put the file itself in its place"),
    "broken link": ("it is a link that leads nowhere", "remove it"),
    "other": ("it is neither a file nor a folder", "remove it"),
    "unreadable": ("the folder cannot be read", "change its permissions"),
}


def check_files(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Yield what is wrong with the files as such: their names and kinds."""
    every = list(entries)
    for entry in every:
        yield from _of_kind(entry)
    folders = _folders_with_python(every)
    modules = [entry for entry in every if entry.is_python or (entry.kind == "folder" and entry.file in folders)]
    for entry in modules:
        yield from _of_name(entry)
    yield from _clashes(modules)


def stem(entry: Entry) -> str:
    """Return the name of the module or package that an entry would be."""
    return entry.name.removesuffix(".py") if entry.kind == "file" else entry.name


def _of_kind(entry: Entry) -> Iterator[Problem]:
    if entry.kind in _WRONG_KINDS:
        yield Problem(entry.file, 0, *_WRONG_KINDS[entry.kind])
    if entry.kind == "linked folder":
        yield Problem(entry.file, 0, "it is a link to a folder, which is not looked into", is_error=False)
    if entry.name in _ACTED_UPON or entry.name.endswith(".pth"):
        yield Problem(entry.file, 0, "other programs act upon a file of that name", "remove it, or rename it")


def _folders_with_python(entries: Iterable[Entry]) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        parent = entry.file.rpartition("/")[0] if entry.is_python else ""
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def _of_name(entry: Entry) -> Iterator[Problem]:
    name = stem(entry)
    what = "module" if entry.kind == "file" else "package"
    if not name.isidentifier() or keyword.iskeyword(name):
        yield Problem(
            entry.file,
            0,
            f"{name!r} cannot be the name of a {what}",
            "use letters, digits and _, and no word of Python's",
        )
    elif name in sys.stdlib_module_names and not name.startswith("_"):
        yield Problem(
            entry.file, 0, f"Python has a module {name!r} of its own", "import this one relatively", is_error=False
        )


def _clashes(modules: Iterable[Entry]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], Entry] = {}
    for entry in modules:
        place = (entry.file.rpartition("/")[0], stem(entry).casefold())
        other = seen.setdefault(place, entry)
        if other is entry:
            continue
        if stem(other) == stem(entry):
            yield Problem(entry.file, 0, f"{other.file!r} has the same name, so that one hides the other", "rename one")
        else:
            message = f"its name differs from {other.file!r} only in upper and lower case"
            yield Problem(entry.file, 0, message, "rename one: some file systems take them for the same")
