"""A bar for what takes long to fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["fetch_progress"]

LARGE = 10_000_000  # bytes from which on a bar is worth showing


@contextmanager
def fetch_progress(uri: str) -> Iterator[Callable[[int, int | None], object]]:
    """Say what is fetched, and in a terminal show a bar if it is large."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    console = Console(stderr=True)
    console.print(f"fetching {uri}", soft_wrap=True, highlight=False, markup=False)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(uri, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=(total or done) >= LARGE)
