"""What files held when they were last hashed, so that those that have not changed need not be read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from dioptra.storage._home import write_aside

__all__ = ["HashCache"]

_VERSION = 1
_SHA256 = re.compile("[0-9a-f]{64}")
_RACY = 2 * 10**9  # nanoseconds: the coarsest clock of a file system in use, that of FAT


class HashCache:
    """The hashes of the files below one root, in a file of their own.

    A file is known when its size, times, inode and device are as they were. The time of the last change of the inode
    cannot be set by programs, so that content that was changed is noticed even when its size and its time are not.
    That needs a clock that has moved on between the hashing and the next change. A file that was changed less than two
    seconds before it was hashed is therefore not kept: it may be changed again in the same tick of the file system's
    clock. Git calls such entries racy: https://git-scm.com/docs/racy-git

    Several processes may use the same file: each replaces it as a whole. A file that cannot be read or written costs
    time and nothing else.
    """

    def __init__(self, folder: Path | None, root: bytes) -> None:
        """Read what is known.

        Args:
            folder: Where the files with hashes are; None keeps nothing.
            root: The absolute path of the file or folder that is hashed.
        """
        self._file = folder and folder / f"{hashlib.sha256(root).hexdigest()}.json"
        self._root = os.fsdecode(root)
        self._known = _load(self._file) if self._file else {}
        self._found: dict[str, str] = {}  # a text for each file, as there may be a million

    def find(self, relative: bytes, status: os.stat_result) -> str | None:
        """Return the hash of a file that has not changed, and keep it."""
        name = os.fsdecode(relative)
        look, _, sha256 = str(self._known.get(name)).rpartition(" ")
        if look != _look(status) or not _SHA256.fullmatch(sha256):
            return None
        self._found[name] = self._known[name]
        return sha256

    def keep(self, relative: bytes, status: os.stat_result, sha256: str, hashed_at: int) -> None:
        """Remember the hash of a file.

        Args:
            relative: Its path below the root.
            status: What was known of it while it was read.
            sha256: The hash.
            hashed_at: When reading began, in nanoseconds.
        """
        if self._file and max(status.st_mtime_ns, status.st_ctime_ns) < hashed_at - _RACY:
            self._found[os.fsdecode(relative)] = f"{_look(status)} {sha256}"

    def save(self) -> None:
        """Write what was found, if it is news."""
        if self._file is None or self._found == self._known:
            return
        content = {"version": _VERSION, "root": self._root, "files": self._found}
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_aside(self._file, json.dumps(content, separators=(",", ":")).encode())


def _look(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino} {status.st_dev}"


def _load(file: Path) -> dict[str, str]:
    try:
        content: Any = json.loads(file.read_bytes())
        return dict(content["files"]) if content["version"] == _VERSION else {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):  # whatever the damage is
        return {}
