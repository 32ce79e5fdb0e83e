"""Loads what extends the generic functions: entry points of installed packages, and what is there for Keras."""

from __future__ import annotations

import importlib
import logging
import sys
from threading import RLock

__all__ = ["load_plugins"]

logger = logging.getLogger("dioptra.sdk")

_BUNDLED = {"keras": "dioptra.sdk.generics._keras"}  # each is loaded once its library is, which is slow to import
_STARTED: set[str] = set()
_LOADED: set[str] = set()
_LOCK = RLock()


def load_plugins(generic: str) -> None:
    """Load the plugins of a generic function that have not been loaded; one that fails is left out, and logged."""
    waiting = {generic, *(library for library in _BUNDLED if library in sys.modules)} - _LOADED
    if not waiting:
        return
    with _LOCK:
        for name in waiting - _STARTED:
            _STARTED.add(name)
            if name in _BUNDLED:
                _load_bundled(name)
            else:
                _load_entry_points(f"dioptra.generics.{name}")
        _LOADED.update(waiting)


def _load_bundled(library: str) -> None:
    try:
        importlib.import_module(_BUNDLED[library])
    except Exception as error:
        logger.warning("the generics for %s are left out: %s: %s", library, type(error).__name__, error)


def _load_entry_points(group: str) -> None:
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=group):
        try:
            entry_point.load()
        except Exception as error:
            logger.warning(
                "entry point %r of %r is left out: %s: %s", entry_point.name, group, type(error).__name__, error
            )
