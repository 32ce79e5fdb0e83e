"""One line in a terminal that says how far a long flow is."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from time import monotonic
from typing import TextIO

from dioptra.flow._events import Event, FlowStarted, Listener, TaskSettled

__all__ = ["progress_line"]

_AFTER = 2.0  # seconds that a flow takes before there is a line
_EACH = 0.5  # seconds between two looks
_ERASE = "\r\x1b[K"
_ONLY = threading.Lock()  # held by the flow that may show a line: others run inside it, or at the same time


@contextmanager
def progress_line() -> Iterator[list[Listener]]:
    """Show how far a flow is on standard error, if that is a terminal and the log does not say it already.

    Yields the listener that has to be told, if there is a line.
    """
    stream = sys.stderr
    if not _is_terminal(stream) or _is_told_otherwise() or not _ONLY.acquire(blocking=False):
        yield []
        return
    try:
        with closing(_Line(stream)) as line:
            yield [line]
    finally:
        _ONLY.release()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.isatty(stream.fileno())
    except (AttributeError, OSError, ValueError):  # whatever a script has put there
        return False


def _terminals() -> Iterable[TextIO]:
    """Return the streams through which the process writes to terminals, each once."""
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return {id(each): each for each in streams if each is not None and _is_terminal(each)}.values()


def _is_told_otherwise() -> bool:
    logger = logging.getLogger("dioptra.flow")
    told = logger.isEnabledFor(logging.INFO) and logger.hasHandlers()
    return told or os.environ.get("TERM", "dumb") == "dumb"


class _Line:
    def __init__(self, stream: TextIO) -> None:
        self._file, self._encoding = stream.fileno(), getattr(stream, "encoding", None) or "utf-8"
        self._process = os.getpid()
        self._lock = threading.RLock()  # a handler of signals may write while this thread holds it
        self._over = threading.Event()
        self._start = monotonic()
        self._flow, self._tasks, self._settled, self._failed = "", 0, 0, 0
        self._shown = False
        self._free = True  # nothing else stands in the row of the cursor
        self._ticking: threading.Thread | None = None
        self._watched = [self._watch(each) for each in _terminals()]

    def __call__(self, event: Event) -> None:
        if isinstance(event, FlowStarted):
            self._begin(event)
        elif isinstance(event, TaskSettled):
            self._settled += 1
            self._failed += event.state.is_failed()

    def close(self) -> None:
        """Take the line away."""
        self._over.set()
        self._erase()
        for leave in self._watched:
            leave()
        if self._ticking is not None:
            self._ticking.join()

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
            if self._free and not self._over.is_set():
                self._shown = True
                self._write(_ERASE + text[: shutil.get_terminal_size().columns - 1])

    def _erase(self) -> None:
        with self._lock:
            if self._shown:
                self._shown = False
                self._write(_ERASE)

    def _write(self, text: str) -> None:
        """Write past all streams, which may have locks of their own."""
        try:
            os.write(self._file, text.encode(self._encoding, "replace"))
        except OSError:  # the terminal has gone
            self._over.set()

    def _watch(self, stream: TextIO) -> Callable[[], None]:
        """Erase the line before anything is written to a stream, and return what ends that.

        Its method is replaced, not the stream, which handlers of logs and others have in hand already.
        """
        own, write = getattr(stream, "__dict__", {}), stream.write
        before = {"write": own["write"]} if "write" in own else {}

        def erase_and_write(text: str) -> int:
            if not text or self._over.is_set() or os.getpid() != self._process:  # a fork may have left the lock taken
                return write(text)
            with self._lock:
                self._erase()
                self._free = False
            written = write(text)
            self._free = text.endswith(("\n", "\r"))
            return written

        def leave() -> None:
            if own.get("write") is erase_and_write:
                del own["write"]
                own.update(before)

        own["write"] = erase_and_write
        return leave
