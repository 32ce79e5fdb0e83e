"""Flows: graphs of task calls that are built first and run later.

    with Flow("curve") as flow:
        epsilon = Parameter("epsilon", default=0.1)
        images = attack(load(), epsilon=epsilon)
        measure(images)
    state = flow.run(epsilon=0.3)

It works in a notebook with nothing else running, and knows neither plugins nor MLflow: it emits events (`listen`).
"""

from dioptra.errors import FlowFailed
from dioptra.flow import signals, triggers
from dioptra.flow._active import active_flow
from dioptra.flow._events import (
    Context,
    Event,
    FlowSettled,
    FlowStarted,
    Listener,
    TaskRetrying,
    TaskSettled,
    context,
    listen,
)
from dioptra.flow._executor import Executor, Sequential
from dioptra.flow._flow import Flow
from dioptra.flow._parameter import Parameter, no_default
from dioptra.flow._run import Run
from dioptra.flow._state import (
    Failed,
    Finished,
    Pending,
    Retrying,
    Running,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
)
from dioptra.flow._task import FunctionTask, Task, task

__all__ = [
    "Context",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "Flow",
    "FlowFailed",
    "FlowSettled",
    "FlowStarted",
    "FunctionTask",
    "Listener",
    "Parameter",
    "Pending",
    "Retrying",
    "Run",
    "Running",
    "Sequential",
    "Skipped",
    "State",
    "Success",
    "Task",
    "TaskRetrying",
    "TaskSettled",
    "TimedOut",
    "TriggerFailed",
    "active_flow",
    "context",
    "graphs",
    "listen",
    "no_default",
    "signals",
    "task",
    "triggers",
]


def __getattr__(name: str) -> object:
    """Import `graphs` when it is first asked for: few scripts look at their flows as data."""
    if name != "graphs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import dioptra.flow.graphs as graphs

    return graphs
