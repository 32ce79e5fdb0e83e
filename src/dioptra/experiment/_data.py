"""What a run measured: data by name and model files, in a folder or in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import Any

from dioptra.errors import RefusedError, UsageError
from dioptra.experiment._journal import Contents, DataJournal, Journal, Operation

__all__ = ["DATA_FILE", "Block", "Data", "DataFolder", "View"]

DATA_FILE = "data.jsonl"
_RESERVED = ("life", "models.jsonl")  # what a task keeps beside its data


class View(Mapping[str, Any]):
    """Data of one moment, by name; every value that it gives is a copy."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return _plain(self._values[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


class Block:
    """Takes values inside a `with` block; they are written together when the block ends."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._operations: list[Operation] | None = []

    def store(self, name: str, value: Any) -> None:
        """Keep a value under a name, in place of what is there.

        Args:
            name: The name to find it by.
            value: None, a bool, a number, text, or lists, tuples and dicts of them; an array or a tensor is kept as
                numbers and lists.

        Raises:
            UsageError: It is something else.
        """
        self._add("store", name, value)

    def append(self, name: str, value: Any) -> None:
        """Append a value to the list of a name, which begins empty; values are those of `store`.

        That the name holds something else is noticed when the block ends, and then nothing of the block is written.
        """
        self._add("append", name, value)

    def end(self) -> list[Operation]:
        """Return what was taken, and take no more."""
        operations, self._operations = self._operations or [], None
        return operations

    def _add(self, do: str, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name:
            raise UsageError(f"{name!r} is no name for data", hint="a name is text")
        if self._operations is None:
            raise UsageError(f"the block that {name!r} is given to has ended", hint="open a new `with` block")
        self._operations.append(Operation(do, self._kind, name, plain(value, name)))


class Data:
    """Data by name, of training, validation and testing and of one's own, and the model files that were made."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def train_data(self) -> View:
        """What training measured, by name; a copy."""
        return self._view("train")

    @property
    def val_data(self) -> View:
        """What validation measured, by name; a copy."""
        return self._view("val")

    @property
    def test_data(self) -> View:
        """What testing measured, by name; a copy."""
        return self._view("test")

    @property
    def custom_data(self) -> View:
        """What the script keeps for itself, by name; a copy."""
        return self._view("custom")

    def latest(self, *, tested: bool = True) -> dict[str, float]:
        """Return the newest number of each name that was measured: as it is, or after `val_` or `test_`.

        Args:
            tested: With what testing measured; lists of it are raw data, and left out.
        """
        views = (("", self.train_data), ("val_", self.val_data), ("test_", self.test_data if tested else {}))
        found: dict[str, float] = {}
        for prefix, view in views:
            for name, value in view.items():
                last = value[-1] if isinstance(value, list) and value and prefix != "test_" else value
                if isinstance(last, int | float) and not isinstance(last, bool):
                    found[prefix + name] = last
        return found

    def train_storage(self) -> AbstractContextManager[Block]:
        """Return a `with` block that adds to the data of training, unless it raises."""
        return self._block("train")

    def val_storage(self) -> AbstractContextManager[Block]:
        """Return a `with` block that adds to the data of validation, unless it raises."""
        return self._block("val")

    def test_storage(self) -> AbstractContextManager[Block]:
        """Return a `with` block that adds to the data of testing, unless it raises."""
        return self._block("test")

    def custom_storage(self) -> AbstractContextManager[Block]:
        """Return a `with` block that adds to the script's own data, unless it raises."""
        return self._block("custom")

    @property
    def model_files(self) -> tuple[str, ...]:
        """The names of the model files, the one registered last at the end."""
        return self._journal.read(lambda contents: tuple(contents.models))

    def register_model_file(self, filename: str | os.PathLike[str]) -> None:
        """Remember the name of a model file; a name that is known already becomes the last one."""
        self._journal.write([Operation("model", name=os.fspath(filename))])

    def fetch_last_model_file(self) -> Path | None:
        """Return the path of the model file registered last, of those that exist; None without a folder."""
        return None

    def reset(self) -> None:
        """Drop the data and the model files."""
        self._journal.write([Operation("reset")])

    def drop_test_data(self) -> None:
        """Drop what testing measured, because it was another model."""
        if self.test_data:
            self._journal.write([Operation("reset", kind="test")])

    def _view(self, kind: str) -> View:
        return View(self._journal.read(lambda contents: contents.of(kind)))

    @contextmanager
    def _block(self, kind: str) -> Iterator[Block]:
        block = Block(kind)
        yield block
        self._journal.write(block.end())


class DataFolder(Data):
    """Data in a folder that exists; any number of objects in any number of processes may read and write it.

    Args:
        folder: Gets `data.jsonl`, at the first write, and the model files.
    """

    reserved: tuple[str, ...] = (DATA_FILE,)

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()  # a script may change its folder
        super().__init__(DataJournal(self.folder / DATA_FILE))

    def make_path(self, filename: str | os.PathLike[str]) -> Path:
        """Return the path of a file in the folder.

        Args:
            filename: A name, or a path below the folder.

        Raises:
            UsageError: It leads out of the folder, names nothing, or names a file that Dioptra keeps there.
        """
        path = PurePath(filename)
        if path.is_absolute() or ".." in path.parts or not path.name or "\0" in str(path):
            raise UsageError(f"{str(filename)!r} is no file in {self.folder}", hint="give a name such as 'final.pt'")
        if str(path) in self.reserved or path.parts[0] in _RESERVED:
            raise UsageError(f"{str(path)!r} in {self.folder} is Dioptra's own", hint="choose another name")
        return self.folder / path

    def register_model_file(self, filename: str | os.PathLike[str]) -> None:
        """Remember a model file of the folder, written already or about to be; it becomes the last one."""
        path = self.make_path(filename)
        if path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder", hint="register a file")
        super().register_model_file(path.relative_to(self.folder))

    def fetch_last_model_file(self) -> Path | None:
        """Return the path of the model file registered last, of those that exist."""
        paths = [self.make_path(name) for name in reversed(self.model_files)]
        return next((path for path in paths if path.is_file()), None)

    def reset(self) -> None:
        """Drop the data and the model files, those on disk too.

        Raises:
            RefusedError: A file cannot be removed; the data are still there.
        """
        self._journal.write([Operation("reset")], before=self._remove_model_files)

    def _remove_model_files(self, contents: Contents) -> None:
        for path in [self.make_path(name) for name in contents.models]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise RefusedError(f"the model file {str(path)!r} cannot be removed ({error.strerror})") from error


def plain(value: Any, name: str) -> Any:
    """Return a value as what JSON gives back: a copy, with tuples, arrays and tensors as lists and numbers.

    Raises:
        UsageError: It cannot be kept.
    """
    try:
        return _plain(value, name)
    except RecursionError as error:
        raise UsageError(f"the value of {name!r} contains itself, or is nested too deep") from error


def _plain(value: Any, name: str) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str.__str__(value)  # a member of an enumeration prints as something else
        case list() | tuple():
            return [_plain(each, name) for each in value]
        case Mapping():
            return {_key(key, name): _plain(each, name) for key, each in value.items()}
    return _plain(_unpacked(value, name), name)


def _key(key: Any, name: str) -> str:
    if not isinstance(key, str):
        hint = "write keys as text"
        raise UsageError(f"a dict in {name!r} has the key {key!r} of type {type(key).__name__}", hint=hint)
    return str.__str__(key)


def _unpacked(value: Any, name: str) -> Any:
    """Return what an array, a tensor or a scalar of numpy holds, without knowing their packages."""
    cause: Exception | None = None
    for method in ("tolist", "item"):
        try:
            inner = getattr(value, method)()
        except Exception as error:
            cause = error
        else:
            if type(inner) is not type(value):
                return inner
    raise UsageError(
        f"a value of type {type(value).__name__} in {name!r} cannot be kept",
        hint="keep numbers, text, lists, dicts with text keys, arrays or tensors",
    ) from cause
