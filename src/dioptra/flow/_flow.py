"""Flows: graphs of tasks that are built first and run later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from dioptra import settings
from dioptra.errors import FlowError, FlowParameterError
from dioptra.flow._active import ACTIVE
from dioptra.flow._collection import as_input
from dioptra.flow._edges import check_types
from dioptra.flow._executor import executor_of
from dioptra.flow._graph import find_ring, run_order
from dioptra.flow._parameter import Parameter
from dioptra.flow._run import execute
from dioptra.flow._state import State
from dioptra.flow._task import Task
from dioptra.flow._values import parameter_values

if TYPE_CHECKING:
    import os

    from dioptra.flow._drawing import Drawing

__all__ = ["Flow", "Node"]


class Node:
    """What a flow knows of one of its tasks."""

    __slots__ = ("after", "constants", "index", "inputs", "slug")

    def __init__(self, index: int, slug: str) -> None:
        self.index = index  # the order in which the tasks came in
        self.slug = slug
        self.inputs: dict[str, Any] = {}  # arguments: a Task is an edge, all else a constant
        self.after: tuple[Task, ...] = ()  # waits for these, and takes nothing from them
        self.constants = 0  # how many plain values stand beside those

    def upstream(self) -> Iterator[Task]:
        """Give the tasks that this one depends on, in the order of its arguments."""
        yield from (value for value in self.inputs.values() if isinstance(value, Task))
        yield from self.after


class Flow:
    """A graph of task calls: build it in a `with` block, then run it."""

    def __init__(self, name: str) -> None:
        """Make an empty flow; its name appears in logs and errors."""
        if not isinstance(name, str) or not name:
            raise FlowError(f"a Flow needs a name, not {name!r}", hint='write Flow("name")')
        self.name = name
        self._nodes: dict[Task, Node] = {}
        self._parameters: dict[str, Parameter] = {}
        self._slugs: set[str] = set()
        self._counts: dict[str, int] = {}
        self._order: tuple[Task, ...] | None = None
        self._reference: tuple[Task, ...] = ()

    def __enter__(self) -> Self:
        if (outer := ACTIVE.get()) is not None:
            raise FlowError(
                f"flow {self.name!r} cannot be built inside flow {outer.name!r}",
                hint="end the first `with Flow(...):` block before the second",
            )
        ACTIVE.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        ACTIVE.set(None)

    def __repr__(self) -> str:
        return f"<Flow: {self.name}, {len(self._nodes)} tasks>"

    # What is in it

    @property
    def tasks(self) -> set[Task]:
        """The tasks of the flow, its parameters included."""
        return set(self._nodes)

    @property
    def slugs(self) -> dict[Task, str]:
        """The name of each task that is unique in the flow."""
        return {task: node.slug for task, node in self._nodes.items()}

    def parameters(self) -> set[Parameter]:
        """Return the parameters that tasks of the flow use."""
        return set(self._parameters.values())

    def get_tasks(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        task_type: type[Task] = Task,
    ) -> list[Task]:
        """Return the tasks with this name, this slug, all of these tags and this type, in the order they were made."""
        return [
            task
            for task, node in self._nodes.items()
            if name in (None, task.name)
            and slug in (None, node.slug)
            and task.tags.issuperset(tags or ())
            and isinstance(task, task_type)
        ]

    def upstream_tasks(self, task: Task) -> set[Task]:
        """Return the tasks that a task depends on directly."""
        return set(self.node(task).upstream())

    def downstream_tasks(self, task: Task) -> set[Task]:
        """Return the tasks that depend on a task directly."""
        self.node(task)
        return {other for other, node in self._nodes.items() if task in node.upstream()}

    def terminal_tasks(self) -> set[Task]:
        """Return the tasks that nothing depends on."""
        return self.tasks.difference(*(node.upstream() for node in self._nodes.values()))

    def reference_tasks(self) -> set[Task]:
        """Return the tasks that decide how the flow ends: the terminal ones, unless others were set."""
        return set(self._reference) or self.terminal_tasks()

    def set_reference_tasks(self, tasks: Iterable[Task]) -> None:
        """Let these tasks of the flow decide how it ends; none means the terminal ones again."""
        chosen = tuple(tasks)
        for task in chosen:
            self.node(task)
        self._reference = chosen

    def sorted_tasks(self) -> tuple[Task, ...]:
        """Return the tasks in the order in which they run: upstream first, else as they were made.

        Raises:
            FlowError: Some tasks depend on each other in a ring.
        """
        if self._order is None:
            tasks = list(self._nodes)
            upstream = [[self._nodes[up].index for up in node.upstream()] for node in self._nodes.values()]
            order = run_order(upstream)
            if len(order) < len(tasks):
                self._refuse_ring([self._nodes[tasks[index]].slug for index in find_ring(upstream, order)])
            self._order = tuple(tasks[index] for index in order)
        return self._order

    def node(self, task: Task) -> Node:
        """Return what the flow knows of a task; a FlowError says that it is not one of its own."""
        try:
            return self._nodes[task]
        except KeyError:
            raise FlowError(f"task {task.name!r} is not in flow {self.name!r}") from None

    def position(self, task: Task) -> int:
        """Return the place of a task in the order they were made; one that is not in the flow comes last."""
        node = self._nodes.get(task)
        return len(self._nodes) if node is None else node.index

    # Building

    def add_task(self, task: Task) -> Task:
        """Add a task, once.

        Raises:
            FlowParameterError: The flow has another parameter of that name.
        """
        if task in self._nodes:
            return task
        if not isinstance(task, Task):
            raise FlowError(f"{task!r} is not a task", hint="decorate the function with @task and call it")
        if isinstance(task, Parameter) and self._parameters.setdefault(task.name, task) is not task:
            raise FlowParameterError(
                f"flow {self.name!r} has two Parameters named {task.name!r}",
                hint="make the Parameter once and use it in every call",
            )
        self._nodes[task] = Node(len(self._nodes), self._new_slug(task))
        self._order = None
        return task

    def set_dependencies(
        self,
        task: Task,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Task] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a task and what it depends on.

        Args:
            task: The task.
            upstream_tasks: What must end first.
            downstream_tasks: Tasks for which this one must end first.
            keyword_tasks: Arguments of the task: tasks, collections with tasks inside, or plain values.

        Raises:
            FlowError: The task already has one of these arguments, or the upstream or downstream tasks are no list.
            FlowParameterError: A parameter cannot depend on anything.
            TaskTypeError: An argument is the result of a task, of a type that this one does not take.
        """
        if keyword_tasks and isinstance(task, Task):
            check_types(task, keyword_tasks, self._nodes)
        before, later = _listed("upstream_tasks", upstream_tasks), _listed("downstream_tasks", downstream_tasks)
        inputs = {key: self._source(value) for key, value in (keyword_tasks or {}).items()}
        after = [self._source(value) for value in before]
        if isinstance(task, Parameter) and (inputs or after):
            raise FlowParameterError(f"parameter {task.name!r} cannot wait for a task, because it is given to the flow")
        node = self._nodes[self.add_task(task)]
        if twice := node.inputs.keys() & inputs.keys():
            raise FlowError(
                f"task {node.slug!r} already has its argument {sorted(twice)[0]!r}",
                hint="call the task, which makes a copy, instead of binding it again",
            )
        node.inputs.update(inputs)
        tasks = [source for source in after if isinstance(source, Task)]
        node.after = tuple(dict.fromkeys([*node.after, *tasks]))
        node.constants += len(after) - len(tasks)
        self._order = None
        for other in later:
            self.set_dependencies(other, upstream_tasks=[task])

    def _source(self, value: Any) -> Any:
        source = as_input(value, self)
        return self.add_task(source) if isinstance(source, Task) else source

    def _new_slug(self, task: Task) -> str:
        base = task.slug or task.name
        slug = task.slug or f"{base}-1"
        while slug in self._slugs:
            self._counts[base] = self._counts.get(base, 1) + 1
            slug = f"{base}-{self._counts[base]}"
        self._slugs.add(slug)
        return slug

    def _refuse_ring(self, slugs: list[str]) -> None:
        shown = slugs if len(slugs) <= 12 else [*slugs[:10], "...", slugs[-1]]
        raise FlowError(f"flow {self.name!r} has tasks that wait for each other: {' -> '.join(shown)}")

    # Seeing

    def visualize(
        self,
        flow_state: State | None = None,
        filename: str | os.PathLike[str] | None = None,
        format: str | None = None,  # noqa: A002 - the arguments are Prefect's
    ) -> Drawing:
        """Draw the graph as SVG; a notebook shows what is returned.

        Args:
            flow_state: What `run` returned, to show what became of the tasks.
            filename: A file to write the picture to, too; `.svg` is added to a name without an ending.
            format: "svg"; nothing else is drawn.

        Raises:
            FlowError: It has more than 1,000 tasks, the state is none of a run, or the file cannot be written.
        """
        from dioptra.flow._drawing import picture_of

        return picture_of(self, flow_state, filename, format)

    # Running

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        executor: Any = None,
        raise_on_failure: bool = True,
        **kwargs: Any,
    ) -> State:
        """Run every task, now, each after what it depends on.

        Args:
            parameters: Values of the flow's parameters: any Python objects.
            executor: Where: "sequential", one after the other; "threads", or "threads:4", at the same time; "dask", or
                the address of a Dask cluster, or its `distributed.Client`; or one of `dioptra.executors`. By default
                what `DIOPTRA_EXECUTOR` says, and that is "sequential".
            raise_on_failure: Raise when the flow ends failed; otherwise the failed state is returned.
            **kwargs: More parameters, by keyword.

        Returns:
            The state of the flow; `state.result[task]` is the state of a task.

        Raises:
            FlowParameterError: A required parameter is missing, or one is not known. Nothing has run.
            FlowFailed: A task that decides how the flow ends failed. All other tasks have settled.
        """
        if (outer := ACTIVE.get()) is not None:
            raise FlowError(
                f"flow {self.name!r} cannot be run while flow {outer.name!r} is being built",
                hint="move `run` out of the `with Flow(...):` block",
            )
        values = parameter_values(self, {} if parameters is None else parameters, kwargs)
        self._check_arguments()
        if file := settings.get("show_flow"):
            from dioptra.flow._show import show_and_end

            show_and_end(self, file)
        return execute(self, values, executor=executor_of(executor), raise_on_failure=raise_on_failure)

    def _check_arguments(self) -> None:
        for task, node in self._nodes.items():
            if lacking := [name for name in task._spec.required if name not in node.inputs]:
                raise FlowError(
                    f"task {node.slug!r} of flow {self.name!r} lacks its argument {', '.join(lacking)}",
                    hint="it was called in another flow, or used without being called",
                )


def _listed(name: str, tasks: Iterable[Any] | None) -> Iterable[Any]:
    if tasks is None:
        return ()
    if isinstance(tasks, Task):
        return (tasks,)
    if isinstance(tasks, (str, bytes, Mapping)) or not isinstance(tasks, Iterable):
        raise FlowError(f"{name}={tasks!r:.300} is not a list of tasks", hint=f"write {name}=[first, second]")
    return tasks
