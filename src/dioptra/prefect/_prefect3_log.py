"""Shows in Prefect 3 what task plugins log while they run there."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterator
from functools import cache

__all__ = ["show_logs"]

_OF_THE_RECORD = ("event", "exception", "level", "logger", "timestamp")  # what structlog adds, and Prefect shows anyway


def show_logs(*names: str) -> None:
    """Send to Prefect what these loggers and those below them log in a run of a flow or a task."""
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(found, type(_handler())) for found in _handlers(logger)):
            logger.addHandler(_handler())
        _let_pass(logger)


def _let_pass(logger: logging.Logger) -> None:
    """Give a logger the level of Prefect's own ones, if nobody has said what it and those above it are to pass."""
    wanted = logging.getLogger("prefect").getEffectiveLevel()
    if not logger.level and logger.getEffectiveLevel() == logging.WARNING and wanted < logging.WARNING:
        logger.setLevel(wanted)


@cache
def _handler() -> logging.Handler:
    handler: logging.Handler = sys.modules["prefect.logging.handlers"].APILogHandler()
    handler.addFilter(_in_a_run)
    handler.setFormatter(_Words())
    return handler


def _in_a_run(record: logging.LogRecord) -> bool:
    """Tell whether a flow or a task runs here; Prefect would warn of what is logged elsewhere."""
    context = sys.modules["prefect.context"]
    return context.TaskRunContext.get() is not None or context.FlowRunContext.get() is not None


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    """Yield the handlers that a record of a logger reaches."""
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


class _Words(logging.Formatter):
    """Writes events of structlog, which are dicts until a formatter has seen them, as `event key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, dict):
            event, record = record.msg, copy.copy(record)
            pairs = [f"{key}={value!r}" for key, value in event.items() if key not in _OF_THE_RECORD]
            record.msg = " ".join([str(event.get("event", "")), *pairs])
            record.msg += f"\n{event['exception']}" if "exception" in event else ""
            record.args = ()
        return super().format(record)
