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

    Who interrupts a thread interrupts what was started in it, too: a task may run a flow. Python has no other means to
    end a thread than to raise an exception in it, at its next step of Python code. Compiled code is not interrupted
    before it returns.
    """

    def __init__(self, around: Running | None = None) -> None:
        """Start with no thread; `around` is that of the flow in one of whose tasks this one runs, in this thread."""
        self._lock = threading.Lock()
        self._threads: set[int] = set()
        self._inside: dict[Running, int] = {}  # of flows that run in tasks, with their threads
        self._over = False
        self._around = around
        if around is not None:
            around._add(self)

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

    def close(self) -> None:
        """Let the flow around this one forget it."""
        if self._around is not None:
            with self._around._lock:
                self._around._inside.pop(self, None)

    def interrupt(self) -> None:
        """Interrupt all work, now and in future."""
        with self._lock:
            self._over = True
            for thread in self._threads:
                _raise_in(thread, Interrupted)
            self._threads.clear()
            inside = list(self._inside)
        for other in inside:
            other.interrupt()

    def interrupt_one(self, thread: int | None) -> None:
        """Interrupt the work of one thread, if it still does any."""
        with self._lock:
            if thread not in self._threads:
                return
            self._threads.discard(thread)
            _raise_in(thread, Interrupted)
            inside = [other for other, where in self._inside.items() if where == thread]
        for other in inside:
            other.interrupt()

    def _add(self, other: Running) -> None:
        with self._lock:
            self._inside[other] = threading.get_ident()
            other._over = self._over

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
