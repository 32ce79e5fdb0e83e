"""A flow means what it means in Prefect 1.4.1: random flows are run by both, and must end alike."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from dioptra import flow as ours
from tests.acceptance import graphs
from tests.environments import PREFECT_1, python_with
from tests.integration.clusters import Cluster

pytestmark = [
    pytest.mark.own_environment,
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="Prefect 1.4.1 cannot be installed on Python 3.12"),
]

Data = dict[str, Any]
Draw = st.DrawFn


def engine(executor: str) -> graphs.Engine:
    """Our flows, run by an executor."""
    return graphs.Engine(
        ours.Flow,
        ours.Parameter,
        ours.task,
        ours.triggers,
        ours.signals,
        ours,
        lambda flow, parameters: flow.run(parameters, executor=executor, raise_on_failure=False),
    )


class Prefect:
    """A process that runs flows with the real Prefect 1."""

    def __init__(self, python: Path, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
        self._process = subprocess.Popen(
            [python, graphs.__file__],
            cwd=folder,
            env=kept | {"PREFECT__HOME_DIR": str(folder), "PREFECT__LOGGING__LEVEL": "CRITICAL"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, description: Data) -> Data:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(description) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "Prefect's process ended"
        answer: Data = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    process = Prefect(python_with(PREFECT_1), tmp_path_factory.mktemp("prefect"))
    log = logging.getLogger("dioptra.flow")  # thousands of tasks fail
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield process
    log.setLevel(level)
    process.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    for name in ("one", "two"):
        made.add_worker(name)
    yield made
    made.close()


# Descriptions of flows. Left out is what differs on purpose; docs/explanation/flows.md lists it.

SMALL = st.one_of(st.integers(-2, 3), st.sampled_from(["ab", "", True, False, None]))
CONSTANTS = st.one_of(SMALL, st.lists(SMALL, max_size=2), st.dictionaries(st.sampled_from("xyz"), SMALL, max_size=2))
TRIGGERS = [
    *["all_successful", "all_failed", "any_successful", "any_failed", "all_finished", "always_run", "not_all_skipped"],
    *["never", "odd", "broken"],
    *['some_failed:{"at_least": 1}', 'some_failed:{"at_most": 0.5}', 'some_successful:{"at_least": 0.4, "at_most": 2}'],
]
BODIES: list[list[Any]] = [
    *[["echo"]] * 5,
    *[["return", value] for value in (0, 2, "ab", [1, 2], {"x": 1})],
    *[["raise", error] for error in graphs.ERRORS],
    *[["flaky", 1], ["flaky", 2], ["flaky", 3]],
    *[["signal", name] for name in ("SKIP", "FAIL", "SUCCESS", "TRIGGERFAIL")],
    *[["signal", name, "words"] for name in ("SKIP", "FAIL", "SUCCESS")],
    *[["signal", name, "words", "result"] for name in ("SKIP", "FAIL", "SUCCESS")],
    *[["end", name] for name in ("Success", "Failed", "Skipped")],
]
OPERATORS = ["add", "sub", "truediv", "floordiv", "mod", "and_", "lt", "le", "gt", "ge"]
METHODS = ["is_equal", "is_not_equal", "or_"]


def options(draw: Draw, what: str) -> Data:
    chosen: Data = {}
    if draw(st.integers(0, 2)) == 0:
        chosen["trigger"] = draw(st.sampled_from(TRIGGERS))
    if draw(st.integers(0, 3)) == 0:
        chosen["skip_on_upstream_skip"] = False
    if what == "flaky" or draw(st.integers(0, 4)) == 0:
        chosen |= {"max_retries": draw(st.integers(1, 3)), "retry_delay": 0}
        if draw(st.integers(0, 2)) == 0:
            chosen["retry_on"] = draw(st.lists(st.sampled_from(list(graphs.ERRORS)), min_size=1, max_size=2))
    return chosen


def values(nodes: list[Data]) -> st.SearchStrategy[Data]:
    """Values that can stand for the arguments of a task: constants, results, collections of both."""
    constants = CONSTANTS.map(lambda value: {"const": value})
    if not (refs := references(nodes)):
        return constants
    parts = [{"part": [index, part]} for index, node in enumerate(nodes) for part in range(nout(node))]
    results = st.sampled_from(refs + parts)
    keys = st.sampled_from([0, 1, "x", -1]).map(lambda key: {"const": key})
    items = st.tuples(results, st.one_of(keys, results)).map(lambda pair: {"item": list(pair)})
    leaves = st.one_of(results, results, constants, items)
    return st.recursive(leaves, nested, max_leaves=4)


def nested(inner: st.SearchStrategy[Data]) -> st.SearchStrategy[Data]:
    hashable = inner.filter(lambda value: not {"list", "dict", "set"} & value.keys() and not is_mutable(value))
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda items: {"list": items}),
        st.lists(inner, max_size=3).map(lambda items: {"tuple": items}),
        st.lists(hashable, max_size=3).map(lambda items: {"set": items}),
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=2).map(lambda found: {"dict": list(found.items())}),
    )


def is_mutable(value: Data) -> bool:
    """Tell whether Python could not put a value into a set when the flow is built."""
    if "tuple" in value:
        return any(map(is_mutable, value["tuple"]))
    return isinstance(value.get("const"), (list, dict)) or bool({"list", "dict", "set"} & value.keys())


def references(nodes: list[Data]) -> list[Data]:
    return [{"ref": index} for index, node in enumerate(nodes) if node["kind"] != "edge"]


def nout(node: Data) -> int:
    found: int = node.get("options", {}).get("nout", 0)
    return found


def a_task(draw: Draw, nodes: list[Data]) -> Data:
    do = draw(st.sampled_from(BODIES))
    taken = values(nodes)
    said = options(draw, do[0])
    late = said if draw(st.booleans()) else {}
    early = {} if late else said
    if do[0] in ("echo", "return") and draw(st.integers(0, 3)) == 0:
        early = early | {"nout": 2}
    if draw(st.integers(0, 4)) == 0:
        early, late = early | {"name": "early", "tags": ["a"]}, late | {"name": "late", "tags": ["b"]}
    args = draw(st.lists(taken, max_size=2))
    names = "cd" if args else "abcd"
    return {
        "kind": "task",
        "do": do,
        "options": early,
        "late": late,
        "args": args,
        "kwargs": draw(st.dictionaries(st.sampled_from(names), taken, max_size=2)),
        "after": draw(st.lists(taken, max_size=2)) if draw(st.booleans()) else [],
    }


def an_operator(draw: Draw, nodes: list[Data]) -> Data:
    ref = draw(st.sampled_from(references(nodes)))
    number = {"const": draw(st.integers(-2, 3))}
    other = draw(st.one_of(st.sampled_from(references(nodes)), SMALL.map(lambda value: {"const": value})))
    name = draw(st.sampled_from([*OPERATORS, *METHODS, "mul", "pow", "not_", "getitem"]))
    if name == "not_":
        args = [ref]
    elif name in METHODS:
        args = [ref, other]
    elif name == "getitem":
        args = [ref, draw(st.sampled_from([other, {"const": 0}, {"const": "x"}]))]
    elif name == "pow":
        args = [ref, {"const": draw(st.sampled_from([0, 1, 2]))}]  # what is larger may never end
    else:
        other = number if name in ("mul", "mod") else other  # Python formats the text in `"" % task` at once
        args = draw(st.permutations([ref, other]))
    return {"kind": "operator", "name": name, "args": list(args)}


def an_edge(draw: Draw, nodes: list[Data]) -> Data:
    ends = [index for index, node in enumerate(nodes) if node["kind"] in ("task", "operator")]
    before, after = sorted(draw(st.lists(st.sampled_from(ends), min_size=2, max_size=2, unique=True)))
    return {"kind": "edge", "how": draw(st.sampled_from(["bar", "up", "down"])), "from": before, "to": after}


@st.composite
def descriptions(draw: Draw) -> Data:
    nodes: list[Data] = []
    given: Data = {}
    for number in range(draw(st.integers(0, 2))):
        node: Data = {"kind": "parameter", "name": f"p{number}"}
        if has_default := draw(st.booleans()):
            node["default"] = draw(CONSTANTS)
        if not has_default or draw(st.booleans()):
            given[node["name"]] = draw(CONSTANTS)
        nodes.append(node)
    for _ in range(draw(st.sampled_from(range(1, 13)))):
        tasks = sum(node["kind"] in ("task", "operator") for node in nodes)
        kinds: list[Callable[[Draw, list[Data]], Data]] = [a_task, a_task, a_task]
        kinds += [an_operator] if nodes else []
        kinds += [an_edge] if tasks > 1 else []
        nodes.append(draw(st.sampled_from(kinds))(draw, nodes))
    refs = [ref["ref"] for ref in references(nodes)]
    chosen = draw(st.lists(st.sampled_from(refs), max_size=2, unique=True)) if draw(st.booleans()) else []
    return {"nodes": nodes, "given": given, "reference": chosen}


def a_flow(*nodes: Data, reference: tuple[int, ...] = ()) -> Data:
    """A description, written by hand; a task that is not told otherwise takes nothing."""
    bare = {"kind": "task", "do": ["echo"], "options": {}, "late": {}, "args": [], "kwargs": {}, "after": []}
    return {"nodes": [bare | node for node in nodes], "given": {}, "reference": list(reference)}


def operator(name: str, *args: int) -> Data:
    return {"kind": "operator", "name": name, "args": [{"ref": index} for index in args]}


NONE: Data = {"const": None}
FAILS: Data = {"do": ["raise", "ValueError"]}
SKIPS: Data = {"do": ["signal", "SKIP"]}


EXAMPLES = [
    a_flow({"do": ["sleep", 5], "options": {"timeout": 1}}, {"args": [{"ref": 0}]}),
    a_flow(FAILS, {"options": {"trigger": "all_failed"}, "args": [{"const": 1}], "after": [{"ref": 0}]}),
    a_flow(FAILS, {"options": {"trigger": "all_failed"}, "after": [{"ref": 0}, {"const": 1}]}),
    a_flow(FAILS, {"options": {"trigger": "always_run"}, "args": [{"ref": 0}]}, reference=(0,)),
    a_flow(FAILS, {"options": {"trigger": "always_run"}, "args": [{"list": [{"ref": 0}]}]}),
    a_flow(FAILS, SKIPS, {"after": [{"ref": 0}, {"ref": 1}]}),
    a_flow(FAILS | {"options": {"max_retries": 1, "retry_delay": 0, "retry_on": "ValueError"}}),
    a_flow({}, operator("add", 0, 0), operator("lt", 0, 1), operator("lt", 1, 0)),
    a_flow({}, operator("getitem", 0, 0), {"kind": "operator", "name": "getitem", "args": [{"ref": 0}, NONE]}),
    a_flow({"options": {"trigger": "not_all_skipped"}}, {"args": [{"ref": 0}]}),
]


def tried(number: int) -> Callable[[Callable[..., None]], Any]:
    """Try so many random flows, and the examples."""

    def decorate(test: Callable[..., None]) -> Any:
        decorated = settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))(
            given(description=descriptions())(test)
        )
        for described in EXAMPLES:
            decorated = example(description=described)(decorated)
        return decorated

    return decorate


def check(prefect: Prefect, executor: str, description: Data) -> None:
    wanted = prefect(description)
    note(json.dumps(wanted, indent=1))
    assert graphs.outcome(engine(executor), description) == wanted


@tried(300)
def test_random_flows_end_as_in_prefect_1(prefect: Prefect, description: Data) -> None:
    check(prefect, "sequential", description)


@tried(200)
def test_so_they_do_in_threads(prefect: Prefect, description: Data) -> None:
    check(prefect, "threads:3", description)


@tried(60)
def test_so_they_do_on_a_cluster(prefect: Prefect, cluster: Cluster, description: Data) -> None:
    check(prefect, cluster.address, description)
