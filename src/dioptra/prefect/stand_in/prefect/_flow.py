"""The flow of the stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from dioptra.flow import Flow as DioptraFlow
from dioptra.flow import State

__all__ = ["PARAMETERS", "Flow"]

PARAMETERS: ContextVar[Mapping[str, Any]] = ContextVar("dioptra_prefect_parameters")


class Flow(DioptraFlow):
    """A flow of Dioptra whose tasks find its parameters in `prefect.context`."""

    def run(
        self, parameters: Mapping[str, Any] | None = None, *, raise_on_failure: bool = True, **kwargs: Any
    ) -> State:
        """Run every task; see `dioptra.flow.Flow.run`."""
        defaults = {parameter.name: parameter.default for parameter in self.parameters()}
        token = PARAMETERS.set({**defaults, **(parameters or {}), **kwargs})
        try:
            return super().run(parameters, raise_on_failure=raise_on_failure, **kwargs)
        finally:
            PARAMETERS.reset(token)
