"""Submits task plugins in the flows of Prefect 3, which is imported by then; nothing here imports it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import NoneType, new_class
from typing import Any

from dioptra.errors import FlowError, NoActiveFlowError, TaskDefinitionError, TaskNotIterableError, suggest
from dioptra.flow import task
from dioptra.flow._options import Policy, policy_of
from dioptra.flow._signature import Spec, spec_of
from dioptra.prefect._bridge import in_prefect_3, task_kinds
from dioptra.prefect._prefect3_log import show_logs

__all__ = ["submit", "task_of_3"]

_RESERVED = ("return_state", "wait_for")  # what `submit` of Prefect takes for itself
_OF_POLICY = ("max_retries", "retry_backoff", "retry_delay", "retry_on", "timeout")
_MOST_DELAYS = 50  # Prefect takes no more, and goes on with the last one
_KNOWN = ("name", "nout", "tags", *_OF_POLICY)


def task_of_3(fn: Callable[..., Any], description: str, **options: Any) -> Any:
    """Return a task of Prefect 3 that calls a function, and show in Prefect what its package logs.

    What it returns is not looked up among earlier results: Prefect would hash the arguments of every call for that,
    also large arrays.
    """
    prefect = sys.modules["prefect"]
    _check_names(fn, spec_of(fn).signature.parameters)
    show_logs("dioptra", "dioptra_builtins", fn.__module__.partition(".")[0])
    no_cache = sys.modules["prefect.cache_policies"].NO_CACHE
    return prefect.Task(fn, description=description or None, **{"cache_policy": no_cache} | options)


def submit(fn: Callable[..., Any], description: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Submit a call of a function as a task of the flow of Prefect 3 that is running here.

    Args:
        fn: The function.
        description: What Prefect is to say of it.
        args: Its arguments: futures, whose results are passed on, or plain values.
        kwargs: More arguments, and those of every task call: `upstream_tasks`, `task_args`.

    Returns:
        The future, which can be indexed, and unpacked when the number of results is known.

    Raises:
        TypeError: The arguments do not fit the function.
        TaskDefinitionError: The function cannot be a task, or `task_args` do not fit one of Prefect 3.
        AttributeError: There is nothing of that name that `task_args` could set.
        FlowError: A flow was given, or the upstream tasks are no list.
    """
    call = dict(kwargs)
    upstream = _listed(call.pop("upstream_tasks", None))
    task_args = _mapped(fn.__name__, call.pop("task_args", None))
    if call.pop("flow", None) is not None:
        raise FlowError(
            f"task {fn.__name__!r} was called with a flow, but Prefect 3 submits to the one that is running",
            hint="leave out flow=...",
        )
    if call.pop("mapped", False):
        task(fn).map()
    spec = _checked(fn, args, call)
    nout = task_args.pop("nout", None)
    made = task_of_3(fn, description, **_options(fn.__name__, task_args))
    return _submitted(made, spec.nout if nout is None else nout, args, call, upstream)


def _listed(upstream: Any) -> list[Any] | None:
    """Return what a call waits for as a list, also when it is a single future, which Prefect could not iterate over."""
    if upstream is None:
        return None
    if isinstance(upstream, task_kinds()):
        return [upstream]
    if isinstance(upstream, (str, bytes, Mapping)) or not isinstance(upstream, Iterable):
        raise FlowError(
            f"upstream_tasks={upstream!r:.300} is not a list of tasks", hint="write upstream_tasks=[first, second]"
        )
    return list(upstream)


def _mapped(name: str, task_args: Any) -> dict[str, Any]:
    if not isinstance(task_args, (Mapping, NoneType)):
        raise TaskDefinitionError(
            f"task {name!r} has task_args={task_args!r:.300}", hint='write task_args={"name": "train"}'
        )
    return dict(task_args or {})


def _checked(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Spec:
    """Return the spec of a function that these arguments fit."""
    spec = spec_of(fn)
    try:
        spec.bind(args, kwargs)
    except TypeError as error:
        raise TypeError(f"task {fn.__name__!r}: {error}; it takes {spec.signature}") from None
    _check_names(fn, kwargs)
    return spec


def _check_names(fn: Callable[..., Any], names: Iterable[str]) -> None:
    if taken := [name for name in _RESERVED if name in names]:
        raise TaskDefinitionError(
            f"{fn.__name__!r} cannot be a task of Prefect 3, because of its argument {', '.join(taken)}",
            hint=f"choose another name: {', '.join(_RESERVED)} have a meaning in every call there",
        )


def _options(name: str, task_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `task_args` are for Prefect 3.

    Only what is given is passed on: Prefect has defaults of its own in its settings.
    """
    _check_options(name, task_args)
    given = {key: value for key, value in task_args.items() if value is not None}
    tags = given.get("tags")
    if isinstance(tags, str):
        raise TaskDefinitionError(f"task {name!r} has tags={tags!r}", hint=f"write tags=[{tags!r}]")
    policy = policy_of(name, {key: given[key] for key in _OF_POLICY if key in given})
    options = {
        "name": given.get("name"),
        "tags": tags,
        "retries": policy.max_retries if "max_retries" in given else None,
        "retry_delay_seconds": _delays(policy) if "retry_delay" in given else None,
        "retry_condition_fn": _condition(policy) if "retry_on" in given else None,
        "timeout_seconds": policy.timeout,
    }
    return {key: value for key, value in options.items() if value is not None}


def _check_options(name: str, task_args: Iterable[str]) -> None:
    for key in task_args:
        if key not in _KNOWN and key in ("slug", *Policy._fields):
            raise TaskDefinitionError(
                f"task {name!r} cannot have {key} in a flow of Prefect 3, where it has no meaning",
                hint=f"leave it out of task_args (have: {', '.join(_KNOWN)})",
            )
        if key not in _KNOWN:
            message = f"task {name!r} has no attribute {key!r} that task_args could set in a flow of Prefect 3"
            raise AttributeError(f"{message}; {suggest(key, _KNOWN)}")


def _delays(policy: Policy) -> float | list[float]:
    if policy.retry_backoff == 1:
        return policy.retry_delay.total_seconds()
    return [policy.delay_after(attempt + 1) for attempt in range(min(policy.max_retries, _MOST_DELAYS))]


def _condition(policy: Policy) -> Callable[[Any, Any, Any], bool]:
    def is_to_be_retried(task: Any, run: Any, state: Any) -> bool:
        return isinstance(state.data, policy.retry_on or Exception)

    return is_to_be_retried


def _submitted(made: Any, nout: int | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], upstream: Any) -> Any:
    """Submit a call, and return its future, whose items are futures too: of small tasks that take them out."""
    if not in_prefect_3():
        raise NoActiveFlowError(f"task {made.name!r} was used when its flow of Prefect 3 had ended")
    future = made.submit(*args, **kwargs, wait_for=upstream)
    future.__class__ = _with_items(future.__class__)  # a kind of Prefect's, by which Prefect finds it in arguments
    future.dioptra_name, future.dioptra_nout = made.name, nout
    return future


@cache
def _with_items(kind: type) -> type:
    methods = {"__module__": kind.__module__, "__iter__": _items, "__getitem__": _item}
    return new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(methods))


def _items(future: Any) -> Iterator[Any]:
    if future.dioptra_nout is None:
        raise TaskNotIterableError(
            f"Task {future.dioptra_name!r} is not iterable, because the number of its results is not known",
            hint="write @pyplugs.task_nout(2) below @pyplugs.register, or index it: result[0]",
        )
    return iter([future[index] for index in range(future.dioptra_nout)])


def _item(future: Any, key: Any) -> Any:
    shown = repr(key) if isinstance(key, (int, float, str)) else type(key).__name__
    made = task_of_3(_take, "Take one result of a task.", name=f"{future.dioptra_name}[{shown}]")
    return _submitted(made, None, (future, key), {}, None)


def _take(results: Any, key: Any) -> Any:
    return results[key]
