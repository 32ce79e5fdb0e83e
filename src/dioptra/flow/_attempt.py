"""One attempt to run a task: what it returns or raises becomes its state."""

from __future__ import annotations

import signal
from traceback import walk_tb
from typing import Any

from dioptra.flow._state import Failed, State, Success
from dioptra.flow._task import Task
from dioptra.flow._timeout import within

__all__ = ["attempt", "describe"]


def attempt(task: Task, inputs: dict[str, Any]) -> State:
    """Run a task once with the results of its upstream, within its timeout.

    Raises:
        Signal: The task raised it.
    """
    timeout = task._policy.timeout
    return _call(task, inputs) if timeout is None else within(timeout, lambda: _call(task, inputs))


def _call(task: Task, inputs: dict[str, Any]) -> State:
    names = task._spec.positional
    args = [inputs.pop(name) for name in names if name in inputs] if names else ()
    try:
        return Success(result=task.run(*args, **inputs))
    except (Exception, SystemExit) as error:  # a task ends itself at most, not the script
        if isinstance(error, SystemExit) and _is_from_a_handler(error):
            raise
        own = error.__traceback__.tb_next if error.__traceback__ else None
        return Failed(describe(error), error.with_traceback(own) if own else error)


def _is_from_a_handler(error: SystemExit) -> bool:
    """Tell whether a handler of signals raised it, which the script has set to end itself."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()} - {None}
    return any(frame.f_code in handlers for frame, _ in walk_tb(error.__traceback__))


def describe(error: BaseException) -> str:
    """Return an exception's type and text, whatever it does when it is shown."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
