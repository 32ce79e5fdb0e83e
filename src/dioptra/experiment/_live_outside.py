"""What the process itself has under the name of a module, so that a live version takes the right one."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import suppress
from importlib.machinery import BuiltinImporter, FrozenImporter
from pathlib import Path

__all__ = ["is_fixed", "look_outside"]

_OURS = ("dioptra", "dioptra_builtins")  # the one that runs, also for a version that holds a copy of it


def is_fixed(top: str) -> bool:
    """Tell whether a name is found before any folder is searched."""
    return top in _OURS or any(finder.find_spec(top) for finder in (BuiltinImporter, FrozenImporter))


def look_outside(top: str, project: str) -> str:
    """Return what the process has under a name: `regular`, `namespace`, `project` (code of a project) or `nothing`."""
    module, spec = sys.modules.get(top), None
    if module is not None:
        spec = getattr(module, "__spec__", None)
    else:
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(top)
        if spec is None:
            return "nothing"
    origin = spec.origin if spec else getattr(module, "__file__", None)
    portions = list(spec.submodule_search_locations or ()) if spec and not origin else []
    places = portions or [origin or ""]
    if project and all(_is_of_project(Path(place), Path(project).resolve()) for place in places):
        return "project"
    return "namespace" if portions else "regular"


def _is_of_project(file: Path, project: Path) -> bool:
    """Tell whether a file is a project's own, and not of an environment that lies in it."""
    if not file.is_absolute() or not (file := file.resolve()).is_relative_to(project):
        return False
    prefixes = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
    inside = any(prefix.is_relative_to(project) and file.is_relative_to(prefix) for prefix in prefixes)
    return not inside and not {"site-packages", "dist-packages"} & set(file.relative_to(project).parts)
