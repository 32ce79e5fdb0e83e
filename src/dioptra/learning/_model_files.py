"""Model files in a folder, and the manifest that says which bytes were saved there: nothing else is loaded."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dioptra.errors import RefusedError, UsageError
from dioptra.experiment import Data, DataFolder
from dioptra.records import now
from dioptra.storage import write_aside

__all__ = ["MANIFEST_FILE", "ModelFiles"]

MANIFEST_FILE = "models.jsonl"
_TRIES = 5


class ModelFiles:
    """The model files of a folder, each written whole or not at all.

    The manifest has a line for each save, with the SHA-256 of what was saved. A file is read once, hashed, and handed
    on only if it was saved under its name; so a loader never sees bytes that came from elsewhere. The manifest is no
    signature: who may write into the folder may change both.

    Args:
        data: Where they lie.

    Raises:
        RefusedError: It is not a folder, but memory.
    """

    def __init__(self, data: Data) -> None:
        if not isinstance(data, DataFolder):
            raise RefusedError(
                "there are no model files: this task is not run as an experiment",
                hint="run its script from the command line, or give it a snapshot",
            )
        self._data = data
        self._manifest = data.folder / MANIFEST_FILE

    def save(self, filename: str, content: bytes) -> Path:
        """Save a model file, which becomes the last one, and return its path.

        Args:
            filename: A name, or a path below the folder.
            content: The whole file.

        Raises:
            RefusedError: It cannot be written.
            UsageError: The name leads out of the folder, or is Dioptra's own.
        """
        path = self._path(filename)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # In this order a reader, and a start after a crash, finds no file whose hash or name is not known.
            self._note(path, hashlib.sha256(content).hexdigest(), len(content))
            self._data.register_model_file(filename)
            write_aside(path, content)
        except OSError as error:
            raise RefusedError(f"the model file {str(path)!r} cannot be written ({error.strerror})") from error
        return path

    def read(self, filename: str | None = None) -> tuple[Path, bytes]:
        """Return the path and the content of the named model file, by default of the newest one.

        Raises:
            RefusedError: There is none, it is not in the manifest, or it differs from what was saved; nothing of it has
                been interpreted.
        """
        for _ in range(_TRIES):  # a checkpoint goes as soon as the training is over
            path = self._path(filename) if filename else self._data.fetch_last_model_file()
            try:
                if path is not None:
                    return path, self._checked(path, path.read_bytes())
            except FileNotFoundError:
                continue
            except OSError as error:
                raise RefusedError(f"the model file {str(path)!r} cannot be read ({error.strerror})") from error
        what = f"file {str(path)!r}" if filename else f"file in {str(self._data.folder)!r}"
        raise RefusedError(f"there is no model {what}", hint="train the model first")

    def _checked(self, path: Path, content: bytes) -> bytes:
        known = [line["sha256"] for line in self._lines() if line["file"] == self._name(path)]
        if not known:
            raise RefusedError(
                f"the model file {str(path)!r} was not saved by this snapshot", hint="it is not loaded; save it anew"
            )
        if hashlib.sha256(content).hexdigest() not in known:
            raise RefusedError(
                f"the model file {str(path)!r} has been changed since it was saved", hint="it is not loaded; train anew"
            )
        return content

    def remove(self, filename: str) -> None:
        """Remove a model file, if it is there; its name stays known."""
        self._path(filename).unlink(missing_ok=True)

    def _path(self, filename: str) -> Path:
        path = self._data.make_path(filename)
        if path == self._manifest:
            raise UsageError(f"{filename!r} is Dioptra's own", hint="choose another name")
        return path

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._data.folder))

    def _note(self, path: Path, sha256: str, size: int) -> None:
        line = {"file": self._name(path), "sha256": sha256, "bytes": size, "at": now().isoformat()}
        with self._appending() as file:
            start = b"" if _ends_a_line(file) else b"\n"  # what a dead writer left becomes a line of its own
            os.write(file, start + json.dumps(line).encode() + b"\n")
            os.fsync(file)

    @contextmanager
    def _appending(self) -> Iterator[int]:
        file = os.open(self._manifest, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self._manifest.exists():
            return
        for line in self._manifest.read_bytes().splitlines():
            try:
                found = json.loads(line)
                yield {"file": found["file"], "sha256": found["sha256"]}
            except (ValueError, TypeError, KeyError):
                continue  # its writer died


def _ends_a_line(file: int) -> bool:
    size = os.fstat(file).st_size
    return size == 0 or os.pread(file, 1, size - 1) == b"\n"
