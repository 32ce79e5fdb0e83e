"""Requests for metrics: lists of names, as entry points write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import structlog

from dioptra.errors import BaseTaskPluginError, suggest

__all__ = ["look_up"]

Metric = TypeVar("Metric", bound=Callable[..., object])


def look_up(request: Iterable[Mapping[str, str]], metrics: Mapping[str, Metric], kind: str) -> list[tuple[str, Metric]]:
    """Return name and function of each metric that is asked for; one that does not exist is left out, with a warning.

    Raises:
        BaseTaskPluginError: An entry of the request lacks its `name` or its `func`.
    """
    found = []
    for entry in request:
        if not isinstance(entry, Mapping) or not {"name", "func"} <= entry.keys():
            hint = 'write {"name": ..., "func": ...} for each metric'
            raise BaseTaskPluginError(f"{entry!r} does not ask for a {kind} metric", hint=hint)
        if entry["func"] in metrics:
            found.append((entry["name"], metrics[entry["func"]]))
        else:
            structlog.get_logger(__name__).warning(
                f"unknown {kind} metric left out", func=entry["func"], hint=suggest(entry["func"], metrics)
            )
    return found
