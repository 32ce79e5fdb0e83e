"""States, and the signals that end a task."""

from . import signals, state

__all__ = ["signals", "state"]
