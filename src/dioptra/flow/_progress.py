"""One line in a terminal that says how far a long flow is."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

from dioptra.flow._events import Event, FlowStarted, Listener, TaskRetrying, TaskSettled

__all__ = ["progress_line"]

_AFTER = 2.0  # seconds that a flow takes before there is a line
_EACH = 0.5  # seconds between two looks
_ERASE = "\r\x1b[K"


@contextmanager
def progress_line() -> Iterator[list[Listener]]:
    """Show how far a flow is on standard error, if that is a terminal and the log does not say it already.

    Yields the listener that has to be told, if there is a line, before anything is logged.
    """
    if not _is_wanted(sys.stderr):
        yield []
        return
    line = _Line(sys.stderr)
    try:
        yield [line]
    finally:
        line.close()


def _is_wanted(stream: TextIO | None) -> bool:
    if stream is None or not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return False
    logger = logging.getLogger("dioptra.flow")
    return not (logger.isEnabledFor(logging.INFO) and logger.hasHandlers())


class _Line:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._start = monotonic()
        self._flow, self._tasks, self._settled, self._failed = "", 0, 0, 0
        self._shown = False
        self._ticking: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, FlowStarted):
            self._begin(event)
        elif isinstance(event, TaskSettled):
            self._settled += 1
            self._failed += event.state.is_failed()
            if event.state.is_failed():
                self._erase()  # the log has a word about it
        elif isinstance(event, TaskRetrying):
            self._erase()

    def close(self) -> None:
        """Take the line away."""
        self._over.set()
        if self._ticking is not None:
            self._ticking.join()
        self._erase()

    def _begin(self, event: FlowStarted) -> None:
        self._flow, self._tasks = event.flow, event.tasks
        self._ticking = threading.Thread(target=self._tick, daemon=True, name="progress of a flow")
        self._ticking.start()

    def _tick(self) -> None:
        wait = _AFTER
        while not self._over.wait(wait):
            self._draw()
            wait = _EACH

    def _draw(self) -> None:
        failed = f", {self._failed} failed" if self._failed else ""
        seconds = f"{monotonic() - self._start:.0f} s"
        text = f"flow {self._flow!r}: {self._settled} of {self._tasks} tasks{failed}, {seconds}"
        with self._lock:
            self._shown = True
            self._write(_ERASE + text[: shutil.get_terminal_size().columns - 1])

    def _erase(self) -> None:
        with self._lock:
            if self._shown:
                self._shown = False
                self._write(_ERASE)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal has gone
            self._over.set()
