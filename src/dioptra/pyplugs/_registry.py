"""The registry of task plugins: package, module and function name lead to a function."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from threading import RLock
from typing import Any, NamedTuple, TypeVar, overload

from dioptra.errors import PluginDefinitionError

__all__ = ["PluginInfo", "add", "forget", "functions", "plugins", "register", "task_nout"]

F = TypeVar("F", bound=Callable[..., Any])

_BLANK_LINE = re.compile(r"\n[ \t]*\n")


class PluginInfo(NamedTuple):
    """What is known of a registered function."""

    package_name: str
    plugin_name: str
    func_name: str
    func: Callable[..., Any]
    description: str
    doc: str
    module_doc: str
    sort_value: float


_PLUGINS: dict[str, dict[str, dict[str, PluginInfo]]] = {}
_LOCK = RLock()


@overload
def register(func: F, /) -> F: ...


@overload
def register(*, sort_value: float = 0) -> Callable[[F], F]: ...


def register(func: Any = None, /, *, sort_value: float = 0) -> Any:
    """Register a function as a task plugin; a decorator, bare or with parentheses.

    Args:
        func: The function, which is returned unchanged and can still be called.
        sort_value: Where `names` lists the module; that of the first function of a module counts.

    Raises:
        PluginDefinitionError: It is not a function with a name.
    """
    if func is None:
        return lambda function: add(function, sort_value)
    return add(func, sort_value)


def task_nout(nout: int) -> Callable[[F], F]:
    """Say how many results a task plugin returns, so that its task can be unpacked; write it below `register`.

    Args:
        nout: The number of results: `seed, rng = call_task(...)` needs 2.
    """
    if isinstance(nout, bool) or not isinstance(nout, int) or nout < 0:
        raise PluginDefinitionError(f"task_nout({nout!r}) is not a number of results", hint="write @task_nout(2)")

    def decorate(func: F) -> F:
        func._task_nout = nout  # type: ignore[attr-defined]
        return func

    return decorate


def add(func: F, sort_value: float = 0) -> F:
    """Put a function into the registry, in place of one with the same address."""
    _check(func)
    package, _, plugin = func.__module__.rpartition(".")
    description, doc = _BLANK_LINE.split(inspect.cleandoc(func.__doc__ or "") + "\n\n", maxsplit=1)
    module = sys.modules.get(func.__module__)
    entry = PluginInfo(
        package_name=package,
        plugin_name=plugin,
        func_name=func.__name__,
        func=func,
        description=description,
        doc=inspect.cleandoc(doc).strip(),
        module_doc=getattr(module, "__doc__", None) or "",
        sort_value=sort_value,
    )
    with _LOCK:
        _PLUGINS.setdefault(package, {}).setdefault(plugin, {})[func.__name__] = entry
    return func


def plugins(package: str) -> dict[str, dict[str, PluginInfo]]:
    """Return what is registered in a package now: module names, with the functions of each."""
    with _LOCK:
        return {plugin: dict(found) for plugin, found in _PLUGINS.get(package, {}).items()}


def functions(package: str, plugin: str) -> dict[str, PluginInfo]:
    """Return what is registered in a module now, in the order of registration."""
    with _LOCK:
        return dict(_PLUGINS.get(package, {}).get(plugin, {}))


def forget(package: str, plugin: str) -> None:
    """Drop what a module has registered."""
    with _LOCK:
        _PLUGINS.get(package, {}).pop(plugin, None)


def _check(func: Any) -> None:
    name = getattr(func, "__name__", None)
    if inspect.isclass(func) or not callable(func):
        raise PluginDefinitionError(
            f"{func!r} cannot be registered, because it is not a function",
            hint="write @pyplugs.register above a function, with options as in @pyplugs.register(sort_value=1)",
        )
    if not isinstance(name, str) or not name.isidentifier() or not isinstance(getattr(func, "__module__", None), str):
        raise PluginDefinitionError(
            f"{func!r} cannot be registered, because it has no name to be called by",
            hint="register a function made with def, below any @task",
        )
