"""Logging for entry-point scripts: to standard output, as text or JSON, with what is printed in the log too.

A script sets it up in this order:

    clear_logger_handlers()
    attach_stdout_stream_handler(as_json)
    set_logging_level(level)
    configure_structlog()
    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        main()
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

from dioptra.errors import UsageError
from dioptra.sdk.utilities._streams import LogStream, StderrLogStream, StdoutLogStream, passing_through

if TYPE_CHECKING:
    from structlog.typing import Processor

__all__ = [
    "LogStream",
    "StderrLogStream",
    "StdoutLogStream",
    "attach_stdout_stream_handler",
    "clear_logger_handlers",
    "configure_structlog",
    "set_logging_level",
]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class _StdoutHandler(logging.StreamHandler[TextIO]):
    """The handler that `attach_stdout_stream_handler` attaches."""

    def handle(self, record: logging.LogRecord) -> bool:
        with passing_through():
            return super().handle(record)


def attach_stdout_stream_handler(as_json: bool, logger: logging.Logger | None = None) -> None:
    """Let a logger write to standard output; warnings of Python are logged too.

    Args:
        as_json: Write a JSON object a line instead of text.
        logger: The logger, the root by default. A handler that was attached to it in this way before is replaced.
    """
    import structlog

    target = logger or logging.getLogger()
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    handler = _StdoutHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=_common_processors(),
        )
    )
    for old in [found for found in target.handlers if isinstance(found, _StdoutHandler)]:
        target.removeHandler(old)
    target.addHandler(handler)
    logging.captureWarnings(True)


def clear_logger_handlers(logger: logging.Logger | None = None) -> None:
    """Remove all handlers of a logger, the root by default."""
    target = logger or logging.getLogger()
    for handler in tuple(target.handlers):
        target.removeHandler(handler)


def configure_structlog() -> None:
    """Let structlog pass its events on to the loggers of Python, once for the process."""
    import structlog

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common_processors(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def set_logging_level(level: str, logger: logging.Logger | None = None) -> None:
    """Set the level of a logger.

    Args:
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        logger: The logger, the root by default.

    Raises:
        UsageError: There is no such level.
    """
    name = level.strip().upper() if isinstance(level, str) else level
    if name not in LEVELS:
        raise UsageError(f"{level!r} is not a logging level", hint=f"use one of {', '.join(LEVELS)}")
    (logger or logging.getLogger()).setLevel(name)


def _common_processors() -> list[Any]:
    import structlog

    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
    ]
