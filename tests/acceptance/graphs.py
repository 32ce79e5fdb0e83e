"""Builds and runs flows that are described as plain data, with Prefect 1 or with us, and says what became of them.

As a program it does so with the `prefect` of its interpreter: one description a line in, one outcome a line out.

A description is `{"nodes": [...], "given": {parameter: value}, "reference": [node, ...]}`. A node is one of

    {"kind": "parameter", "name": ..., "default": ...}
    {"kind": "task", "do": [what, ...], "options": {...}, "late": ..., "args": [...], "kwargs": {...}, "after": [...]}
    {"kind": "operator", "name": "add", "args": [x, y]}
    {"kind": "edge", "how": "bar" | "up" | "down", "from": node, "to": node}

and a value is `{"const": ...}`, `{"ref": node}`, `{"part": [node, index]}`, `{"item": [value, value]}`,
`{"list": [...]}`, `{"tuple": [...]}`, `{"set": [...]}` or `{"dict": [[key, value], ...]}`.
"""

from __future__ import annotations

import importlib
import json
import operator
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from time import sleep
from typing import Any, NamedTuple

Data = dict[str, Any]
ERRORS = {kind.__name__: kind for kind in (ValueError, KeyError, ArithmeticError)}
DEPTH = 7  # results nested deeper are not compared


class Engine(NamedTuple):
    """What builds and runs a flow."""

    flow: Any
    parameter: Any
    task: Any
    triggers: Any
    signals: Any
    state: Any  # the module with the classes of states
    run: Callable[[Any, Data], Any]


def outcome(engine: Engine, description: Data) -> Data:
    """Build the flow, run it, and return the states and results of its nodes, and its own state."""
    flow, made = Builder(engine, description).build()
    state = engine.run(flow, dict(description["given"]))
    nodes = {
        str(index): [task.name, sorted(task.tags), *ending(state.result[task])]
        for index, task in made.items()
        if task in state.result
    }
    return {"flow": type(state).__name__, "nodes": nodes}


def ending(state: Any) -> list[Any]:
    """Return a state's class and its result, as JSON can hold them."""
    name = type(state).__name__
    return [name, None if name == "TimedOut" else plain(state.result)]


def plain(value: Any, depth: int = DEPTH) -> Any:
    """Return a value as JSON can hold it, with its type; of exceptions the type and what they were made with."""
    name = type(value).__name__
    if isinstance(value, BaseException):
        return [name, [] if name == "TRIGGERFAIL" else [str(part) for part in value.args]]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return [name, hex(value)]
    if depth == 0:
        return [name]
    if isinstance(value, dict):
        return [name, [[plain(key, depth - 1), plain(item, depth - 1)] for key, item in value.items()]]
    if isinstance(value, set):
        return [name, sorted((plain(_one(item), depth - 1) for item in value), key=json.dumps)]
    if isinstance(value, (list, tuple)):
        return [name, [plain(item, depth - 1) for item in value]]
    return [name, repr(value)]


def _one(value: Any) -> Any:
    """Return an element of a set so that equal ones look alike: which of True and 1 it keeps, its order decides."""
    if isinstance(value, tuple):
        return tuple(map(_one, value))
    return int(value) if isinstance(value, (bool, float)) and value == value // 1 else value


class Builder:
    """Builds one flow."""

    def __init__(self, engine: Engine, description: Data) -> None:
        self.engine = engine
        self.description = description
        self.made: dict[int, Any] = {}
        self.parts: dict[int, list[Any]] = {}

    def build(self) -> tuple[Any, dict[int, Any]]:
        """Return the flow, and the tasks of its nodes."""
        with self.engine.flow("described") as flow:
            for index, node in enumerate(self.description["nodes"]):
                getattr(self, "add_" + node["kind"])(index, node)
        if self.description["reference"]:
            flow.set_reference_tasks([self.made[index] for index in self.description["reference"]])
        return flow, self.made

    def add_parameter(self, index: int, node: Data) -> None:
        default = {"default": node["default"]} if "default" in node else {}
        self.made[index] = self.engine.parameter(node["name"], **default)()

    def add_task(self, index: int, node: Data) -> None:
        now, late = ({name: self.option(name, node[when][name]) for name in node[when]} for when in ("options", "late"))
        made = self.engine.task(**now)(body(self.engine, node["do"]))
        self.made[index] = made(
            *map(self.value, node["args"]),
            **{name: self.value(value) for name, value in node["kwargs"].items()},
            upstream_tasks=list(map(self.value, node["after"])),
            task_args=late,
        )

    def add_operator(self, index: int, node: Data) -> None:
        x, *y = map(self.value, node["args"])
        name = node["name"]
        self.made[index] = getattr(x, name)(*y) if hasattr(x, name) else getattr(operator, name)(x, *y)

    def add_edge(self, index: int, node: Data) -> None:
        before, after = self.made[node["from"]], self.made[node["to"]]
        if node["how"] == "bar":
            _ = before | after
        elif node["how"] == "up":
            after.set_upstream(before)
        else:
            before.set_downstream(after)

    def option(self, name: str, value: Any) -> Any:
        if name == "trigger":
            return trigger(self.engine, value)
        if name == "retry_delay":
            return timedelta(seconds=value)
        if name == "retry_on":
            return [ERRORS[error] for error in value] if isinstance(value, list) else ERRORS[value]
        return value

    def value(self, value: Data) -> Any:
        ((kind, content),) = value.items()
        if kind == "const":
            return content
        if kind == "ref":
            return self.made[content]
        if kind == "part":
            return self.part(*content)
        if kind == "item":
            return self.value(content[0])[self.value(content[1])]
        if kind == "dict":
            return {key: self.value(item) for key, item in content}
        return {"list": list, "tuple": tuple, "set": set}[kind](map(self.value, content))

    def part(self, node: int, index: int) -> Any:
        if node not in self.parts:
            self.parts[node] = list(self.made[node])
        return self.parts[node][index]


def trigger(engine: Engine, name: str) -> Any:
    """Return a trigger: one of the engine's own, one that it makes, or one of a user's."""
    if name == "never":
        return lambda states: False
    if name == "odd":
        return lambda states: sum(state.is_successful() for state in states.values()) % 2 == 1
    if name == "broken":
        return lambda states: 1 // 0
    if ":" in name:
        maker, _, bounds = name.partition(":")
        return getattr(engine.triggers, maker)(**json.loads(bounds))
    return getattr(engine.triggers, name)


def body(engine: Engine, do: list[Any]) -> Any:
    """Return a function that does what a task is to do."""
    what, *details = do
    failures = [ValueError("once more")] * (details[0] if what == "flaky" else 0)

    def work(a: Any = None, b: Any = None, *, c: Any = None, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        if what == "raise":
            raise ERRORS[details[0]]("no")
        if what == "signal":
            raise getattr(engine.signals, details[0])(*details[1:2], **dict.fromkeys(["result"][: len(details) - 2], 7))
        if what == "end":
            raise engine.signals.ENDRUN(getattr(engine.state, details[0])("ended", result=8))
        if what == "sleep":
            sleep(details[0])
        return details[0] if what == "return" else (a, b, c, *more.items())

    return work


def serve() -> None:
    """Answer descriptions until there are no more."""
    prefect, signals, state = map(
        importlib.import_module, ("prefect", "prefect.engine.signals", "prefect.engine.state")
    )
    engine = Engine(
        prefect.Flow,
        prefect.Parameter,
        prefect.task,
        prefect.triggers,
        signals,
        state,
        lambda flow, parameters: flow.run(parameters),
    )
    for line in sys.stdin:
        try:
            answer = outcome(engine, json.loads(line))
        except Exception:  # the next description may be better
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
