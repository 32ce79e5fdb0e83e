"""Giving up on work that takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextvars import copy_context
from time import monotonic
from types import FrameType, TracebackType
from typing import Any

from dioptra.flow._interrupt import RUNNING, Running
from dioptra.flow._state import State, TimedOut

__all__ = ["within"]

_LEAST = 1e-6  # seconds; 0 would switch a timer off

Work = Callable[[], State]


def within(seconds: float, work: Work) -> State:
    """Do some work and return the state that it gives, or `TimedOut` when it takes longer than some seconds.

    In the main thread, an alarm signal interrupts the work, and nothing of it is left. Elsewhere the work is done in a
    thread of its own. When the time is over, nobody waits for that any more, and its Python code is interrupted; code
    that is compiled goes on until it returns.
    """
    if hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread():
        return _Alarm(seconds).watch(work)
    return _in_a_thread(seconds, work)


def _timed_out(seconds: float, where: TracebackType | None = None) -> TimedOut:
    error = TimeoutError(f"not done after {seconds:g} s")
    return TimedOut(f"TimeoutError: {error}", error.with_traceback(_outside(where)))


def _outside(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this package, so that the traceback shows where the task was."""
    frames = []
    while traceback:
        if not traceback.tb_frame.f_globals.get("__name__", "").startswith("dioptra.flow."):
            frames.append(traceback)
        traceback = traceback.tb_next
    for frame in reversed(frames):
        traceback = TracebackType(traceback, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return traceback


class _Expired(BaseException):
    """Interrupts work; no `Exception`, so that the work does not take it for one of its own."""


class _Alarm:
    """An alarm signal after some seconds; one that somebody set before is still heard, also when it is due first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._start = monotonic()
        self._expired = _Expired()
        self._rang = False
        self._over = False
        self._other, self._interval = signal.setitimer(signal.ITIMER_REAL, 0)  # seconds from the start
        self._handler: Any = signal.getsignal(signal.SIGALRM)

    def watch(self, work: Work) -> State:
        """Do the work and return its state."""
        try:
            signal.signal(signal.SIGALRM, self._ring)
            self._arm()
            state = work()
            self._over = True
        except _Expired as expired:
            if expired is not self._expired:  # that of a task around this one
                raise
            return _timed_out(self._seconds, expired.__traceback__)
        finally:
            self._over = True
            self._restore()
        return _timed_out(self._seconds) if self._rang else state  # the work may have swallowed the interruption

    def _left(self, seconds: float) -> float:
        return self._start + seconds - monotonic()

    def _arm(self) -> None:
        turn = min(self._seconds, self._other or self._seconds)
        signal.setitimer(signal.ITIMER_REAL, max(self._left(turn), _LEAST))

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._other and self._left(self._other) <= 0:
            self._other += self._interval or -self._other
            self._arm()
            self._ring_other(number, frame)
        elif self._left(self._seconds) > 0:  # clocks differ by a little
            self._arm()
        elif not self._over:
            self._rang = True
            raise self._expired

    def _ring_other(self, number: int, frame: FrameType | None) -> None:
        if callable(self._handler):
            self._handler(number, frame)
        elif self._handler != signal.SIG_IGN:  # it ends the process
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _restore(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler or signal.SIG_DFL)
        if self._other:
            signal.setitimer(signal.ITIMER_REAL, max(self._left(self._other), _LEAST), self._interval)


def _in_a_thread(seconds: float, work: Work) -> State:
    ended: list[State | BaseException] = []
    running = RUNNING.get() or Running()

    def run() -> None:
        try:
            ended.append(running.call(work))
        except BaseException as error:  # what is no Exception belongs to the thread that waits
            ended.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True, name="a task with a timeout")
    thread.start()
    thread.join(seconds)
    if not ended:
        running.interrupt_one(thread.ident)
        return _timed_out(seconds)
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]
