"""Loaders of a live version: what Python's import system asks for source, code and data, answered from memory."""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Iterator
from importlib.abc import Loader, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.resources.abc import Traversable, TraversableResources
from types import ModuleType
from typing import IO, Any

from dioptra.experiment._live_files import Files

__all__ = ["FileLoader", "FolderLoader", "Resource"]


class FileLoader(SourceLoader):
    """Loads one file of a version as a module."""

    def __init__(self, files: Files, path: str) -> None:
        self._files, self._path = files, path

    def get_filename(self, fullname: str) -> str:
        """Return what `__file__` says."""
        return self._files.name_of(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        """Return the content of any file of the version.

        Raises:
            FileNotFoundError: There is none.
        """
        found = self._files.path_of(os.fsdecode(path))
        if found is None:
            raise FileNotFoundError(2, "No such file in the snapshot", path)
        return self._files.read(found)

    def exec_module(self, module: ModuleType) -> None:
        """Run the file; its lines can be looked up from now on."""
        self._files.show(self._path)
        super().exec_module(module)

    def get_resource_reader(self, fullname: str) -> TraversableResources:
        """Return what `importlib.resources` reads the module's folder with."""
        return _Resources(self._files, posixpath.dirname(self._path))


class FolderLoader(Loader):
    """Stands for a folder without `__init__.py`: there is nothing to run."""

    def __init__(self, files: Files, path: str) -> None:
        self._files, self._path = files, path

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing."""

    def get_resource_reader(self, fullname: str) -> TraversableResources:
        """Return what `importlib.resources` reads the folder with."""
        return _Resources(self._files, self._path)


class _Resources(TraversableResources):
    def __init__(self, files: Files, path: str) -> None:
        self._root = Resource(files, path)

    def files(self) -> Resource:
        return self._root


class Resource(Traversable):
    """A file or folder of a version, as `importlib.resources` hands it out."""

    def __init__(self, files: Files, path: str) -> None:
        self._files, self._path = files, path

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self._files.name_of(self._path))

    def iterdir(self) -> Iterator[Resource]:
        """Yield what is in the folder."""
        return (self.joinpath(name) for name in self._files.names(self._path))

    def is_dir(self) -> bool:
        """Tell whether it is a folder."""
        return self._files.is_folder(self._path)

    def is_file(self) -> bool:
        """Tell whether it is a file."""
        return self._files.is_file(self._path)

    def joinpath(self, *descendants: str | os.PathLike[str]) -> Resource:
        """Return what is beneath."""
        return Resource(self._files, posixpath.join(self._path, *(os.fspath(each) for each in descendants)))

    def read_bytes(self) -> bytes:
        """Return the content of the file."""
        return self._files.read(self._path)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Return the content of the file as text."""
        with self.open(encoding=encoding, errors=errors) as file:
            return str(file.read())

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:
        """Open the file to read it, as text or as bytes."""
        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"mode {mode!r}: the files of a snapshot can only be read")
        content = io.BytesIO(self.read_bytes())
        return content if mode == "rb" else io.TextIOWrapper(content, *args, **kwargs)

    def __str__(self) -> str:
        return self._files.name_of(self._path)

    def __repr__(self) -> str:
        return f"<Resource {str(self)!r}>"
