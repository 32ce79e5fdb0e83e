"""Contexts: what holds only inside a `with` block."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dioptra import settings

__all__ = ["plugin_dirs"]

Folder = str | os.PathLike[str]

logger = logging.getLogger("dioptra.sdk")


@contextmanager
def plugin_dirs(dirs: Folder | Iterable[Folder] = (".",)) -> Iterator[None]:
    """Let task plugins be imported from `DIOPTRA_PLUGIN_DIR` and from `dirs` inside the block.

    The folders come behind the first entry of `sys.path`, the script's own folder. At the end of the block `sys.path`
    is as it was; modules stay imported.

    Args:
        dirs: Folders that hold packages of plugins, or one of them; those that do not exist are left out.
    """
    given = (dirs,) if isinstance(dirs, (str, os.PathLike)) else dirs
    resolved = [str(Path(folder).resolve()) for folder in given]
    before = list(sys.path)
    added = [*_from_setting(), *(folder for folder in resolved if Path(folder).is_dir())]
    sys.path[:] = dict.fromkeys([*before[:1], *added, *before[1:]])
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _from_setting() -> list[str]:
    found = []
    for folder in filter(None, settings.get("plugin_dir").split(":")):
        if not Path(folder).is_absolute():
            logger.warning("DIOPTRA_PLUGIN_DIR names %r, which is left out, because it is not an absolute path", folder)
        elif Path(folder).is_dir() and folder not in sys.path:
            found.append(folder)
    return found
