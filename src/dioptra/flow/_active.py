"""The flow that is being built."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["ACTIVE", "active_flow"]

ACTIVE: ContextVar[Flow | None] = ContextVar("dioptra_active_flow", default=None)


def active_flow() -> Flow | None:
    """Return the flow whose `with` block is being executed, if there is one."""
    return ACTIVE.get()
