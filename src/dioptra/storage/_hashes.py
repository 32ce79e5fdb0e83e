"""One hash of the content of a file or a folder: of data, which is not kept as code is."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from dioptra.errors import NotFoundError
from dioptra.storage._hash_cache import HashCache
from dioptra.storage._tree import FILE, FOLDER, Entry, look_at, reading, walk

__all__ = ["ContentHash", "hash_content"]

_CHUNK = 1 << 20
_BATCH_FILES, _BATCH_BYTES = 64, 1 << 23  # what one thread does before it reports
_THREADS = 4  # large files use the cores, and on a network waiting is most of it; more slow small local files down


@dataclass(frozen=True)
class ContentHash:
    """What a file or a folder holds."""

    sha256: str
    files: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return what `to_dict` gave."""
        return cls(sha256=str(content["sha256"]), files=int(content["files"]), bytes=int(content["bytes"]))


def hash_content(path: Path, *, cache: Path | None = None, skip: Iterable[str] = ("__pycache__",)) -> ContentHash:
    """Hash a file or a folder: its content and the names in it, and nothing else.

    That of a file is what `sha256sum` prints. That of a folder is the SHA-256 of one record for each entry below it, in
    the order of the relative paths as bytes: `<kind> <length of the path>:<path><length of the detail>:<detail>`. The
    detail of a file is its SHA-256. A link is what it points to; one that leads to nothing has its target as detail,
    one to a folder that it lies in the number of levels up. FIFOs, sockets and devices are not opened.

    Args:
        path: The file or folder.
        cache: A folder that remembers hashes, so that what has not changed is not read again.
        skip: Names of files and folders that are left out.

    Raises:
        NotFoundError: There is nothing at the path.
        CaptureError: Something cannot be read; the message names it.
    """
    root = os.fsencode(path.absolute())
    with reading(root):
        if not path.exists():
            raise NotFoundError(f"there is nothing at {str(path)!r}")
    known = HashCache(cache, root)
    top = look_at(root, b"")
    entries = walk(root, frozenset(map(os.fsencode, skip))) if top.kind == FOLDER else [top]
    found = _sum(_Reader(root, known).contents(entries))
    known.save()
    return found


@dataclass(frozen=True, slots=True)
class _Content:
    sha256: str
    size: int


_Found = list[tuple[Entry, _Content | None]]


def _sum(contents: Iterable[tuple[Entry, _Content | None]]) -> ContentHash:
    total, files, size = hashlib.sha256(), 0, 0
    for entry, content in contents:
        if content is None:
            _add(total, entry, entry.detail)
        elif not entry.path:  # a file by itself
            return ContentHash(content.sha256, 1, content.size)
        else:
            _add(total, entry, bytes.fromhex(content.sha256))
            files, size = files + 1, size + content.size
    return ContentHash(total.hexdigest(), files, size)


def _add(total: Any, entry: Entry, detail: bytes) -> None:
    total.update(b"%s %d:%s%d:%s" % (entry.kind.encode(), len(entry.path), entry.path, len(detail), detail))


class _Reader:
    """Reads the files of one root in several threads."""

    def __init__(self, root: bytes, known: HashCache) -> None:
        self._root = root
        self._known = known
        self._stopped = threading.Event()

    def contents(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, _Content | None]]:
        """Yield entries in their order, with the content of those that are files; the threads are a little ahead."""
        waiting: deque[Future[_Found]] = deque()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
            try:
                for batch in _batches(entries):
                    waiting.append(pool.submit(self._read_all, batch))
                    if len(waiting) > 2 * _THREADS:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                self._stopped.set()  # after an error or an interrupt, nobody waits for the end of large files
                pool.shutdown(cancel_futures=True)

    def _read_all(self, entries: list[Entry]) -> _Found:
        largest = max((entry.status.st_size for entry in entries if entry.status), default=0)
        buffer = memoryview(bytearray(min(_CHUNK, largest + 1)))
        return [(entry, self._content(entry, buffer)) for entry in entries]

    def _content(self, entry: Entry, buffer: memoryview) -> _Content | None:
        if entry.kind != FILE or entry.status is None:
            return None
        if sha256 := self._known.find(entry.path, entry.status):
            return _Content(sha256, entry.status.st_size)
        hashed_at = time.time_ns()
        path = os.path.join(self._root, entry.path) if entry.path else self._root  # noqa: PTH118 (names are bytes)
        with reading(path):
            before, content, after = self._read(path, buffer)
        if (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns):
            self._known.keep(entry.path, after, content.sha256, hashed_at)
        return content

    def _read(self, path: bytes, buffer: memoryview) -> tuple[os.stat_result, _Content, os.stat_result]:
        digest, size = hashlib.sha256(), 0
        # Not to wait for a writer, should a FIFO have taken the place of the file.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            before = os.fstat(handle)
            while not self._stopped.is_set() and (count := os.readv(handle, [buffer])):
                digest.update(buffer[:count])
                size += count
            return before, _Content(digest.hexdigest(), size), os.fstat(handle)
        finally:
            os.close(handle)


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += entry.status.st_size if entry.status and entry.kind == FILE else 0
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch
