"""Ending Python code that runs in other threads."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["RUNNING", "Interrupted", "Running"]

T = TypeVar("T")


class Interrupted(BaseException):
    """Raised in a thread to end what it does; no `Exception`, so that a task does not take it for one of its own."""


class Running:
    """The threads that work for one run of a flow; they can be interrupted, all of them or one.

    Python has no other means to end a thread than to raise an exception in it, at its next step of Python code.
    Compiled code is not interrupted before it returns.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[int] = set()
        self._over = False

    def call(self, work: Callable[[], T]) -> T:
        """Do some work in this thread, so that it can be interrupted.

        Raises:
            Interrupted: It was, or all were before.
        """
        thread = threading.get_ident()
        try:
            self._enter(thread)
            return work()
        finally:
            self._leave(thread)

    def interrupt(self) -> None:
        """Interrupt all work, now and in future."""
        with self._lock:
            self._over = True
            for thread in self._threads:
                _raise_in(thread, Interrupted)
            self._threads.clear()

    def interrupt_one(self, thread: int | None) -> None:
        """Interrupt the work of one thread, if it still does any."""
        with self._lock:
            if thread in self._threads:
                self._threads.discard(thread)
                _raise_in(thread, Interrupted)

    def _enter(self, thread: int) -> None:
        with self._lock:
            if self._over:
                raise Interrupted
            self._threads.add(thread)

    def _leave(self, thread: int) -> None:
        with self._lock:
            self._threads.discard(thread)


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


RUNNING: ContextVar[Running | None] = ContextVar("dioptra_flow_running", default=None)
