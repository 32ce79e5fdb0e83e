"""Streams that put what a script prints into the log."""

from __future__ import annotations

import io
import logging
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident, local
from time import monotonic
from types import TracebackType
from typing import Any, ClassVar, Self, TextIO

from dioptra.errors import UsageError

__all__ = ["LogStream", "StderrLogStream", "StdoutLogStream", "passing_through"]

_LOGGING = local()
_LONGEST = 2**16  # characters without an end of line that are kept waiting


@contextmanager
def passing_through() -> Iterator[None]:
    """Let what this thread writes go to the real streams: a handler that fails must not log that it failed."""
    before = getattr(_LOGGING, "now", False)
    _LOGGING.now = True
    try:
        yield
    finally:
        _LOGGING.now = before


class LogStream(io.TextIOBase):
    """A text stream in which another one can be replaced; what is written to it goes elsewhere."""

    @abstractmethod
    def write(self, text: str, /) -> int:
        """Take text; return its length."""

    @abstractmethod
    def flush(self) -> None:
        """Pass on the whole lines that were taken."""

    @abstractmethod
    def close(self) -> None:
        """Pass on everything that was taken."""

    @property
    @abstractmethod
    def replaced(self) -> TextIO:
        """The stream that this one stands in for."""


class _Redirect(LogStream):
    """Replaces one of the streams of `sys` in a `with` block, and logs at level INFO what is written to it.

    One record holds what one `print` wrote. Of a line that is written over and over, as progress bars do, the last
    state is logged, and one in between every ten seconds. Without any handler to log to, text passes through.
    """

    stream_name: ClassVar[str]
    seconds_between: ClassVar[float] = 10.0

    def __init__(self, as_json: bool = False) -> None:
        """Make a redirection; lines of one text are joined with `||`, or stay lines when `as_json`."""
        self._logger = logging.getLogger(self.stream_name.upper())
        self._separator = "\n" if as_json else "||"
        self._behind: TextIO = getattr(sys, self.stream_name)
        self._active = False
        self._pending: dict[int, str] = {}  # by thread, so that their texts do not mix
        self._last = monotonic()

    def __enter__(self) -> Self:
        if self._active:
            raise UsageError(f"this {type(self).__name__} is in use", hint="make a second one")
        self._behind = getattr(sys, self.stream_name)
        self._active = True
        setattr(sys, self.stream_name, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self._active = False
        if getattr(sys, self.stream_name) is self:
            setattr(sys, self.stream_name, self._behind)

    @property
    def replaced(self) -> TextIO:
        """The stream that this one stands in for."""
        return self._behind

    def write(self, text: str, /) -> int:
        """Take text, and log it once its line has ended."""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes str, not {type(text).__name__}")
        if self._passes_through():
            return self._behind.write(text)
        pending = self._pending.pop(get_ident(), "") + text
        if pending.endswith("\n") or len(pending) > _LONGEST or self._shows_progress(pending):
            self._emit(pending)
        elif pending:
            self._pending[get_ident()] = _last_state(pending)
        return len(text)

    def flush(self) -> None:
        """Log the whole lines that were written; one without an end waits for its end."""
        lines, end, rest = self._pending.pop(get_ident(), "").rpartition("\n")
        if rest:
            self._pending[get_ident()] = rest
        if end:
            self._emit(lines)
        if self._passes_through():
            self._behind.flush()

    def close(self) -> None:
        """Log everything that was written; the stream can still be used."""
        while self._pending:
            _, text = self._pending.popitem()
            self._emit(text)

    def fileno(self) -> int:
        """Return the descriptor of the stream that is replaced: what child processes write is not logged here."""
        return self._behind.fileno()

    def isatty(self) -> bool:
        """Return False: a log is no terminal."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream that is replaced."""
        return self._behind.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """How the stream that is replaced treats what it cannot encode."""
        return self._behind.errors

    @property
    def buffer(self) -> Any:
        """The binary stream that is replaced: what is written to it is not logged."""
        return self._behind.buffer

    def _passes_through(self) -> bool:
        """Tell whether text cannot be logged: out of the block, from a log handler itself, or without any handler."""
        return not self._active or getattr(_LOGGING, "now", False) or not self._logger.hasHandlers()

    def _shows_progress(self, text: str) -> bool:
        return "\r" in text and monotonic() - self._last > self.seconds_between

    def _emit(self, text: str) -> None:
        lines = [_last_state(line).rstrip() for line in text.strip("\n").split("\n")]
        if not any(lines):
            return
        self._last = monotonic()
        with passing_through():
            self._logger.info("%s", self._separator.join(lines))


def _last_state(text: str) -> str:
    """Leave out of each line what was written over, as a terminal would show it."""
    if "\r" not in text:
        return text
    lines = (line.rstrip("\r").rpartition("\r")[2] + "\r" * line.endswith("\r") for line in text.split("\n"))
    return "\n".join(lines)


class StdoutLogStream(_Redirect):
    """Logs what is printed to standard output, to the logger STDOUT; a context manager."""

    stream_name = "stdout"


class StderrLogStream(_Redirect):
    """Logs what is written to standard error, to the logger STDERR; a context manager."""

    stream_name = "stderr"
