"""Task plugins of a job: those of the moment of its submission, whatever becomes of their places afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dioptra.errors import RefusedError
from dioptra.storage import AttemptPaths, Home, hash_content
from dioptra.worker._collections import BUILTINS, collections, installed

__all__ = ["Pins", "bundle_of", "pin_plugins", "plugin_path"]


@dataclass(frozen=True)
class Pins:
    """The task plugins that a job gets, by collection, or by the path of a folder that holds such packages."""

    hashes: dict[str, str] = field(default_factory=dict)  # SHA-256 of their content
    sources: dict[str, str] = field(default_factory=dict)  # where that came from, without credentials


def pin_plugins(home: Home, environ: Mapping[str, str] | None = None) -> Pins:
    """Keep the task plugins as they are now, and return what they are.

    Raises:
        UsageError: A setting cannot be understood.
        NotFoundError, StoreUnreachableError, CaptureError: Some cannot be had, or not whole.
    """
    found = collections(home, environ)
    return Pins({each.name: each.pin(home) for each in found}, {each.name: each.source for each in found})


def plugin_path(home: Home, pins: Mapping[str, str], paths: AttemptPaths, *, apart: bool = False) -> str:
    """Return the folders that an attempt takes its plugins from, separated by colons: those that were pinned.

    A collection is linked into the attempt's folder by its name; one that is installed, only if it is not any more what
    it was.

    Args:
        home: Where the bundles are.
        pins: SHA-256 of each.
        paths: The attempt's folders.
        apart: The attempt has an environment of its own, and sees nothing of what is installed here.

    Raises:
        RefusedError: A bundle is not there any more, or is not what it was.
    """
    here = {} if apart else {each.name: _content(home, Path(each.place)) for each in installed()}
    wanted = {name: bundle_of(home, name, sha256) for name, sha256 in pins.items() if here.get(name) != sha256}
    linked = [name for name in wanted if not os.path.isabs(name)]  # noqa: PTH117
    for name in linked:
        paths.plugin_dir.mkdir(exist_ok=True)
        _link(wanted[name], paths.plugin_dir / name, instead=name in here or name == BUILTINS)
    folders = [str(bundle) for name, bundle in wanted.items() if name not in linked]
    return os.pathsep.join([str(paths.plugin_dir), *folders] if linked else folders)


def _link(bundle: Path, place: Path, *, instead: bool) -> None:
    """Let a collection be found at a place, also `instead` of an installed one, which `__init__` is needed to hide."""
    if not instead or (bundle / "__init__.py").exists():
        place.symlink_to(bundle)
        return
    place.mkdir()
    (place / "__init__.py").touch()
    for entry in bundle.iterdir():
        (place / entry.name).symlink_to(entry)


def bundle_of(home: Home, name: str, sha256: str) -> Path:
    """Return the folder with a collection as it was.

    Raises:
        RefusedError: It is not there any more, or is not what it was.
    """
    bundle = home.plugins_dir / sha256
    if not bundle.is_dir():
        raise RefusedError(f"the plugins of {name!r} that the job was submitted with are gone from {str(bundle)!r}")
    if _content(home, bundle) != sha256:
        raise RefusedError(
            f"the plugins of {name!r} in {str(bundle)!r} are not what their name says: somebody has changed them",
            hint="remove that folder, and submit again",
        )
    return bundle


def _content(home: Home, folder: Path) -> str:
    return hash_content(folder, cache=home.hashes_dir).sha256
