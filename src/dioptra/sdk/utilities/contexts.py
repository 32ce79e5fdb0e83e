"""Contexts: what holds only inside a `with` block."""

from __future__ import annotations

import builtins
import importlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dioptra import settings

__all__ = ["plugin_dirs", "redirect_print", "sys_path_dirs"]

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
    with _on_path([*_from_setting(), *_existing(dirs)]):
        yield


@contextmanager
def sys_path_dirs(dirs: Folder | Iterable[Folder] = (".",)) -> Iterator[None]:
    """Let modules be imported from `dirs` inside the block, as `plugin_dirs` does, without `DIOPTRA_PLUGIN_DIR`.

    Args:
        dirs: Folders, or one of them; those that do not exist are left out.
    """
    with _on_path(_existing(dirs)):
        yield


@contextmanager
def redirect_print(new_target: TextIO | None = None) -> Iterator[None]:
    """Let `print` write to another stream inside the block, whatever `file` a call names, or nowhere.

    It holds for the whole process, all threads included.

    Args:
        new_target: The stream; None drops what is printed.
    """
    before = builtins.print

    def redirected(
        *values: object, sep: str | None = " ", end: str | None = "\n", file: object = None, flush: bool = False
    ) -> None:
        if new_target is not None:
            new_target.write((" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end))

    builtins.print = redirected
    try:
        yield
    finally:
        builtins.print = before


@contextmanager
def _on_path(added: list[str]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:] = dict.fromkeys([*before[:1], *added, *before[1:]])
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _existing(dirs: Folder | Iterable[Folder]) -> list[str]:
    given = (dirs,) if isinstance(dirs, (str, os.PathLike)) else dirs
    resolved = [str(Path(folder).resolve()) for folder in given]
    return [folder for folder in resolved if Path(folder).is_dir()]


def _from_setting() -> list[str]:
    found = []
    for folder in filter(None, settings.get("plugin_dir").split(":")):
        if not Path(folder).is_absolute():
            logger.warning("DIOPTRA_PLUGIN_DIR names %r, which is left out, because it is not an absolute path", folder)
        elif Path(folder).is_dir() and folder not in sys.path:
            found.append(folder)
    return found
