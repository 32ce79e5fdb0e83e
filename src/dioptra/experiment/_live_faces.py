"""What a live version sees of those modules through which code looks for other code: `sys`, `importlib`, `pkgutil`.

A version's own modules are found through them, and what it does to `sys.path` and the like changes its own copy. All
else of them is the process's.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import posixpath
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dioptra.experiment._live_modules import Modules

__all__ = ["faces"]

Faces = dict[str, Callable[[], ModuleType]]


def faces(modules: Modules, path: list[str]) -> Faces:
    """Return by name what gives the version's view of a module; `path` is its `sys.path`."""
    own: dict[str, Callable[[], dict[str, Any]]] = {
        "sys": lambda: {"modules": _Table(modules), "path": path, "meta_path": list(sys.meta_path)},
        "importlib": lambda: {"import_module": modules.import_module},
        "importlib.util": lambda: {"find_spec": functools.partial(_find_spec, modules)},
        "importlib.resources": lambda: _resources(modules),
        "pkgutil": lambda: {
            "get_data": functools.partial(_get_data, modules),
            "iter_modules": functools.partial(_iter_modules, modules),
            "walk_packages": functools.partial(_walk_packages, modules),
        },
    }
    return {name: functools.cache(functools.partial(_face, modules, name, make)) for name, make in own.items()}


def _face(modules: Modules, name: str, make: Callable[[], dict[str, Any]]) -> ModuleType:
    return _Face(sys.modules[name], make(), modules.face)


class _Face(ModuleType):
    """A module of the process, of which a few names are a version's own."""

    def __init__(self, real: ModuleType, own: dict[str, Any], face: Callable[[Any], Any]) -> None:
        super().__init__(real.__name__)
        described = {name: value for name, value in vars(real).items() if name.startswith("__")}
        vars(self).update({**described, **own, "_dioptra_own": frozenset(own), "_dioptra_view": (real, face)})

    def __getattr__(self, name: str) -> Any:
        real, face = vars(self)["_dioptra_view"]
        return face(getattr(real, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._dioptra_own:
            vars(self)[name] = value
        else:
            setattr(self._dioptra_view[0], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._dioptra_view[0], name)

    def __dir__(self) -> list[str]:
        return dir(self._dioptra_view[0])


class _Table(MutableMapping[str, Any]):
    """`sys.modules` as a version sees it: its own modules, by plain and by full names, before the process's."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules

    def _full(self, name: str) -> str:
        return name if self._modules.is_own(name) else f"{self._modules.name}.{name}"

    def __getitem__(self, name: str) -> Any:
        own, full = self._modules.table(), self._full(name)
        return own[full] if full in own else self._modules.face(sys.modules[name])

    def __setitem__(self, name: str, module: Any) -> None:
        self._modules.put(self._full(name), module)

    def __delitem__(self, name: str) -> None:
        if self._full(name) not in self._modules.table():
            raise KeyError(name)
        self._modules.drop(self._full(name))

    def __iter__(self) -> Iterator[str]:
        own = {name.removeprefix(self._modules.name + "."): None for name in self._modules.table()}
        return iter({**own, **dict.fromkeys(list(sys.modules))})

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _find_spec(modules: Modules, name: str, package: str | None = None) -> ModuleSpec | None:
    try:
        full = modules.full_name(name, package)
        return (
            modules.spec(full, modules.load(full.rpartition(".")[0]))
            if full
            else importlib.util.find_spec(name, package)
        )
    except ModuleNotFoundError:
        return None


def _resources(modules: Modules) -> dict[str, Any]:
    """Return the functions of `importlib.resources` that take a package; it may be named in the version's way."""
    import importlib.resources as real

    names = (
        *("files", "contents", "is_resource", "path"),
        *("open_binary", "open_text", "read_binary", "read_text"),
    )
    return {name: _anchored(modules, getattr(real, name)) for name in names if hasattr(real, name)}


def _anchored(modules: Modules, function: Callable[..., Any]) -> Callable[..., Any]:
    def named(anchor: Any) -> Any:
        full = modules.full_name(anchor) if isinstance(anchor, str) and anchor else None
        return anchor if full is None else modules.load(full)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not args and not {"anchor", "package"} & kwargs.keys():
            args = (sys._getframe(1).f_globals["__name__"],)  # as `files()` does it, in Python 3.12 and later
        given = {key: named(value) if key in ("anchor", "package") else value for key, value in kwargs.items()}
        return function(*map(named, args[:1]), *args[1:], **given)

    return call


def _get_data(modules: Modules, package: str, resource: str) -> bytes | None:
    full = modules.full_name(package)
    if full is None:
        return pkgutil.get_data(package, resource)
    modules.load(full)
    with modules.visible():
        return pkgutil.get_data(full, resource)


def _iter_modules(
    modules: Modules, path: Iterable[str] | None = None, prefix: str = ""
) -> Iterator[pkgutil.ModuleInfo]:
    seen = set()
    folders = modules.import_module("sys").path if path is None else list(path)
    for info in _modules_in(modules, folders, prefix):
        if info.name not in seen:
            seen.add(info.name)
            yield info
    yield from pkgutil.iter_modules([folder for folder in folders if modules.files.path_of(folder) is None], prefix)


def _modules_in(modules: Modules, folders: list[str], prefix: str) -> Iterator[pkgutil.ModuleInfo]:
    finder: Any = None  # who wants it could not use it: `find_spec` knows the process's modules only
    files = modules.files
    for folder in (found for each in folders if (found := files.path_of(each)) is not None):
        for name in files.names(folder):
            stem, suffix = posixpath.splitext(name)
            if files.is_file(posixpath.join(folder, name, "__init__.py")):
                yield pkgutil.ModuleInfo(finder, prefix + name, True)
            elif suffix == ".py" and stem != "__init__" and files.is_file(posixpath.join(folder, name)):
                yield pkgutil.ModuleInfo(finder, prefix + stem, False)


def _walk_packages(
    modules: Modules,
    path: Iterable[str] | None = None,
    prefix: str = "",
    onerror: Callable[[str], object] | None = None,
) -> Iterator[pkgutil.ModuleInfo]:
    for info in _iter_modules(modules, path, prefix):
        yield info
        if info.ispkg:
            try:
                package = modules.import_module(info.name)
            except Exception as error:
                if onerror is not None:
                    onerror(info.name)
                elif not isinstance(error, ImportError):
                    raise
                continue
            yield from _walk_packages(modules, package.__path__, info.name + ".", onerror)
