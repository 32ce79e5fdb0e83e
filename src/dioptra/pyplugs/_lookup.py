"""Finding task plugins: by package, module and function name, importing what is needed."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Set
from typing import Any

from dioptra.errors import UnknownPackageError, UnknownPluginError, UnknownPluginFunctionError, suggest
from dioptra.pyplugs._registry import PluginInfo, forget, functions, plugins

__all__ = ["call", "exists", "funcs", "get", "info", "names"]

logger = logging.getLogger("dioptra.pyplugs")


def names(package: str) -> list[str]:
    """Return the plugins of a package: its modules that register something, by their `sort_value`.

    Every module whose name does not begin with an underscore is imported; one that cannot be imported is left out.

    Raises:
        UnknownPackageError: The package does not exist.
    """
    for plugin in _modules(package):
        try:
            _import(package, plugin)
        except (ImportError, UnknownPluginError) as error:
            logger.info("plugin %s.%s is left out: %s%s", package, plugin, error, _place(error))
    found = plugins(package)
    return sorted(found, key=lambda plugin: next(iter(found[plugin].values())).sort_value)


def funcs(package: str, plugin: str) -> list[str]:
    """Return the functions that a plugin registers, in the order of registration.

    Raises:
        UnknownPackageError: The package does not exist.
        UnknownPluginError: The package has no such module, or the module registers nothing.
    """
    return list(_registered(package, plugin))


def info(package: str, plugin: str, func: str | None = None) -> PluginInfo:
    """Return what is known of a function, the first registered one of the plugin by default.

    Raises:
        UnknownPackageError: The package does not exist.
        UnknownPluginError: The package has no such module, or the module registers nothing.
        UnknownPluginFunctionError: The module registers no function of that name.
    """
    found = _registered(package, plugin)
    name = next(iter(found)) if func is None else func
    if name not in found:
        raise UnknownPluginFunctionError(
            f"plugin {_dotted(package, plugin)!r} has no registered function {name!r}", hint=suggest(name, found)
        )
    return found[name]


def exists(package: str, plugin: str) -> bool:
    """Tell whether a package has a plugin that registers something."""
    try:
        return bool(_registered(package, plugin))
    except (UnknownPackageError, UnknownPluginError):
        return False


def get(package: str, plugin: str, func: str | None = None) -> Callable[..., Any]:
    """Return a registered function, the first one of the plugin by default; it raises as `info` does."""
    return info(package, plugin, func).func


def call(package: str, plugin: str, func: str | None = None, *args: Any, **kwargs: Any) -> Any:
    """Call a registered function now and return what it returns; it raises as `info` does."""
    return get(package, plugin, func)(*args, **kwargs)


def _registered(package: str, plugin: str) -> dict[str, PluginInfo]:
    _import(package, plugin)
    found = functions(package, plugin)
    if not found:
        raise UnknownPluginError(
            f"plugin {_dotted(package, plugin)!r} registers no function",
            hint="write @pyplugs.register above the functions that are task plugins",
        )
    return found


def _import(package: str, plugin: str) -> None:
    module = _dotted(package, plugin)
    if "" in module.split("."):
        raise UnknownPluginError(f"{plugin!r} of package {package!r} is not the name of a plugin")
    before = plugins(package).keys()
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        no_package = bool(missing) and f"{package}.".startswith(f"{missing}.")
        if (missing == module or no_package) and functions(package, plugin):
            return  # they are of a module that is no file, or no longer on the path
        if missing == module:
            raise _unknown_plugin(package, plugin) from error
        if no_package:
            raise _unknown_package(package) from error
        _drop(package, plugin, before)
        _say_where(error, module)
        raise
    except BaseException as error:
        _drop(package, plugin, before)
        if isinstance(error, ImportError):
            _say_where(error, module)
        raise


def _drop(package: str, plugin: str, before: Set[str]) -> None:
    """Forget what a module, and others that it imported, had registered before the import failed."""
    for each in {plugin} | (plugins(package).keys() - before):
        if _dotted(package, each) not in sys.modules:
            forget(package, each)


def _say_where(error: ImportError, module: str) -> None:
    error.add_note(f"while plugin {module!r} was imported{_place(error)}")


def _place(error: BaseException) -> str:
    """Return the line of the import that failed: the last one that is not Python's own machinery."""
    from traceback import extract_tb

    frames = [frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f" ({frames[-1].filename} line {frames[-1].lineno})" if frames else ""


def _modules(package: str) -> list[str]:
    """Name the modules of a package that may be plugins, importing none of them."""
    from importlib.resources import files

    if not package:
        return []
    if "" in package.split("."):
        raise UnknownPackageError(f"{package!r} is not the name of a package")
    try:
        if not hasattr(importlib.import_module(package), "__path__"):
            raise UnknownPackageError(f"{package!r} is a module, not a package", hint="name the package that holds it")
        entries = [entry.name for entry in files(package).iterdir()]
    except ModuleNotFoundError as error:
        if not error.name or not f"{package}.".startswith(f"{error.name}."):
            raise
        raise _unknown_package(package) from error
    return sorted(name[:-3] for name in entries if name.endswith(".py") and not name.startswith("_"))


def _unknown_package(package: str) -> UnknownPackageError:
    return UnknownPackageError(
        f"package {package!r} of task plugins does not exist",
        hint="packages are found on sys.path, to which `with plugin_dirs():` adds DIOPTRA_PLUGIN_DIR",
    )


def _unknown_plugin(package: str, plugin: str) -> UnknownPluginError:
    if not package:
        return UnknownPluginError(f"plugin {plugin!r} does not exist", hint="it would be a module on sys.path")
    try:
        have = _modules(package)
    except UnknownPackageError as error:
        return UnknownPluginError(f"plugin {plugin!r} not found in {package!r}", hint=error.message)
    return UnknownPluginError(f"plugin {plugin!r} not found in package {package!r}", hint=suggest(plugin, have))


def _dotted(package: str, plugin: str) -> str:
    return f"{package}.{plugin}" if package else plugin
