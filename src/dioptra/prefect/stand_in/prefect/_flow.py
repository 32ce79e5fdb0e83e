"""The flow of the stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NoReturn

from dioptra.errors import FlowError
from dioptra.flow import Flow as DioptraFlow
from dioptra.flow import State
from dioptra.prefect._explain import explain_option

__all__ = ["PARAMETERS", "Flow"]

_OPTIONS = (
    *("edges", "environment", "executor", "reference_tasks", "result", "run_config", "schedule", "state_handlers"),
    *("storage", "terminal_state_handler", "validate"),
)
_RUN_OPTIONS = (
    *("context", "executor", "flow_run", "return_tasks", "run_on_schedule", "runner_cls", "state"),
    *("task_contexts", "task_runner_state_handlers", "task_states"),
)

PARAMETERS: ContextVar[Mapping[str, Any]] = ContextVar("dioptra_prefect_parameters")


class Flow(DioptraFlow):
    """A flow of Dioptra whose tasks find its parameters in `prefect.context`."""

    def __init__(self, name: str, schedule: Any = None, **options: Any) -> None:
        """Make an empty flow; the options of Prefect 1 are let pass when they ask for nothing."""
        for option, value in {"schedule": schedule, **options}.items():
            if option not in _OPTIONS:
                raise TypeError(explain_option("Flow(...)", option))
            _check("Flow(...)", option, value)
        super().__init__(name)

    def __getattr__(self, name: str) -> NoReturn:
        from ._names import explain  # which imports this module

        raise AttributeError(explain(f"prefect.Flow.{name}"))

    def run(
        self, parameters: Mapping[str, Any] | None = None, *, raise_on_failure: bool = True, **kwargs: Any
    ) -> State:
        """Run every task; see `dioptra.flow.Flow.run`. Options of Prefect 1 are let pass when they ask for nothing."""
        defaults = {parameter.name: parameter.default for parameter in self.parameters()}
        for option in [name for name in kwargs if name in _RUN_OPTIONS and name not in defaults]:
            _check("Flow.run(...)", option, kwargs.pop(option))
        given = parameters if isinstance(parameters, Mapping) else {}  # what is no mapping is refused below
        token = PARAMETERS.set({**defaults, **given, **kwargs})
        try:
            return super().run(parameters, raise_on_failure=raise_on_failure, **kwargs)
        finally:
            PARAMETERS.reset(token)


def _check(call: str, option: str, value: Any) -> None:
    if value is not None and value is not False and value not in ([], (), {}):
        raise FlowError(explain_option(call, option))
