"""The modules of one live version, and the `import` that its code uses: its own modules, else those of the process.

Each version has names of its own in `__name__`, such as `dioptra_snapshot_abcdefgh.models`, so that versions cannot be
taken for each other. They are in `sys.modules` only while a module is being loaded, for those that look there (such as
`dataclasses`); else the version's table has them.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from itertools import count, takewhile
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

from dioptra.experiment._live_faces import faces
from dioptra.experiment._live_files import Files
from dioptra.experiment._live_loader import FileLoader, FolderLoader
from dioptra.experiment._live_outside import is_fixed, look_outside

__all__ = ["Modules"]

_TAKEN: set[str] = set()
_LIVING: weakref.WeakValueDictionary[str, Modules] = weakref.WeakValueDictionary()
_LOCK = threading.Lock()


@dataclass
class _Entry:
    """A module; `thread` is the one that is loading it."""

    module: Any
    thread: int | None = None


class Modules:
    """The modules of one version, each loaded when it is first imported.

    Args:
        files: The version's files.
        label: What their names begin with.
        script: The file that is run; its folder is the first to be searched, as for `python SCRIPT`.
        project: The folder that was captured: what is in there now is not the version's.
    """

    def __init__(self, files: Files, label: str, script: str, project: str = "") -> None:
        self.files = files
        self.name = _take_name(label)
        weakref.finalize(self, _TAKEN.discard, self.name).atexit = False
        _LIVING[self.name] = self
        self.script_name = f"{self.name}.{PurePosixPath(script).stem.replace('.', '_')}"
        self._script = script
        self._project = project
        self._outside = tuple(sys.path)
        here = files.name_of(str(PurePosixPath(script).parent))
        self._faces = faces(self, [here, *self._outside, files.folder, f"{files.folder}/src"])
        self._builtins = {**vars(builtins), "__import__": self.import_}
        self._entries = {self.name: _Entry(self._make(self._folder_spec(self.name, [files.folder])))}
        self._shared: set[str] = set()
        self._changed = threading.Condition(threading.RLock())
        self._waits: dict[int, _Entry] = {}
        self._viewers = 0

    def import_(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - its names are Python's
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Iterable[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Import as `__import__` does, for the code of this version."""
        package = _package(globals) if level else ""
        full = self.full_name("." * level + name, package) if not level or self.is_own(package) else None
        if full is None:
            return self.face(builtins.__import__(name, globals, locals, tuple(fromlist or ()), level))
        module = self.load(full)
        if fromlist:
            self._load_named(full, module, fromlist)
            return module
        return self.load(".".join(full.split(".")[: 1 if self.is_own(name) else 2]))

    def import_module(self, name: str, package: str | None = None) -> Any:
        """Import as `importlib.import_module` does."""
        full = self.full_name(name, package)
        return self.face(importlib.import_module(name, package)) if full is None else self.load(full)

    def full_name(self, name: str, package: str | None = None) -> str | None:
        """Return the name that a module of the version has in `__name__`; None for those of the process.

        Raises:
            ImportError: A relative name leads out of its package.
            ModuleNotFoundError: Only the project as it is now has the module.
        """
        absolute = importlib.util.resolve_name(name, package)
        top = absolute.partition(".")[0]
        if self.is_own(absolute):
            return absolute
        if top == "__main__":
            return self.script_name
        return f"{self.name}.{absolute}" if self._has(top) else None

    def is_own(self, name: str) -> bool:
        """Tell whether a `__name__` is one of this version's."""
        return name == self.name or name.startswith(self.name + ".")

    def face(self, module: Any) -> Any:
        """Return a module of the process as this version is to see it."""
        make = self._faces.get(module.__name__) if isinstance(module, ModuleType) else None
        return make() if make else module

    def load(self, name: str) -> Any:
        """Return a module by its full name; those of its packages are loaded before it."""
        entry = self._entries.get(name)
        if entry is None or entry.thread is not None:
            parent = self.load(name.rpartition(".")[0])
            with self.visible():
                entry, is_new = self._begin(name, parent)
                if is_new:
                    self._run(name, entry, parent)
        if entry.module is None:
            raise ModuleNotFoundError(f"import of {self.plain_name(name)} halted; None in sys.modules", name=name)
        return entry.module

    def spec(self, name: str, parent: Any) -> ModuleSpec:
        """Find a module by its full name.

        Raises:
            ModuleNotFoundError: There is none.
        """
        if name == self.script_name:
            return self._file_spec(name, self._script)
        plain, top = self.plain_name(name), self._entries[self.name].module
        folders = self._path if parent is top else getattr(parent, "__path__", None)
        if folders is None:
            holder = plain.rpartition(".")[0]
            raise ModuleNotFoundError(f"No module named {plain!r}; {holder!r} is not a package", name=plain)
        path = self._regular(plain.rpartition(".")[2], folders)
        if path is not None:
            return self._file_spec(name, path)
        portions = self._portions(plain.rpartition(".")[2], folders)
        if not portions:
            raise ModuleNotFoundError(f"No module named {plain!r}", name=plain)
        return self._folder_spec(name, portions)

    def table(self) -> dict[str, Any]:
        """Return all that is loaded or being loaded, by full name."""
        with self._changed:
            return {name: entry.module for name, entry in self._entries.items()}

    def put(self, name: str, module: Any) -> None:
        """Set what is imported under a name, as code does that assigns to `sys.modules`; None forbids the import."""
        with self._changed:
            self._entries.setdefault(name, _Entry(None)).module = module

    def drop(self, name: str) -> None:
        """Forget a module, so that it is loaded again."""
        with self._changed:
            self._entries.pop(name, None)
            sys.modules.pop(name, None)

    @contextmanager
    def visible(self) -> Iterator[None]:
        """Have the version's modules in `sys.modules` meanwhile, under their full names."""
        with self._changed:
            if not self._viewers:
                sys.modules.update(self.table())
            self._viewers += 1
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1
                for name in [] if self._viewers else list(sys.modules):
                    if self.is_own(name):
                        sys.modules.pop(name, None)

    @property
    def _path(self) -> list[str]:
        """What the version sees as `sys.path`."""
        path: list[str] = self._faces["sys"]().path
        return path

    def _begin(self, name: str, parent: Any) -> tuple[_Entry, bool]:
        """Return the entry of a module, and whether it is new and this thread has to fill it.

        One that another thread loads is waited for, unless that one waits for this: then, as in a circle of imports, it
        is given as far as it is.
        """
        me = threading.get_ident()
        with self._changed:
            while (entry := self._entries.get(name)) and not self._is_ready(entry, me):
                self._waits[me] = entry
                try:
                    self._changed.wait()
                finally:
                    del self._waits[me]
            if entry:
                return entry, False
            entry = self._entries[name] = _Entry(self._make(self.spec(name, parent)), me)
            sys.modules[name] = entry.module
            return entry, True

    def _is_ready(self, entry: _Entry, me: int) -> bool:
        waited_for: _Entry | None = entry
        while waited_for and waited_for.thread is not None:
            if waited_for.thread == me:
                return True
            waited_for = self._waits.get(waited_for.thread)
        return entry.thread is None

    def _run(self, name: str, entry: _Entry, parent: Any) -> None:
        try:
            entry.module.__spec__.loader.exec_module(entry.module)
        except BaseException:
            with self._changed:
                self.drop(name)
                self._changed.notify_all()
            raise
        with suppress(AttributeError):
            setattr(parent, name.rpartition(".")[2], entry.module)
        with self._changed:
            entry.thread = None
            self._changed.notify_all()

    def _make(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = self._builtins
        return module

    def _load_named(self, full: str, module: Any, names: Iterable[str]) -> None:
        """Load those modules of a package that `from package import ...` names."""
        for name in names if hasattr(module, "__path__") else ():
            if name == "*":
                self._load_named(full, module, getattr(module, "__all__", ()))
            elif not hasattr(module, name):
                try:
                    self.load(f"{full}.{name}")
                except ModuleNotFoundError as error:
                    if error.name != self.plain_name(f"{full}.{name}"):
                        raise

    def _has(self, top: str) -> bool:
        """Tell whether a top-level name is the version's; Python's order of search decides."""
        if f"{self.name}.{top}" in self._entries:
            return True
        if top in self._shared or not top:
            return False
        path, outside = self._path, set(self._outside)
        front = list(takewhile(lambda folder: folder not in outside, path))
        if not is_fixed(top):
            if self._regular(top, front):
                return True
            found = look_outside(top, self._project)
            if found != "regular":
                if self._regular(top, path) or self._portions(top, path):
                    return True
                if found == "project":
                    said = f"No module named {top!r} in the snapshot; the project as it is now has one"
                    raise ModuleNotFoundError(said, name=top)
            if found == "nothing":
                return False
        self._shared.add(top)
        return False

    def _regular(self, name: str, folders: Iterable[str]) -> str | None:
        for folder in self._own_folders(folders):
            for file in (f"{name}/__init__.py", f"{name}.py"):
                if self.files.is_file(path := str(PurePosixPath(folder, file))):
                    return path
        return None

    def _portions(self, name: str, folders: Iterable[str]) -> list[str]:
        paths = [str(PurePosixPath(folder, name)) for folder in self._own_folders(folders)]
        return list(dict.fromkeys(self.files.name_of(path) for path in paths if self.files.is_folder(path)))

    def _own_folders(self, folders: Iterable[str]) -> Iterator[str]:
        return (path for folder in folders if (path := self.files.path_of(str(folder))) is not None)

    def _file_spec(self, name: str, path: str) -> ModuleSpec:
        spec = importlib.util.spec_from_loader(name, FileLoader(self.files, path))
        assert spec is not None  # noqa: S101 - a loader that has `get_filename` always gives one
        return spec

    def _folder_spec(self, name: str, portions: list[str]) -> ModuleSpec:
        loader = FolderLoader(self.files, self.files.path_of(portions[0]) or "")
        spec = ModuleSpec(name, loader, is_package=True)
        spec.submodule_search_locations = portions
        return spec

    def plain_name(self, name: str) -> str:
        """Return the name that the version's own code imports a module by."""
        if name == self.script_name:
            return "__main__"
        return name.removeprefix(self.name + ".")


def living(name: str) -> Modules | None:
    """Return the version that a module with this `__name__` belongs to; None if nothing holds it any more."""
    return _LIVING.get(name.partition(".")[0])


def _take_name(label: str) -> str:
    """Return a name that no living version has; one that is free again is used again, as loggers are kept by name."""
    with _LOCK:
        names = (label if number == 1 else f"{label}_{number}" for number in count(1))
        name = next(name for name in names if name not in _TAKEN)
        _TAKEN.add(name)
        return name


def _package(globals: Mapping[str, Any] | None) -> str:  # noqa: A002 - as Python calls them
    return str((globals or {}).get("__package__") or "")
