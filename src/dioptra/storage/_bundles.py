"""Bundles: folders of code kept by the hash of their content, whole and read-only, shared by all who need them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dioptra.errors import CaptureError
from dioptra.storage._hashes import hash_content

__all__ = ["SKIPPED", "UPLOAD_MARK", "beside", "make_read_only", "move_in", "pin", "to_disk"]

SKIPPED = ("__pycache__",)
UPLOAD_MARK = ".dioptra-upload"  # lies in a folder for as long as it is not whole
_ASIDE = ".pin-"
_STALE_SECONDS = 24 * 3600
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
        CaptureError: Something in it cannot be read, it changes all the time, or `send_folder` has not ended there.
    """
    _check_whole(folder)
    sha256 = hash_content(folder, cache=cache, skip=SKIPPED).sha256
    for _ in range(_TRIES):
        is_kept = (store / sha256).is_dir() or _kept(folder, store, sha256)
        _check_whole(folder)
        before, sha256 = sha256, hash_content(folder, cache=cache, skip=SKIPPED).sha256
        if is_kept and before == sha256:  # no push has begun and ended meanwhile
            return sha256
    raise CaptureError(f"the folder {str(folder)!r} is being changed", hint="try again when it is whole")


@contextmanager
def beside(store: Path) -> Iterator[Path]:
    """Give a folder in the store to make a bundle in; what a process left there that was killed goes after a day."""
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in store.glob(f"{_ASIDE}*"):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - _STALE_SECONDS:
                _remove(left)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=store))
    try:
        yield aside
    finally:
        _remove(aside)


def move_in(folder: Path, target: Path) -> None:
    """Move a bundle into place, unless another process was quicker; its folder must be writable to be moved."""
    folder.chmod(0o755)
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        return
    target.chmod(0o555)


def make_read_only(folder: Path) -> None:
    """Take away the right to write to a folder and to what is below it."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)
    for place, _, _ in os.walk(folder, topdown=False):
        Path(place).chmod(0o555)


def to_disk(path: Path) -> None:
    """Wait until a file or a folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_whole(folder: Path) -> None:
    if (folder / UPLOAD_MARK).exists():
        raise CaptureError(
            f"the folder {str(folder)!r} is not whole: something is being pushed there, or a push was cut off",
            hint="try again; if nobody pushes there, push again with --resume",
        )


def _kept(folder: Path, store: Path, sha256: str) -> bool:
    """Copy a folder into the store, and tell whether the copy has the content that was meant."""
    with beside(store) as aside:
        copy = aside / "copy"
        try:
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*SKIPPED), copy_function=_copy)
            if hash_content(copy, skip=SKIPPED).sha256 != sha256:
                return False
            make_read_only(copy)
            for entry in (*copy.rglob("*"), copy):
                to_disk(entry)
            move_in(copy, store / sha256)
            to_disk(store)
        except (shutil.Error, OSError) as error:
            reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error
            message = f"the folder {str(folder)!r} cannot be kept ({reason})"
            raise CaptureError(message, hint="see what is in it") from error
        return True


def _copy(source: str, target: str) -> None:
    """Copy the content and the right to run it, of a file and of nothing else: a FIFO would never end."""
    if not os.path.isfile(source):  # noqa: PTH113  # as copytree gives it
        raise OSError(f"{source!r} is no file")
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def _remove(folder: Path) -> None:
    """Remove what is left, also what is read-only."""
    for place, _, _ in os.walk(folder):
        Path(place).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
