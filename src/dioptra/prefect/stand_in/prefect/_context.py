"""`prefect.context`: what a task can learn of the run that it is part of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dioptra.flow import context as task_context

from ._flow import PARAMETERS
from .utilities.logging import get_logger

__all__ = ["context"]


class Context(Mapping[str, Any]):
    """A mapping whose entries are attributes too: logger; in a run parameters; in a task its names and the flow's."""

    def __getitem__(self, key: str) -> Any:
        return self._entries()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def __getattr__(self, name: str) -> Any:
        entries = self._entries()
        if name not in entries:
            raise AttributeError(
                f"prefect.context has no {name!r} here, in Dioptra's stand-in for Prefect 1; "
                f"use prefect.context.get({name!r}), or what it has: {', '.join(entries)}"
            )
        return entries[name]

    def __repr__(self) -> str:
        return "<Context>"

    def _entries(self) -> dict[str, Any]:
        running = task_context()
        entries: dict[str, Any] = {"logger": get_logger(running.task if running else None)}
        if (parameters := PARAMETERS.get(None)) is not None:
            entries["parameters"] = dict(parameters)
        if running:
            entries |= {"flow_name": running.flow, "task_name": running.task, "task_slug": running.slug}
            entries["task_run_count"] = running.attempt
        return entries


context = Context()
