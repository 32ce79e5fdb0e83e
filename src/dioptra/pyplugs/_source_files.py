"""The files of a collection of task plugins, found and parsed."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator
from importlib.util import decode_source
from pathlib import Path
from threading import Lock
from typing import Literal, NamedTuple

from dioptra.errors import NotFoundError
from dioptra.pyplugs._source_problem import Problem

__all__ = ["Entry", "Parsed", "entries_of", "module_of", "parse", "parse_quietly"]

MAX_BYTES = 2_000_000
_NOT_ENTERED = ("__pycache__", ".git")
_SLOW = ("punycode", "idna")  # codecs whose time grows with the square of the length

Kind = Literal["file", "folder", "linked folder", "broken link", "outside", "other", "unreadable"]
_LOCK = Lock()  # filters of warnings belong to the whole process


class Entry(NamedTuple):
    """A file or folder in a collection."""

    file: str  # relative to the collection, with slashes
    path: Path
    kind: Kind

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.file.rpartition("/")[2]

    @property
    def is_python(self) -> bool:
        """Whether it is a source file, and not a hidden one."""
        return self.kind == "file" and self.name.endswith(".py") and not f"/{self.file}".count("/.")


class Parsed(NamedTuple):
    """A source file: its text and what Python's parser makes of it."""

    file: str
    text: str
    tree: ast.AST
    warnings: tuple[Problem, ...]


def entries_of(folder: Path) -> list[Entry]:
    """Return all files and folders in a folder by their paths; links to folders are not followed.

    Raises:
        NotFoundError: There is no such folder.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {str(folder)!r}")
    root = folder.resolve()
    found: list[Entry] = []
    waiting = [Entry("", root, "folder")]
    while waiting:
        place = waiting.pop()
        try:
            inside = list(_inside(root, place))
        except OSError:
            found.append(place._replace(kind="unreadable"))
            continue
        found += inside
        waiting += [each for each in inside if each.kind == "folder" and each.name not in _NOT_ENTERED]
    return sorted(found, key=lambda entry: (entry.file, entry.kind))


def module_of(file: str, collection: str) -> tuple[str, bool] | None:
    """Return the module that a file is, and whether it is a package; None where a dot in a name forbids it."""
    parts = file.removesuffix(".py").split("/")
    if any("." in part for part in parts):
        return None
    is_package = parts[-1] == "__init__"
    return ".".join([collection, *parts[: -1 if is_package else None]]), is_package


def parse(entry: Entry) -> Parsed | Problem:
    """Return a source file parsed, or why it cannot be."""
    try:
        data = _read(entry.path)
        if data is None:
            return Problem(entry.file, 0, f"it has more than {MAX_BYTES:,} bytes", "keep data in files of their own")
        text = _decode(data)
        tree, said = parse_quietly(text, "exec")
    except OSError as error:
        return Problem(entry.file, 0, f"it cannot be read: {error.strerror or error}")
    except SyntaxError as error:
        return Problem(entry.file, error.lineno or 0, f"Python cannot read it: {error.msg}")
    except (UnicodeError, LookupError) as error:
        hint = "write it as UTF-8, or name its encoding in line 1"
        return Problem(entry.file, _line(error), f"it is not text: {error}", hint)
    except (RecursionError, MemoryError, OverflowError):
        return Problem(entry.file, 0, "it is nested too deeply for Python", "write it in simpler parts")
    except ValueError as error:
        return Problem(entry.file, 0, f"Python cannot read it: {error}")
    return Parsed(entry.file, text, tree, tuple(_warnings(entry.file, said)))


def parse_quietly(text: str, mode: Literal["exec", "eval"]) -> tuple[ast.AST, list[warnings.WarningMessage]]:
    """Return what Python's parser makes of a text, and what it warns of."""
    with _LOCK, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return ast.parse(text, mode=mode), said


def _read(path: Path) -> bytes | None:
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    return data if len(data) <= MAX_BYTES else None


def _decode(data: bytes) -> str:
    first_lines = b"".join(data.split(b"\n", 2)[:2])
    if b"coding" in first_lines and any(name.encode() in first_lines.lower() for name in _SLOW):
        raise LookupError("its encoding is none for source files")
    return decode_source(data)


def _line(error: Exception) -> int:
    """Return the line of the byte that cannot be decoded, if it is known."""
    return error.object[: error.start].count(b"\n") + 1 if isinstance(error, UnicodeDecodeError) else 0


def _warnings(file: str, said: list[warnings.WarningMessage]) -> Iterator[Problem]:
    for each in said:
        if issubclass(each.category, (SyntaxWarning, DeprecationWarning)):
            yield Problem(file, each.lineno, f"Python warns: {each.message}", is_error=False)


def _inside(root: Path, place: Entry) -> Iterator[Entry]:
    with os.scandir(place.path) as found:
        for each in found:
            name = os.fsencode(each.name).decode("utf-8", "replace")
            file = f"{place.file}/{name}" if place.file else name
            yield Entry(file, Path(each.path), _kind(root, each))


def _kind(root: Path, found: os.DirEntry[str]) -> Kind:
    if found.is_symlink():
        target = Path(os.path.realpath(found.path))
        if not target.is_relative_to(root):
            return "outside"
        if target.is_dir():
            return "linked folder"
        return "file" if target.is_file() else "broken link"
    if found.is_dir():
        return "folder"
    return "file" if found.is_file() else "other"
