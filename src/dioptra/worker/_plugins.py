"""Task plugins of a job: those of the moment of its submission, whatever becomes of their folders afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from dioptra import settings
from dioptra.errors import RefusedError
from dioptra.storage import AttemptPaths, Home, hash_content, pin

__all__ = ["pin_plugins", "plugin_hashes", "plugin_path"]

_PACKAGES = ("dioptra_builtins",)


def plugin_hashes(home: Home, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the SHA-256 of each place that task plugins come from now, by package or folder."""
    return {name: hash_content(place, cache=home.hashes_dir).sha256 for name, place in _places(environ)}


def pin_plugins(home: Home, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Keep the task plugins as they are now, and return what `plugin_hashes` would.

    Raises:
        CaptureError: Something of them cannot be read.
    """
    return {name: pin(place, home.plugins_dir, cache=home.hashes_dir) for name, place in _places(environ)}


def plugin_path(home: Home, plugins: Mapping[str, str], paths: AttemptPaths) -> str:
    """Return the folders that an attempt takes its plugins from, separated by colons: those that were pinned.

    An installed package is linked in only if it is not any more what it was.

    Raises:
        RefusedError: A bundle is not there any more.
    """
    now = {name: hash_content(place, cache=home.hashes_dir).sha256 for name, place in _packages()}
    folders: list[str] = []
    for name, sha256 in plugins.items():
        bundle = home.plugins_dir / sha256
        if now.get(name) == sha256:
            continue
        if not bundle.is_dir():
            raise RefusedError(f"the plugins of {name!r} that the job was submitted with are gone from {str(bundle)!r}")
        if name in _PACKAGES:
            paths.plugin_dir.mkdir(exist_ok=True)
            (paths.plugin_dir / name).symlink_to(bundle)
            folders.insert(0, str(paths.plugin_dir))
        else:
            folders.append(str(bundle))
    return os.pathsep.join(folders)


def _places(environ: Mapping[str, str] | None) -> Iterator[tuple[str, Path]]:
    yield from _packages()
    for entry in settings.get("plugin_dir", environ).split(os.pathsep):
        if os.path.isabs(entry) and Path(entry).is_dir():  # noqa: PTH117  # an empty one is none
            yield entry, Path(entry)


def _packages() -> Iterator[tuple[str, Path]]:
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec and spec.submodule_search_locations:
            yield package, Path(spec.submodule_search_locations[0])
