"""The logger of Prefect 1, whose handlers a script clears before it attaches its own."""

from __future__ import annotations

import logging
import sys

__all__ = ["get_logger"]


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the logger `prefect`, or `prefect.name`.

    A script that sets up no logging sees what it logs on standard output, from level INFO.
    """
    parent = logging.getLogger("prefect")
    if not parent.hasHandlers() and not parent.level:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        parent.addHandler(handler)
        parent.setLevel(logging.INFO)
    return parent if name is None else parent.getChild(name)
