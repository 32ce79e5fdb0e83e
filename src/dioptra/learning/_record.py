"""Where losses and metrics go besides the snapshot: an MLflow run, and a person at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["NoRecord", "Record", "RunRecord", "Screen"]


class Record(Protocol):
    """Is told how a training or a test goes."""

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Take the settings."""

    def epoch(self, number: int, total: int, values: Mapping[str, float]) -> None:
        """Take what an epoch measured; the first one has the number 1."""

    def progress(self, number: int, total: int, share: float, values: Mapping[str, float]) -> None:
        """Take how far an epoch has come, from 0 to 1, and what was measured last."""

    def tested(self, values: Mapping[str, float]) -> None:
        """Take what a test measured."""


class NoRecord:
    """Nobody is told."""

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Take the settings."""

    def epoch(self, number: int, total: int, values: Mapping[str, float]) -> None:
        """Take what an epoch measured."""

    def progress(self, number: int, total: int, share: float, values: Mapping[str, float]) -> None:
        """Take how far an epoch has come."""

    def tested(self, values: Mapping[str, float]) -> None:
        """Take what a test measured."""


class RunRecord:
    """An MLflow run is told, and somebody else after it.

    Args:
        log: Logs numbers by name, with a step.
        log_parameters: Logs settings.
        then: Who is told next.
    """

    def __init__(
        self,
        log: Callable[[Mapping[str, float], int], None],
        log_parameters: Callable[[Mapping[str, Any]], None],
        then: Record,
    ) -> None:
        self._log, self._log_parameters, self._then = log, log_parameters, then

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Take the settings."""
        self._log_parameters(values)
        self._then.parameters(values)

    def epoch(self, number: int, total: int, values: Mapping[str, float]) -> None:
        """Take what an epoch measured."""
        self._log(values, number)
        self._then.epoch(number, total, values)

    def progress(self, number: int, total: int, share: float, values: Mapping[str, float]) -> None:
        """Take how far an epoch has come."""
        self._then.progress(number, total, share, values)

    def tested(self, values: Mapping[str, float]) -> None:
        """Take what a test measured."""
        self._log({f"test_{name}": value for name, value in values.items()}, 0)
        self._then.tested(values)


class Screen:
    """A person is told: a bar in a terminal, a line for each epoch elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._shown_at = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar inside the block, where there is a terminal."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as self._bar:
            try:
                yield
            finally:
                self._bar, self._task = None, None

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Take the settings, which need not be shown."""

    def progress(self, number: int, total: int, share: float, values: Mapping[str, float]) -> None:
        """Move the bar, ten times a second at most."""
        now = time.monotonic()
        if self._bar is None or now - self._shown_at < 0.1:
            return
        self._shown_at = now
        text = f"epoch {number}/{total} {_numbers(values)}"
        if self._task is None:
            self._task = self._bar.add_task(text, total=total)
        self._bar.update(self._task, completed=number - 1 + share, description=text)

    def epoch(self, number: int, total: int, values: Mapping[str, float]) -> None:
        """Print a line for the epoch."""
        line = f"epoch {number}/{total}: {_numbers(values)}"
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
            return
        self._bar.console.print(line, highlight=False, markup=False)
        self._shown_at = 0.0
        self.progress(number, total, 1.0, values)

    def tested(self, values: Mapping[str, float]) -> None:
        """Print what a test measured."""
        print(f"test: {_numbers(values)}", file=sys.stderr, flush=True)


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
