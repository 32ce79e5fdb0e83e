"""Bundles: folders of code kept by the hash of their content, whole and read-only, shared by all who need them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from dioptra.errors import CaptureError
from dioptra.storage._hashes import hash_content

__all__ = ["pin"]

_SKIP = ("__pycache__",)
_TRIES = 5


def pin(folder: Path, store: Path, *, cache: Path | None = None) -> str:
    """Keep the content of a folder as it is now in a folder of the store, and return its SHA-256: the folder's name.

    Links are followed. What is in the store is never changed; a bundle is there whole or not at all.

    Args:
        folder: What to keep.
        store: The folder of all bundles; made where it does not exist.
        cache: A folder that remembers hashes; see `hash_content`.

    Raises:
        NotFoundError: There is no such folder.
        CaptureError: Something in it cannot be read, or it changes all the time.
    """
    for _ in range(_TRIES):
        sha256 = hash_content(folder, cache=cache, skip=_SKIP).sha256
        if (store / sha256).is_dir() or _kept(folder, store, sha256):
            return sha256
    raise CaptureError(f"the folder {str(folder)!r} is being changed", hint="try again when it is whole")


def _kept(folder: Path, store: Path, sha256: str) -> bool:
    """Copy a folder into the store, and tell whether the copy has the content that was meant."""
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = Path(tempfile.mkdtemp(prefix=".pin-", dir=store))
    try:
        copy = aside / "copy"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*_SKIP), copy_function=_copy)
        if hash_content(copy, skip=_SKIP).sha256 != sha256:
            return False
        _make_read_only(copy)
        _move(copy, store / sha256)
        return True
    except (shutil.Error, OSError) as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error
        raise CaptureError(f"the folder {str(folder)!r} cannot be kept ({reason})", hint="see what is in it") from error
    finally:
        _remove(aside)


def _copy(source: str, target: str) -> None:
    """Copy the content and the right to run it, of a file and of nothing else: a FIFO would never end."""
    if not os.path.isfile(source):  # noqa: PTH113  # as copytree gives it
        raise OSError(f"{source!r} is no file")
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def _make_read_only(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)
    for place, _, _ in os.walk(folder, topdown=False):
        Path(place).chmod(0o555)


def _move(folder: Path, target: Path) -> None:
    """Move a bundle into place, unless another process was quicker; its folder must be writable to be moved."""
    folder.chmod(0o755)
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        return
    target.chmod(0o555)


def _remove(folder: Path) -> None:
    """Remove what is left, also what is read-only."""
    for place, _, _ in os.walk(folder):
        Path(place).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
