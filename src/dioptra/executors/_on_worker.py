"""What a worker of a cluster does: it runs one task, with what became of its upstream."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from time import sleep
from typing import Any, NamedTuple, cast

import cloudpickle  # inside the trust line: see _parcel.py

from dioptra.errors import FlowError
from dioptra.executors._code import Code
from dioptra.executors._parcel import Outcome, Parcel, Retried, outcome_of, pack_error, state_of
from dioptra.executors._shelf import Shelf
from dioptra.flow import Event, Failed, Flow, Run, Task, TaskRetrying, TaskSettled
from dioptra.flow._flow import Node
from dioptra.flow._interrupt import RUNNING, Interrupted, Running
from dioptra.flow._options import Policy
from dioptra.flow._signature import Spec, spec_of
from dioptra.tracking import joined_elsewhere

__all__ = ["ON_WORKER", "Call", "Common", "Name", "Taken", "dioptra_version", "end_tasks", "pack_call", "run_task"]


ON_WORKER: ContextVar[bool] = ContextVar("dioptra_on_worker", default=False)  # whether a task of a cluster runs here


class Common(NamedTuple):
    """What all tasks of one run have in common."""

    run: str  # names this run of the flow
    version: str  # of Dioptra
    python: tuple[int, int]
    flow: str
    values: Parcel  # of the flow's parameters
    code: Code | None
    mlflow: Mapping[str, str] | None


class Name(NamedTuple):
    """Which task it is."""

    name: str
    slug: str
    tags: frozenset[str] = frozenset()


class Taken(NamedTuple):
    """Stands for the result of the upstream at this position."""

    position: int


@dataclass(frozen=True)
class Call:
    """One task, and where its arguments come from."""

    task: Name
    policy: Policy
    positional: tuple[str, ...]
    function: Callable[..., Any]
    inputs: Mapping[str, Any]  # plain values, and what is taken from upstream
    after: tuple[int, ...]  # positions of upstream that it only waits for
    constants: int
    upstream: tuple[Name, ...]


def pack_call(call: Call) -> bytes:
    """Pack a call; it raises what packing raises."""
    packed: bytes = cloudpickle.dumps(call, protocol=5)
    return packed


def run_task(call: bytes, common: Common, *upstream: Outcome) -> Outcome:
    """Run a task in this process, if it is to be run, and return what became of it."""
    try:
        _check_version(common)
        with _HERE.working_for(common.run) as running:
            return running.call(lambda: _run(call, common, upstream))
    except Interrupted as error:
        return Outcome(Failed, "interrupted", pack_error(error))
    except Exception as error:
        return outcome_of(Failed(f"it could not be run on a worker: {error}", error))
    except BaseException as error:  # raised by the task: Dask would end its worker by it
        return Outcome(Failed, "interrupted", pack_error(error), ends_the_run=True)


async def end_tasks(run: str) -> None:
    """Interrupt what this process still runs for a run of a flow; no coroutine by itself, but then nobody need wait."""
    _HERE.end(run)


def _run(call: bytes, common: Common, upstream: tuple[Outcome, ...]) -> Outcome:
    with _HERE.code(common.code), joined_elsewhere(common.mlflow):
        task, node, states = _unpack(cloudpickle.loads(call), upstream)
        heard: list[Event] = []
        flow = cast(
            Flow, _FlowOfOne(common.flow, {task: node} | {source: Node(0, source.slug or "") for source in states})
        )
        run = Run(flow, _Values(common.values), heard.append, (task,), _pause(common))  # type: ignore[arg-type]
        run.states.update(states)
        run.settle_here(task)
        return _packed(heard)


def _unpack(call: Call, upstream: tuple[Outcome, ...]) -> tuple[Task, Node, dict[Task, Any]]:
    """Return a task, what its flow knows of it, and the states of its upstream, as they are on the other side."""
    sources = [_Source(name) for name in call.upstream]
    node = Node(0, call.task.slug)
    node.inputs = {k: sources[v.position] if isinstance(v, Taken) else v for k, v in call.inputs.items()}
    node.after = tuple(sources[position] for position in call.after)
    node.constants = call.constants
    return _Sent(call), node, {source: state_of(outcome) for source, outcome in zip(sources, upstream, strict=True)}


def _packed(heard: list[Event]) -> Outcome:
    retried = tuple(
        Retried(event.state.message, pack_error(event.state.result), event.attempt)
        for event in heard
        if isinstance(event, TaskRetrying)
    )
    settled = next(event for event in heard if isinstance(event, TaskSettled))
    return outcome_of(settled.state, settled.seconds, settled.attempts, retried)


class _Source(Task):
    """A task that has run elsewhere."""

    __slots__ = ()

    def __init__(self, name: Name) -> None:
        super().__init__(name.name, name.slug, name.tags)


class _Sent(Task):
    """The task that was sent."""

    __slots__ = ("_positional", "run")

    def __init__(self, call: Call) -> None:
        self._positional = call.positional
        super().__init__(call.task.name, call.task.slug, call.task.tags)
        self.run = call.function
        self._policy = call.policy

    def _inspect(self) -> Spec:
        """Return what running it takes; its arguments were checked where the flow was built."""
        return spec_of(Task.run, method=True)._replace(positional=self._positional)


class _Values(Mapping[str, Any]):
    """The values of the flow's parameters, unpacked when a task looks at them."""

    def __init__(self, packed: Parcel) -> None:
        self._packed = packed
        self._opened: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def _values(self) -> Mapping[str, Any]:
        if self._opened is None:
            self._opened = self._packed.open()
        return self._opened


class _FlowOfOne:
    """The part of a flow that a run of one task asks for."""

    def __init__(self, name: str, nodes: dict[Task, Node]) -> None:
        self.name = name
        self._nodes = nodes

    def node(self, task: Task) -> Node:
        return self._nodes[task]


class _Process:
    """What this process works on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}
        self._counts: Counter[str] = Counter()
        self._shelf: Shelf | None = None

    @contextmanager
    def working_for(self, run: str) -> Iterator[Running]:
        """Take part in a run, so that it can be ended."""
        with self._lock:
            running = self._running.setdefault(run, Running())
            self._counts[run] += 1
        token, inside = RUNNING.set(running), ON_WORKER.set(True)
        try:
            yield running
        finally:
            RUNNING.reset(token)
            ON_WORKER.reset(inside)
            with self._lock:
                self._counts[run] -= 1
                if not self._counts[run]:
                    del self._counts[run], self._running[run]

    def end(self, run: str) -> None:
        """Interrupt what takes part in a run."""
        with self._lock:
            running = self._running.get(run)
        if running is not None:
            running.interrupt()

    def code(self, code: Code | None) -> AbstractContextManager[None]:
        """Return a context in which the code that was sent is found."""
        if code is None:
            return nullcontext()
        with self._lock:
            self._shelf = self._shelf or Shelf(_scratch_folder())
        return self._shelf.using(code)

    def aside(self, code: Code | None) -> AbstractContextManager[None]:
        """Return a context in which others have their turn."""
        return nullcontext() if code is None or self._shelf is None else self._shelf.aside(code)


_HERE = _Process()


def _scratch_folder() -> str | None:
    from distributed import get_worker

    try:
        return str(get_worker().local_directory)
    except ValueError:  # no worker: a test
        return None


def _pause(common: Common) -> Callable[[float], None]:
    """Return what waits, and lets the worker run other tasks meanwhile, also such of other code."""

    def pause(seconds: float) -> None:
        from distributed import rejoin, secede

        with _HERE.aside(common.code):
            secede()
            sleep(seconds)
            rejoin()

    return pause


@cache
def dioptra_version() -> str:
    """Return the version of Dioptra that is installed here."""
    try:
        return metadata.version("dioptra-testbed")
    except metadata.PackageNotFoundError:
        return "0.0.0"


def _check_version(common: Common) -> None:
    here = dioptra_version()
    if (common.version, common.python) != (here, sys.version_info[:2]):
        raise FlowError(
            f"the script has Dioptra {common.version} on Python {'.'.join(map(str, common.python))}, and this worker "
            f"Dioptra {here} on Python {'.'.join(map(str, sys.version_info[:2]))}",
            hint="install the same on both sides",
        )
