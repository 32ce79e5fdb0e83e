"""Parameters: values that a flow is given when it is run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Self

from dioptra.errors import FlowParameterError
from dioptra.flow._task import Task

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["Parameter", "no_default"]


class _NoDefault:
    def __repr__(self) -> str:
        return "no_default"


no_default: Final = _NoDefault()


class Parameter(Task):
    """A value given to `Flow.run`; it belongs to a flow once a task of the flow uses it."""

    __slots__ = ("default", "required")

    def __init__(
        self, name: str, default: Any = no_default, required: bool | None = None, tags: Iterable[str] | None = None
    ) -> None:
        """Make a parameter.

        Args:
            name: Its name in `Flow.run(parameters={name: value})`.
            default: The value when none is given; None without a default.
            required: Whether a value must be given; only without a default, if this is not said.
            tags: Words to find it by.
        """
        if not isinstance(name, str) or not name:
            raise FlowParameterError(f"a Parameter needs a name, not {name!r}", hint='write Parameter("name")')
        super().__init__(name=name, slug=name, tags=tags)
        self.required = default is no_default if required is None else required
        self.default = None if default is no_default else default

    def __call__(self, *, flow: Flow | None = None) -> Self:  # type: ignore[override]  # it takes no arguments
        """Add the parameter itself to the flow that is being built."""
        self._flow(flow).add_task(self)
        return self

    def __repr__(self) -> str:
        return f"<Parameter: {self.name}>"
