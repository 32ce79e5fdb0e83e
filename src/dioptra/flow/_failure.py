"""What a flow that failed raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dioptra.errors import FlowFailed
from dioptra.flow._state import Failed, State, TriggerFailed
from dioptra.flow._task import Task

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["failure_of"]

States = dict[Task, State]

_NAMED = 5  # failed tasks that a FlowFailed names
_TEXT = 300  # characters of an exception that it shows


def failure_of(flow: Flow, state: State) -> FlowFailed:
    """Return the error that says which tasks of a flow failed; the exception of the first one is its cause."""
    failure = FlowFailed(_sentence(flow, state), state=state)
    failure.__cause__ = _first_cause(state.result)
    return failure


def _sentence(flow: Flow, state: State) -> str:
    failed = [task for task, found in state.result.items() if _failed_itself(found)]
    failed = failed or [task for task, found in state.result.items() if found.is_failed()]
    lines = [f"flow {flow.name!r} failed: {state.message}"]
    lines += [f"  {flow.node(task).slug}: {_one_line(state.result[task].message)}" for task in failed[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED} more")
    return "\n".join(lines)


def _first_cause(states: States) -> BaseException | None:
    causes = (state.result for state in states.values() if _failed_itself(state))
    return next((cause for cause in causes if isinstance(cause, BaseException)), None)


def _failed_itself(state: State) -> bool:
    return isinstance(state, Failed) and not isinstance(state, TriggerFailed)


def _one_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _TEXT else line[:_TEXT] + "..."
