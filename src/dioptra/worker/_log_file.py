"""The log of an attempt: a file that keeps what was printed, up to a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from dioptra.worker._endings import size

__all__ = ["LOG_LIMIT", "LogFile"]

LOG_LIMIT = 100_000_000  # bytes


class LogFile:
    """A log file that takes no more than its limit, and says so once."""

    def __init__(self, path: Path, limit: int = LOG_LIMIT) -> None:
        self._file = path.open("ab", buffering=0)
        self._limit = limit
        self._left = limit - self._file.tell()
        self._full = False
        self._last = b"\n"

    def write(self, chunk: bytes) -> bytes:
        """Keep what was printed; return what was kept of it, with the note at the limit.

        Raises:
            OSError: The disk is full, or the file cannot be written for another reason.
        """
        if self._full:
            return b""
        kept = chunk
        if len(chunk) > self._left:
            self._full = True
            kept = chunk[: max(self._left, 0)]
            line_end = b"" if (self._last + kept).endswith(b"\n") else b"\n"
            kept += line_end + self._note()
        self._left -= len(kept)
        self._last = kept[-1:]
        self._write(kept)
        return kept

    def _note(self) -> bytes:
        return f"... the log ends here: it has reached its limit of {size(self._limit)}; the job goes on\n".encode()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
