"""Signals: a task, or a trigger, raises one to end the task in the state that it names.

    @task
    def infer(images):
        if not len(images):
            raise signals.SKIP("there are no images")

They are no `Exception`, so that a task's own `except Exception` lets them pass.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from dioptra.errors import FlowError
from dioptra.flow._state import Failed, Skipped, State, Success, TriggerFailed

__all__ = ["ENDRUN", "FAIL", "LOOP", "PAUSE", "RETRY", "SKIP", "SUCCESS", "TRIGGERFAIL", "Signal"]

_ITSELF: Final = object()


class Signal(BaseException):
    """The base of all signals; `state` is the state that the task gets."""

    _kind: ClassVar[type[State]] = State

    def __init__(self, message: str | None = None, result: Any = _ITSELF) -> None:
        """Make a signal.

        Args:
            message: The state's message.
            result: The state's result; the signal itself by default.
        """
        super().__init__(message)
        self.state = self._kind(message or "", self if result is _ITSELF else result)


class SUCCESS(Signal):
    """The task has succeeded, with a message, or with a result from deep inside."""

    _kind = Success


class SKIP(Signal):
    """The task is skipped, and so is what depends on it, unless told otherwise; it counts as a success."""

    _kind = Skipped


class FAIL(Signal):
    """The task has failed, and is not tried again."""

    _kind = Failed


class TRIGGERFAIL(FAIL):
    """The task is not run, because of its upstream."""

    _kind = TriggerFailed


class ENDRUN(Signal):
    """The task ends in the state given."""

    def __init__(self, state: State) -> None:
        if not state.is_finished():
            raise FlowError(
                f"signal ENDRUN cannot end a task as {type(state).__name__}", hint="give it a finished state"
            )
        super().__init__(state.message)
        self.state = state


class _Refused(Signal):
    def __init__(self, *_: object, **__: object) -> None:
        name = type(self).__name__
        raise FlowError(f"signal {name} means nothing here", hint=_INSTEAD[name])


class LOOP(_Refused):
    """Refused: a task cannot loop."""


class PAUSE(_Refused):
    """Refused: a flow cannot wait for a person."""


class RETRY(_Refused):
    """Refused: a task is tried again as often as its `max_retries` says."""


_INSTEAD = {
    "LOOP": "write the loop inside the task",
    "PAUSE": "split the flow into two entry points",
    "RETRY": "raise an exception, and give the task max_retries",
}
