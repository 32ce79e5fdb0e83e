"""The functions of pyplugs with the package fixed, for packages that offer plugins of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dioptra.flow import FunctionTask
from dioptra.pyplugs._describe import PluginSignature, signature
from dioptra.pyplugs._lookup import call, exists, funcs, get, info, names
from dioptra.pyplugs._registry import PluginInfo
from dioptra.pyplugs._tasks import call_task, get_task

__all__ = [
    "call_factory",
    "call_task_factory",
    "exists_factory",
    "funcs_factory",
    "get_factory",
    "get_task_factory",
    "info_factory",
    "names_factory",
    "signature_factory",
]


def names_factory(package: str) -> partial[list[str]]:
    """Return `names` for one package."""
    return partial(names, package)


def funcs_factory(package: str) -> partial[list[str]]:
    """Return `funcs` for one package."""
    return partial(funcs, package)


def info_factory(package: str) -> partial[PluginInfo]:
    """Return `info` for one package."""
    return partial(info, package)


def signature_factory(package: str) -> partial[PluginSignature]:
    """Return `signature` for one package."""
    return partial(signature, package)


def exists_factory(package: str) -> partial[bool]:
    """Return `exists` for one package."""
    return partial(exists, package)


def get_factory(package: str) -> partial[Callable[..., Any]]:
    """Return `get` for one package."""
    return partial(get, package)


def call_factory(package: str) -> partial[Any]:
    """Return `call` for one package."""
    return partial(call, package)


def get_task_factory(package: str) -> partial[FunctionTask]:
    """Return `get_task` for one package."""
    return partial(get_task, package)


def call_task_factory(package: str) -> partial[FunctionTask]:
    """Return `call_task` for one package."""
    return partial(call_task, package)
