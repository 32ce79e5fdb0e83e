"""States: how a task, or a whole flow, ended.

    State
    ├── Pending                 not started
    │   └── Retrying            to be tried again
    ├── Running
    └── Finished
        ├── Success             `result` is what the task returned
        │   └── Skipped
        └── Failed              `result` is the exception
            ├── TimedOut
            └── TriggerFailed   not run, because of what happened upstream

A task has one when it has settled, and a flow when all its tasks have.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Failed",
    "Finished",
    "Pending",
    "Retrying",
    "Running",
    "Skipped",
    "State",
    "Success",
    "TimedOut",
    "TriggerFailed",
]


class State:
    """What became of a task or a flow, with a message for people and a result."""

    __slots__ = ("message", "result", "seconds")

    def __init__(self, message: str = "", result: Any = None) -> None:
        """Make a state.

        Args:
            message: What happened, in a sentence.
            result: What a task returned or raised; for a flow, the dictionary from its tasks to their states.
        """
        self.message = message
        self.result = result
        self.seconds: float | None = None  # how long it took, once it has settled

    def is_pending(self) -> bool:
        """Tell whether it has not started."""
        return isinstance(self, Pending)

    def is_running(self) -> bool:
        """Tell whether it has started and not ended."""
        return isinstance(self, Running)

    def is_finished(self) -> bool:
        """Tell whether it has ended, well or not."""
        return isinstance(self, Finished)

    def is_successful(self) -> bool:
        """Tell whether it ended well."""
        return isinstance(self, Success)

    def is_failed(self) -> bool:
        """Tell whether it failed, or was not run because of its upstream."""
        return isinstance(self, Failed)

    def is_skipped(self) -> bool:
        """Tell whether it was skipped."""
        return isinstance(self, Skipped)

    def is_retrying(self) -> bool:
        """Tell whether it is to be tried again."""
        return isinstance(self, Retrying)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.message!r}>"


class Pending(State):
    """It has not started."""

    __slots__ = ()


class Retrying(Pending):
    """It failed, and is to be tried again; the exception is its result."""

    __slots__ = ()


class Running(State):
    """It has started and not ended."""

    __slots__ = ()


class Finished(State):
    """It has ended."""

    __slots__ = ()


class Success(Finished):
    """It ended well."""

    __slots__ = ()


class Skipped(Success):
    """It was not run, or ended early, because it was not needed; it counts as a success."""

    __slots__ = ()


class Failed(Finished):
    """It ended with an exception, which is its result."""

    __slots__ = ()


class TimedOut(Failed):
    """It took longer than its timeout."""

    __slots__ = ()


class TriggerFailed(Failed):
    """It was not run, because of what became of the tasks that it depends on."""

    __slots__ = ()
