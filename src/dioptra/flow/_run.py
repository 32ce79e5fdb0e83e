"""One run of a flow: what every executor shares, and the one that runs each task in its turn, here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from dioptra import settings
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
from dioptra.flow._executor import Executor
from dioptra.flow._failure import failure_of
from dioptra.flow._gate import stopped
from dioptra.flow._log import log_event, visible_log
from dioptra.flow._parameter import Parameter
from dioptra.flow._progress import progress_line
from dioptra.flow._state import Failed, Retrying, State, Success, TriggerFailed
from dioptra.flow._task import Task
from dioptra.flow.signals import Signal

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow, Node

__all__ = ["Run", "execute"]

States = dict[Task, State]


def execute(flow: Flow, values: Mapping[str, Any], *, executor: Executor, raise_on_failure: bool) -> State:
    """Run the tasks of a flow and return its state, or raise FlowFailed."""
    order = flow.sorted_tasks()
    attempt_dir = settings.get("attempt_dir")
    with visible_log(in_job=bool(attempt_dir)), progress_line() as progress:
        announce = Announcer([*listeners(), *progress, log_event, *_journal(attempt_dir)])
        state = _drive(Run(flow, values, announce, order), executor)
    if raise_on_failure and state.is_failed():
        failure = failure_of(flow, state)
        if attempt_dir:
            from dioptra.flow._uncaught import watch_for

            watch_for(failure, flow.name, attempt_dir)
        raise failure
    return state


def _journal(attempt_dir: str) -> list[Listener]:
    if not attempt_dir:
        return []
    from dioptra.flow._journal import Journal  # only a job pays for its imports

    return [Journal(attempt_dir)]


def _drive(run: Run, executor: Executor) -> State:
    """Let an executor settle all tasks and return the flow's state; an interruption is announced and raised on."""
    start = perf_counter()
    run.announce(FlowStarted(run.flow.name, len(run.order), run.flow))
    try:
        executor.drive(run)
    except BaseException as interruption:
        where = f" in task {run.current!r}" if run.current else ""
        state: State = Failed(f"interrupted{where} by {type(interruption).__name__}", run.states)
        run.announce(FlowSettled(run.flow.name, state, perf_counter() - start))
        raise
    state = run.final_state()
    state.seconds = perf_counter() - start
    run.announce(FlowSettled(run.flow.name, state, state.seconds))
    return state


class Run:
    """One run of a flow: its tasks in order, what became of them, and how one of them is run.

    An executor settles each task of `order` once, after what it depends on.
    """

    def __init__(
        self,
        flow: Flow,
        values: Mapping[str, Any],
        announce: Announcer,
        order: tuple[Task, ...],
        pause: Callable[[float], None] = sleep,
    ) -> None:
        """Prepare a run.

        Args:
            flow: The flow.
            values: A value for each of its parameters.
            announce: Is told what happens.
            order: Its tasks, upstream first.
            pause: Waits for some seconds before a task is tried again.
        """
        self.flow = flow
        self.values = values
        self.announce = announce
        self.order = order
        self.pause = pause
        self.states: States = {}
        self.current = ""  # the task that an interruption hits, where only one runs at a time

    def settle_here(self, task: Task) -> None:
        """Run a task in this thread, if it is to be run."""
        node = self.flow.node(task)
        self.current = node.slug
        start = perf_counter()
        attempts = 1
        state = self.stopped(task, node)
        if state is None:
            state, attempts = self._outcome(task, node)
        self.settle(task, state, perf_counter() - start, attempts)

    def stopped(self, task: Task, node: Node) -> State | None:
        """Return the state of a task that is not to be run, or None when it is."""
        return stopped(self.flow, task, node, self.states)

    def settle(self, task: Task, state: State, seconds: float, attempts: int = 1) -> None:
        """Note and announce what became of a task."""
        state.seconds = seconds
        self.states[task] = state
        self.announce(TaskSettled(self.flow.name, task, self.flow.node(task).slug, state, seconds, attempts))

    def retry(self, task: Task, state: State, number: int) -> float | None:
        """Return after how many seconds a task is tried again, if it is, and announce it; `number` counts from 1."""
        policy = task._policy
        if not isinstance(state, Failed) or not policy.may_retry(number, state.result):
            return None
        self.announce_retry(task, state, number)
        return policy.delay_after(number)

    def announce_retry(self, task: Task, state: State, number: int) -> None:
        """Announce that a task failed in an attempt, and is tried again."""
        again = Retrying(state.message, state.result)
        self.announce(TaskRetrying(self.flow.name, task, self.flow.node(task).slug, again, number))

    def attempt(self, task: Task, number: int) -> tuple[State, bool]:
        """Try a task once, and return its state and whether that is final."""
        if isinstance(task, Parameter):
            return Success(result=self.values[task.name]), True
        node, states = self.flow.node(task), self.states
        inputs = {key: states[value].result if isinstance(value, Task) else value for key, value in node.inputs.items()}
        token = CONTEXT.set(Context(self.flow.name, task.name, node.slug, number, self.values))
        try:
            return attempt(task, inputs), False
        except Signal as signal:  # it says how the task ends, and ends it
            return signal.state, True
        finally:
            CONTEXT.reset(token)

    def _outcome(self, task: Task, node: Node) -> tuple[State, int]:
        """Try a task as often as it may, and return its state and the number of attempts."""
        for number in count(1):
            state, final = self.attempt(task, number)
            delay = None if final else self.retry(task, state, number)
            if delay is None:
                break
            self.pause(delay)
        return state, number

    def final_state(self) -> State:
        """Return the state of the flow once all tasks have settled."""
        states = {task: self.states[task] for task in self.order}  # whatever the order in which they settled
        if any(states[task].is_failed() for task in self.flow.reference_tasks()):
            failed = [state for state in states.values() if state.is_failed()]
            not_run = sum(isinstance(state, TriggerFailed) for state in failed)
            message = f"{len(failed) - not_run} of {len(states)} tasks failed"
            return Failed(f"{message}, {not_run} were not run" if not_run else message, states)
        return Success(f"all {len(states)} tasks have settled", states)
