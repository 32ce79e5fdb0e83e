"""A folder here, in the words for a place elsewhere."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from dioptra.errors import UsageError
from dioptra.storage._elsewhere import RemoteFile, Told
from dioptra.storage._home import write_aside
from dioptra.storage._tree import FILE, walk

__all__ = ["LocalPlace"]


class LocalPlace:
    """A local folder, or a file."""

    threads = 4

    def __init__(self, path: Path) -> None:
        self.uri = str(path)
        self._path = path

    def file(self) -> RemoteFile | None:
        """See `Elsewhere`."""
        return _file("", self._path.stat()) if self._path.is_file() else None

    def files(self) -> list[RemoteFile]:
        """See `Elsewhere`."""
        if not self._path.is_dir():
            return []
        found = walk(os.fsencode(self._path.absolute()), frozenset())
        return [_file(os.fsdecode(each.path), each.status) for each in found if each.kind == FILE and each.status]

    def get(self, file: RemoteFile, path: Path, told: Told) -> bytes | None:
        """See `Elsewhere`."""
        shutil.copyfile(self._path / file.name, path)
        told(path.stat().st_size, file.size)
        return None

    def put(self, name: str, content: bytes) -> None:
        """See `Elsewhere`."""
        path = self._path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_aside(path, content)
            path.chmod(0o644)
        except OSError as error:
            raise UsageError(f"{str(path)!r} cannot be written ({error.strerror})", hint="see who may") from error

    def delete(self, name: str) -> None:
        """See `Elsewhere`; a folder that is empty then is removed too."""
        path = self._path / name
        path.unlink(missing_ok=True)
        with suppress(OSError):
            while (path := path.parent) != self._path:
                path.rmdir()

    def holds(self, file: RemoteFile, content: bytes) -> bool:
        """See `Elsewhere`."""
        return file.size == len(content) and (self._path / file.name).read_bytes() == content


def _file(name: str, status: os.stat_result) -> RemoteFile:
    return RemoteFile(name, status.st_size, str(status.st_mtime_ns))
