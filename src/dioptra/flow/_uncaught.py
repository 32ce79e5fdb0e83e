"""What becomes of the `FlowFailed` that a job's script does not catch: a sentence, and in the journal a line.

One that reaches the end of the script gives exit code 1. One that ends a thread does not, and so it is noted.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from dioptra.errors import FlowFailed
from dioptra.flow._journal import Journal

__all__ = ["watch_for"]

logger = logging.getLogger("dioptra.flow")


def watch_for(error: FlowFailed, flow: str, attempt_dir: str) -> None:
    """Look after the failure of a flow that is about to be raised, in case that nothing catches it."""
    error._flow_name = flow  # type: ignore[attr-defined]
    if not isinstance(sys.excepthook, _AtTheEnd):
        sys.excepthook = _AtTheEnd(sys.excepthook)
    if not isinstance(threading.excepthook, _InAThread):
        threading.excepthook = _InAThread(threading.excepthook, attempt_dir)


def _say(error: BaseException) -> None:
    """Say it in words: what failed has been logged with its traceback."""
    if logger.hasHandlers():
        logger.error("%s", error)
    else:
        print(error, file=sys.stderr)


class _AtTheEnd:
    def __init__(self, before: Callable[..., Any]) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, FlowFailed):
            _say(error)
        else:
            self._before(kind, error, traceback)


class _InAThread:
    def __init__(self, before: Callable[..., Any], attempt_dir: str) -> None:
        self._before = before
        self._attempt_dir = attempt_dir

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        error = args.exc_value
        flow = getattr(error, "_flow_name", None)
        if error is None or flow is None:
            self._before(args)
            return
        Journal(self._attempt_dir).note_uncaught(flow)
        if self._before is threading.__excepthook__:
            _say(error)
        else:
            self._before(args)
