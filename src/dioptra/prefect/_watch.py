"""Writes the flows of a real Prefect 1 to the job's journal, as those of Dioptra are."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from time import perf_counter
from types import ModuleType
from typing import Any

from dioptra import settings
from dioptra.errors import FlowFailed
from dioptra.flow import Event, Failed, FlowSettled, FlowStarted, TaskRetrying, TaskSettled
from dioptra.flow._journal import Journal
from dioptra.prefect._bridge import prefect_1

__all__ = ["watch"]

logger = logging.getLogger("dioptra.prefect")


class _PrefectJournal(Journal):
    """The journal of one flow; each line names the engine."""

    def __call__(self, event: Event) -> None:
        """Append one line, and keep nothing open: each task may run in another process."""
        super().__call__(event)
        self._close()

    @property
    def broken(self) -> bool:
        """Tell whether a line could not be written."""
        return self._broken

    def _line(self, event: Event) -> dict[str, Any]:
        return super()._line(event) | {"engine": f"prefect {prefect_1().__version__}"}


def watch(prefect: ModuleType) -> None:
    """Let `Flow.run` of Prefect 1 write what its tasks do, and how it ends, to the job's journal."""
    flow_class: Any = prefect.Flow
    if not hasattr(flow_class.run, "__wrapped__"):
        flow_class.run = _watched(flow_class.run)


def _watched(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def watched(flow: Any, *args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        journal = _PrefectJournal(settings.get("attempt_dir"))
        journal(FlowStarted(flow.name, len(flow.tasks)))
        handlers = [*kwargs.pop("task_runner_state_handlers", ()), _on_state]
        try:
            state = run(flow, *args, task_runner_state_handlers=handlers, **kwargs)
        except BaseException as error:
            journal(FlowSettled(flow.name, Failed(f"{type(error).__name__}: {error}"), perf_counter() - start))
            raise
        journal(FlowSettled(flow.name, state, perf_counter() - start))
        if journal.broken and not state.is_successful():
            raise FlowFailed(f"flow {flow.name!r} ended failed, and the job's journal cannot say so", state=state)
        return state

    return watched


def _on_state(runner: Any, _: Any, state: Any) -> None:
    """Write a task's end; Prefect calls this in whatever process and thread runs the task."""
    try:
        if state.is_running():
            runner.dioptra_started = perf_counter()
        elif state.is_retrying() or (state.is_finished() and not _goes_on(runner, state)):
            _PrefectJournal(settings.get("attempt_dir"))(_event(runner, state))
    except Exception:
        logger.warning("the journal lacks a line for task %r", runner.task.name, exc_info=True)


def _goes_on(runner: Any, state: Any) -> bool:
    """Tell whether a state is only on the way: of a loop, or a failure that Prefect answers with a retry right away."""
    if not state.is_failed() or not hasattr(runner, "dioptra_started"):
        return bool(state.is_looped())
    retry_on = getattr(runner.task, "retry_on", None)
    if retry_on and state.result is not None and not isinstance(state.result, tuple(retry_on)):
        return False
    return bool(_attempt() <= runner.task.max_retries)


def _attempt() -> int:
    return prefect_1().context.get("task_run_count") or 1


def _event(runner: Any, state: Any) -> TaskRetrying | TaskSettled:
    context, now = prefect_1().context, perf_counter()
    flow, slug, index = context.get("flow_name") or "", context.get("task_slug"), context.get("map_index")
    if index is not None:
        slug = f"{slug}[{index}]"
    if state.is_retrying():
        return TaskRetrying(flow, runner.task, slug, state, state.run_count)
    seconds = now - getattr(runner, "dioptra_started", now)
    return TaskSettled(flow, runner.task, slug, state, seconds, attempts=_attempt())
