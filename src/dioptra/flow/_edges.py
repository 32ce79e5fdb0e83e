"""Types along the edges of a flow: what one task returns must be something that the other may take.

Annotations decide; what has none may be anything.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

from dioptra.errors import TaskTypeError
from dioptra.flow._parameter import Parameter
from dioptra.flow._task import OperatorTask, Task
from dioptra.flow._types import fits, part_of, shown

if TYPE_CHECKING:
    from dioptra.flow._flow import Node

__all__ = ["check_types"]

_DEEPEST = 100  # indices behind each other that are followed


def check_types(task: Task, arguments: Mapping[str, Any], nodes: Mapping[Task, Node]) -> None:
    """Refuse arguments that are results of the wrong type.

    Args:
        task: The task that is given them.
        arguments: By name; only those that are tasks are looked at.
        nodes: The flow that the task is in, or is about to join.

    Raises:
        TaskTypeError: One cannot be what the task takes.
    """
    hints = task._spec.hints
    for name, source in arguments.items():
        if isinstance(source, Task) and (taken := hints[name]) is not Any:
            given = _result(source, nodes)
            if given is not taken and given is not Any and not _may_fit(given, taken):
                raise TaskTypeError(
                    f"task {_name(task, nodes)!r} takes {name}: {shown(taken)}, "
                    f"and task {_name(source, nodes)!r} returns {shown(given)}",
                    hint="give it what it takes, or correct the annotation that is not true",
                )


def _name(task: Task, nodes: Mapping[Task, Node]) -> str:
    return nodes[task].slug if task in nodes else task.name


def _result(source: Task, nodes: Mapping[Task, Node]) -> Any:
    """Return the type of a task's result; that of `task[0]` is a part of that of the task."""
    keys: list[Any] = []
    while isinstance(source, OperatorTask):
        inputs = tuple(nodes[source].inputs.values()) if source in nodes else ()
        if source.run is not operator.getitem or len(inputs) != 2 or len(keys) == _DEEPEST:
            return Any
        source, key = inputs
        keys.append(key if isinstance(key, int) else None)  # a slice, or a task, which may give one
    if not isinstance(source, Task) or isinstance(source, Parameter):
        return Any
    hint = source._spec.hints[None]
    try:
        return reduce(part_of, reversed(keys), hint) if keys else hint
    except Exception:  # as in _may_fit
        return Any


def _may_fit(given: Any, taken: Any) -> bool:
    try:
        return fits(given, taken)
    except Exception:  # classes can say anything when they are compared
        return True
