"""Running a flow: each task after what it depends on, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from dioptra import settings
from dioptra.errors import FlowFailed, FlowParameterError, did_you_mean
from dioptra.flow._attempt import attempt
from dioptra.flow._events import (
    CONTEXT,
    Announcer,
    Context,
    FlowSettled,
    FlowStarted,
    Listener,
    TaskRetrying,
    TaskSettled,
    listeners,
)
from dioptra.flow._gate import stopped
from dioptra.flow._log import log_event, visible_log
from dioptra.flow._parameter import Parameter
from dioptra.flow._state import Failed, Retrying, State, Success, TriggerFailed
from dioptra.flow._task import Task
from dioptra.flow.signals import Signal

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow, Node

__all__ = ["execute", "parameter_values"]

States = dict[Task, State]

_NAMED = 5  # failed tasks that a FlowFailed names
_TEXT = 300  # characters of an exception that it shows


def parameter_values(flow: Flow, given: Mapping[str, Any], by_keyword: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for each parameter of a flow; raise FlowParameterError when that is not possible."""
    if not isinstance(given, Mapping):
        raise FlowParameterError(
            f"Flow.run takes its parameters as a dictionary, not as {given!r:.{_TEXT}}",
            hint="write flow.run(parameters={'name': value}), or flow.run(name=value)",
        )
    if twice := given.keys() & by_keyword.keys():
        raise FlowParameterError(
            f"Flow.run received a parameter twice: {_names(twice)}",
            hint="give it in `parameters` or by keyword, not both",
        )
    values = {**given, **by_keyword}
    known = {parameter.name: parameter for parameter in flow.parameters()}
    unexpected = values.keys() - known.keys()
    missing = {name for name, parameter in known.items() if parameter.required and name not in values}
    if missing:
        raise FlowParameterError(
            f"Flow.run did not receive the following required parameters: {_names(missing)}",
            hint=f"{_names(unexpected)} was given; {_hint(unexpected, missing)}" if unexpected else _call(missing),
        )
    if unexpected:
        raise FlowParameterError(
            f"Flow.run received the following unexpected parameters: {_names(unexpected)}",
            hint=_hint(unexpected, known),
        )
    return {name: values.get(name, parameter.default) for name, parameter in known.items()}


def _names(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names)))


def _call(names: Iterable[str]) -> str:
    return f"write flow.run(parameters={{{', '.join(f'{name!r}: ...' for name in sorted(names))}}})"


def _hint(unexpected: Iterable[Any], known: Iterable[str]) -> str:
    """Say which names would be right in place of those that were given."""
    guesses = [(name, did_you_mean(name, known)) for name in sorted(map(str, unexpected))]
    meant = [f"{guess.removesuffix('?')} by {name!r}? " for name, guess in guesses if guess]
    return f"{''.join(meant)}(have: {_names(known) or 'none'}; a Parameter counts once a task of the flow uses it)"


def execute(flow: Flow, values: Mapping[str, Any], *, raise_on_failure: bool) -> State:
    """Run the tasks of a flow and return its state, or raise FlowFailed."""
    order = flow.sorted_tasks()
    attempt_dir = settings.get("attempt_dir")
    with visible_log(in_job=bool(attempt_dir)):
        announce = Announcer([*listeners(), log_event, *_journal(attempt_dir)])
        state = _Run(flow, values, announce).settle_all(order)
    if raise_on_failure and state.is_failed():
        failure = _failure(flow, state)
        if attempt_dir:
            from dioptra.flow._uncaught import watch_for

            watch_for(failure, flow.name, attempt_dir)
        raise failure from _first_cause(state.result)
    return state


def _journal(attempt_dir: str) -> list[Listener]:
    if not attempt_dir:
        return []
    from dioptra.flow._journal import Journal  # only a job pays for its imports

    return [Journal(attempt_dir)]


class _Run:
    """One run of a flow."""

    def __init__(self, flow: Flow, values: Mapping[str, Any], announce: Announcer) -> None:
        self.flow = flow
        self.values = values
        self.announce = announce
        self.states: States = {}

    def settle_all(self, order: Sequence[Task]) -> State:
        """Settle the tasks in order and return the flow's state; an interruption is announced and raised on."""
        start = perf_counter()
        self.announce(FlowStarted(self.flow.name, len(order)))
        slug = ""
        try:
            for task in order:
                node = self.flow.node(task)
                slug = node.slug
                self.settle(task, node)
        except BaseException as interruption:
            state: State = Failed(f"interrupted in task {slug!r} by {type(interruption).__name__}", self.states)
            self.announce(FlowSettled(self.flow.name, state, perf_counter() - start))
            raise
        state = self.final_state()
        self.announce(FlowSettled(self.flow.name, state, perf_counter() - start))
        return state

    def settle(self, task: Task, node: Node) -> None:
        start = perf_counter()
        attempts = 1
        state = stopped(self.flow, task, node, self.states)
        if state is None:
            state, attempts = self.outcome(task, node)
        self.states[task] = state
        self.announce(TaskSettled(self.flow.name, task, node.slug, state, perf_counter() - start, attempts))

    def outcome(self, task: Task, node: Node) -> tuple[State, int]:
        """Try a task as often as it may, and return its state and the number of attempts."""
        if isinstance(task, Parameter):
            return Success(result=self.values[task.name]), 1
        policy = task._policy
        for number in count(1):
            try:
                state = self.attempt(task, node, number)
            except Signal as signal:  # it says how the task ends, and ends it
                return signal.state, number
            if not isinstance(state, Failed) or not policy.may_retry(number, state.result):
                break
            again = Retrying(state.message, state.result)
            self.announce(TaskRetrying(self.flow.name, task, node.slug, again, number))
            sleep(policy.retry_delay.total_seconds())
        return state, number

    def attempt(self, task: Task, node: Node, number: int) -> State:
        states = self.states
        inputs = {key: states[value].result if isinstance(value, Task) else value for key, value in node.inputs.items()}
        token = CONTEXT.set(Context(self.flow.name, task.name, node.slug, number, self.values))
        try:
            return attempt(task, inputs)
        finally:
            CONTEXT.reset(token)

    def final_state(self) -> State:
        states = self.states
        if any(states[task].is_failed() for task in self.flow.reference_tasks()):
            failed = [state for state in states.values() if state.is_failed()]
            not_run = sum(isinstance(state, TriggerFailed) for state in failed)
            message = f"{len(failed) - not_run} of {len(states)} tasks failed"
            return Failed(f"{message}, {not_run} were not run" if not_run else message, states)
        return Success(f"all {len(states)} tasks have settled", states)


def _failure(flow: Flow, state: State) -> FlowFailed:
    failed = [task for task, found in state.result.items() if _failed_itself(found)]
    failed = failed or [task for task, found in state.result.items() if found.is_failed()]
    lines = [f"flow {flow.name!r} failed: {state.message}"]
    lines += [f"  {flow.node(task).slug}: {_one_line(state.result[task].message)}" for task in failed[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED} more")
    return FlowFailed("\n".join(lines), state=state)


def _first_cause(states: States) -> BaseException | None:
    causes = (state.result for state in states.values() if _failed_itself(state))
    return next((cause for cause in causes if isinstance(cause, BaseException)), None)


def _failed_itself(state: State) -> bool:
    return isinstance(state, Failed) and not isinstance(state, TriggerFailed)


def _one_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _TEXT else line[:_TEXT] + "..."
