"""A flow's tasks and parameters, packed for a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from dioptra.errors import FlowError
from dioptra.executors._on_worker import Call, Name, Taken, pack_call
from dioptra.executors._parcel import Parcel
from dioptra.flow import Run, Task
from dioptra.flow._attempt import describe
from dioptra.flow._parameter import Parameter

__all__ = ["pack_tasks", "pack_values"]


def pack_tasks(run: Run) -> list[bytes]:
    """Pack the tasks of a run, in order, before anything has run; for a parameter, nothing is needed.

    Raises:
        FlowError: One cannot be sent.
    """
    return [b"" if isinstance(task, Parameter) else _pack(run, task) for task in run.order]


def pack_values(run: Run) -> Parcel:
    """Pack the values of the flow's parameters.

    Raises:
        FlowError: They cannot be sent.
    """
    try:
        return Parcel.of(dict(run.values))
    except Exception as error:
        names = ", ".join(sorted(run.values))
        raise FlowError(
            f"the parameters of flow {run.flow.name!r} ({names}) cannot be sent to a cluster: {describe(error)}"
        ) from error


def _pack(run: Run, task: Task) -> bytes:
    node = run.flow.node(task)
    sources = list(dict.fromkeys(node.upstream()))
    position = {source: index for index, source in enumerate(sources)}
    call = Call(
        task=Name(task.name, node.slug, task.tags),
        policy=task._policy,
        positional=task._spec.positional,
        function=task.run,
        inputs={k: Taken(position[v]) if isinstance(v, Task) else v for k, v in node.inputs.items()},
        after=tuple(position[source] for source in node.after),
        constants=node.constants,
        upstream=_names(run, sources),
    )
    try:
        return pack_call(call)
    except Exception as error:
        raise FlowError(
            f"task {node.slug!r} cannot be sent to a cluster: {describe(error)}",
            hint="let it make what cannot be sent, such as open files and locks, by itself",
        ) from error


def _names(run: Run, tasks: Sequence[Task]) -> tuple[Name, ...]:
    return tuple(Name(task.name, run.flow.node(task).slug, task.tags) for task in tasks)
