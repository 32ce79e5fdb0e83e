"""Tasks: units of work that a flow binds to arguments now and runs later."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack, overload

from dioptra.errors import FlowError, NoActiveFlowError, TaskDefinitionError, TaskNotIterableError
from dioptra.flow._active import active_flow
from dioptra.flow._operators import Operators
from dioptra.flow._options import Option, Options, Policy, check_known, policy_of
from dioptra.flow._signature import Spec, spec_of
from dioptra.flow.triggers import Trigger

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["FunctionTask", "OperatorTask", "Task", "task"]

_NO_TAGS: frozenset[str] = frozenset()


class Task(Operators):
    """A unit of work; subclass it and write `run`, or decorate a function with `task`."""

    __slots__ = ("__weakref__", "_policy", "_spec", "name", "nout", "slug", "tags")

    if TYPE_CHECKING:
        run: Callable[..., Any]
        trigger: Trigger
        skip_on_upstream_skip: bool
        max_retries: int
        retry_delay: timedelta
        retry_backoff: float
        retry_on: tuple[type[Exception], ...]
        timeout: float | None
        resources: Mapping[str, float]
    else:
        trigger = Option()
        skip_on_upstream_skip = Option()
        max_retries = Option()
        retry_delay = Option()
        retry_backoff = Option()
        retry_on = Option()
        timeout = Option()
        resources = Option()

        def run(self) -> None:
            """Do the work; the flow calls this with the results of what the task depends on."""

    def __init__(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        nout: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Make a task.

        Args:
            name: What it is called in logs and errors; the name of its class by default.
            slug: Its name in a flow, made unique there; `name-1`, `name-2` ... by default.
            tags: Words to find it by.
            nout: How many results `a, b = task(...)` unpacks; by default what the annotation of `run` tells.
            **options: `trigger`: one of `dioptra.flow.triggers`, which decides by the states of its upstream whether
                the task runs; `skip_on_upstream_skip` (true): skip it when one of them was skipped; `max_retries`:
                how often a failure is tried again, after `retry_delay` (seconds or a timedelta), which grows by the
                factor `retry_backoff`, if it is one of the exceptions in `retry_on`; `timeout`: after how many seconds
                (or what timedelta) it has failed; `resources`: what a worker of a cluster must have free, such as
                `{"GPU": 1}`. Further options of Prefect 1 that mean nothing in a local run are let pass: `cache_key`,
                `cache_validator`, `checkpoint`, `log_stdout`, `result`, `task_run_name`.

        Raises:
            TypeError: There is no such option.
            TaskDefinitionError: `run` takes `*args` or an argument with a reserved name, or an option does not fit.
        """
        self._spec: Spec = self._inspect()
        self.name = name or type(self).__name__
        self._policy: Policy = policy_of(self.name, options)
        self.slug = slug
        self.tags = self._tag_set(tags)
        self.nout = self._spec.nout if nout is None else nout

    def _inspect(self) -> Spec:
        return spec_of(type(self).run, method=True)

    def _tag_set(self, tags: Iterable[str] | None) -> frozenset[str]:
        if isinstance(tags, str):
            raise TaskDefinitionError(f"task {self.name!r} has tags={tags!r}", hint=f"write tags=[{tags!r}]")
        return frozenset(tags) if tags else _NO_TAGS

    def __call__(
        self,
        *args: Any,
        mapped: bool = False,
        task_args: Mapping[str, Any] | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add a copy of this task to the flow that is being built, with these arguments.

        Args:
            *args: Arguments of `run`: tasks, whose results are passed on, or plain values.
            mapped: Not supported; must be false.
            task_args: Attributes to set on the copy, such as `{"name": "train"}`.
            upstream_tasks: Tasks that must end first, whose results are not passed on.
            flow: The flow to add to, instead of the one being built.
            **kwargs: More arguments of `run`.

        Returns:
            The copy, which stands for its result in further calls.

        Raises:
            TypeError: The arguments do not fit `run`.
            NoActiveFlowError: No flow is being built.
        """
        if mapped:
            self.map()
        return self.copy(**(task_args or {})).bind(*args, upstream_tasks=upstream_tasks, flow=flow, **kwargs)

    def map(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a task is called once for each value."""
        raise TaskDefinitionError(f"task {self.name!r} cannot be mapped", hint="call it once for each value")

    def bind(
        self, *args: Any, upstream_tasks: Iterable[Any] | None = None, flow: Flow | None = None, **kwargs: Any
    ) -> Self:
        """Add this very task to a flow, with these arguments; calling the task binds a copy instead."""
        try:
            arguments = self._spec.bind(args, kwargs)
        except TypeError as error:
            raise TypeError(f"task {self.name!r}: {error}; it takes {self._spec.signature}") from None
        self._flow(flow).set_dependencies(self, upstream_tasks=upstream_tasks, keyword_tasks=arguments)
        return self

    def copy(self, **task_args: Any) -> Self:
        """Return a copy that belongs to no flow, with some attributes set to other values.

        Raises:
            AttributeError: The task has no attribute of that name.
        """
        new = copy.copy(self)
        for name, value in task_args.items():
            if name == "tags":
                new.tags = self.tags | self._tag_set(value)
            elif hasattr(new, name):
                setattr(new, name, value)
            else:
                self._check_argument(name, value)
        return new

    def _check_argument(self, name: str, value: Any) -> None:
        try:
            check_known(self.name, name, value)
        except TypeError:
            message = f"task {self.name!r} has no attribute {name!r} that task_args could set"
            raise AttributeError(message) from None

    def set_upstream(self, task: Any, flow: Flow | None = None, key: str | None = None) -> None:
        """Make this task wait for another, and take its result as argument `key` when one is named."""
        found = self._flow(flow)
        if key is None:
            found.set_dependencies(self, upstream_tasks=[task])
        else:
            found.set_dependencies(self, keyword_tasks={key: task})

    def set_downstream(self, task: Task, flow: Flow | None = None, key: str | None = None) -> None:
        """Make another task wait for this one, and take its result as argument `key` when one is named."""
        task.set_upstream(self, flow=flow, key=key)

    def __or__(self, other: Task) -> Task:
        if not isinstance(other, Task):
            return NotImplemented
        self.set_downstream(other)
        return other

    def __ror__(self, other: object) -> Self:
        self.set_upstream(other)
        return self

    def __iter__(self) -> Iterator[Task]:
        if self.nout is None:
            raise TaskNotIterableError(
                f"Task {self.name!r} is not iterable, because the number of its results is not known",
                hint="write @task(nout=2), or @pyplugs.task_nout(2) below @pyplugs.register, or index it: result[0]",
            )
        return iter([self[index] for index in range(self.nout)])

    def __repr__(self) -> str:
        return f"<Task: {self.name}>"

    def _apply(self, name: str, fn: Callable[..., Any], *args: Any) -> Task:
        return OperatorTask(fn, name=name).bind(*args)

    def _flow(self, given: Flow | None) -> Flow:
        if given is not None:
            return _checked_flow(self.name, given)
        found = active_flow()
        if found is None:
            raise NoActiveFlowError(
                f"task {self.name!r} was used outside of any flow",
                hint=f"use it inside `with Flow(...):`, or run it now with {self.name}.run(...)",
            )
        return found


def _checked_flow(task: str, given: Any) -> Flow:
    from dioptra.flow._flow import Flow

    if not isinstance(given, Flow):
        raise FlowError(f"task {task!r} was called with flow={given!r:.300}, which is no Flow", hint="give it a Flow")
    return given


class _Calling(Task):
    __slots__ = ("run",)

    def _inspect(self) -> Spec:
        return spec_of(self.run)


class FunctionTask(_Calling):
    """A task that calls a function."""

    __slots__ = ()

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        nout: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Make a task of a function; the other arguments are those of `Task`, the name is the function's."""
        if not callable(fn):
            raise TaskDefinitionError(f"{fn!r} cannot be a task, because it is not a function")
        self.run = fn
        super().__init__(name or getattr(fn, "__name__", type(fn).__name__), slug, tags, nout, **options)


class OperatorTask(_Calling):
    """A task that an operator between tasks made.

    It is no `FunctionTask`: Python turns `x < y` into `y > x` where the class of `y` derives from that of `x`.
    """

    __slots__ = ()

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        self.run = fn
        super().__init__(name)


@overload
def task(
    fn: Callable[..., Any],
    /,
    *,
    name: str | None = None,
    slug: str | None = None,
    tags: Iterable[str] | None = None,
    nout: int | None = None,
    **options: Unpack[Options],
) -> FunctionTask: ...


@overload
def task(
    *,
    name: str | None = None,
    slug: str | None = None,
    tags: Iterable[str] | None = None,
    nout: int | None = None,
    **options: Unpack[Options],
) -> Callable[[Callable[..., Any]], FunctionTask]: ...


def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a task of a function; a decorator, bare or with the options of `Task`.

    Args:
        fn: The function; its arguments become the task's.
        **options: What `Task` takes.

    Raises:
        TypeError: There is no such option.
        TaskDefinitionError: The function is an async one, takes `*args` or an argument with a reserved name, or an
            option does not fit.
    """
    if fn is None:
        return lambda function: FunctionTask(function, **options)
    return FunctionTask(fn, **options)
