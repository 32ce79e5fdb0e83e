"""Arguments that are collections with tasks inside: they become tasks that build the collection."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from dioptra.errors import TaskDefinitionError
from dioptra.flow._signature import Spec, spec_of
from dioptra.flow._task import Task

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["CollectionTask", "as_input"]

_KINDS = (list, tuple, set, frozenset, dict)
_DEPTH = 100  # collections in collections


class CollectionTask(Task):
    """A task that builds a list, tuple, set or dictionary of the results of others."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        super().__init__(name=kind.__name__.capitalize())
        self.kind = kind

    def run(self, **items: Any) -> Any:
        """Return the collection; a dictionary comes as key, value, key, value ..."""
        values = list(items.values())
        return dict(zip(values[::2], values[1::2], strict=True)) if self.kind is dict else self.kind(values)

    def _inspect(self) -> Spec:
        return spec_of(CollectionTask.run, method=True)


def as_input(value: Any, flow: Flow, depth: int = 0) -> Any:
    """Return what stands for an argument in a flow: a task, or the value itself when it is a constant.

    Raises:
        TaskDefinitionError: A collection with a task inside contains itself, or is too deep.
    """
    if isinstance(value, Task) or next(_tasks_in(value), None) is None:
        return value
    if depth == _DEPTH:
        raise TaskDefinitionError(
            f"an argument in flow {flow.name!r} has a task more than {_DEPTH} collections deep, or contains itself",
            hint="let a task build the collection",
        )
    kind = next(kind for kind in _KINDS if isinstance(value, kind))
    items = chain.from_iterable(value.items()) if kind is dict else _ordered(value, flow)
    sources = {sys.intern(str(i)): _added(as_input(item, flow, depth + 1), flow) for i, item in enumerate(items)}
    collection = CollectionTask(kind)
    flow.set_dependencies(collection, keyword_tasks=sources)
    return collection


def _added(source: Any, flow: Flow) -> Any:
    return flow.add_task(source) if isinstance(source, Task) else source


def _tasks_in(value: Any) -> Iterator[Task]:
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Task):
            yield item
        elif isinstance(item, _KINDS) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item)
            if isinstance(item, dict):
                waiting.extend(item.values())


def _ordered(value: Any, flow: Flow) -> Any:
    """A set has no order of its own: take that in which its tasks were made, so that each run is the same."""
    if not isinstance(value, (set, frozenset)):
        return value
    return sorted(value, key=lambda item: min(map(flow.position, _tasks_in(item)), default=-1))
