"""Whether a task runs, by what became of its upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dioptra.flow._attempt import describe
from dioptra.flow._state import Skipped, State, Success, TriggerFailed
from dioptra.flow._task import Task
from dioptra.flow.signals import TRIGGERFAIL, Signal
from dioptra.flow.triggers import Edge, all_successful

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow, Node

__all__ = ["stopped"]

_BECAUSE = "not run, because task "

States = Mapping[Task, State]


def stopped(flow: Flow, task: Task, node: Node, states: States) -> State | None:
    """Return the state of a task that is not to be run, or None when it is."""
    policy = task._policy
    plain = policy.trigger is all_successful
    if plain and all(type(states[source]) is Success for source in node.upstream()):
        return None
    if policy.skip_on_upstream_skip:
        for source in node.upstream():
            if isinstance(states[source], Skipped):
                return Skipped(f"skipped, because task {flow.node(source).slug!r} was skipped")
    return _without_success(flow, node, states) if plain else _asked(task, node, states)


def _without_success(flow: Flow, node: Node, states: States) -> State | None:
    """Name the first upstream task that failed; of one that was not run for the same reason, name its cause."""
    for source in node.upstream():
        state = states[source]
        if not state.is_failed():
            continue
        if isinstance(state, TriggerFailed) and state.message.startswith(_BECAUSE):
            return TRIGGERFAIL(state.message).state
        what = "was not run" if isinstance(state, TriggerFailed) else "failed"
        return TRIGGERFAIL(f"{_BECAUSE}{flow.node(source).slug!r} {what}").state
    return None


def _asked(task: Task, node: Node, states: States) -> State | None:
    upstream = {Edge(source, task, key): state for key, source, state in _edges(node, states)}
    try:
        if not task.trigger(upstream):
            raise TRIGGERFAIL("not run, because its trigger said so")
    except Signal as signal:
        return signal.state
    except (Exception, SystemExit) as error:
        return TriggerFailed(f"not run, because its trigger raised {describe(error)}", error)
    return None


def _edges(node: Node, states: States) -> list[tuple[str | None, Task, State]]:
    """List what a trigger is asked about: tasks, and plain values as tasks that succeeded."""
    found: list[tuple[str | None, Task, State]] = []
    for key, value in node.inputs.items():
        if isinstance(value, Task):
            found.append((key, value, states[value]))
        else:
            found.append((key, Task(name="Constant"), Success(result=value)))
    found += [(None, source, states[source]) for source in node.after]
    found += [(None, Task(name="Constant"), Success()) for _ in range(node.constants)]
    return found
