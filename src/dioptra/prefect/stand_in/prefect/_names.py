"""What the stand-in offers."""

from __future__ import annotations

try:
    from dioptra.flow import Parameter, Task, task
    from dioptra.prefect._explain import explain_parts, explain_stand_in
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("No module named 'prefect'", name="prefect") from error

from . import engine, triggers, utilities
from ._context import context
from ._flow import Flow

__all__ = ["Flow", "Parameter", "Task", "context", "engine", "task", "triggers", "utilities"]

explain = explain_stand_in(
    [*__all__, "engine.signals", "engine.state", "utilities.logging.get_logger"],
)
explain_parts((engine, engine.signals, engine.state, triggers, utilities, utilities.logging), explain)
