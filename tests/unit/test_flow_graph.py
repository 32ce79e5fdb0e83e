"""Random graphs: whatever their shape, order, results and states are what they must be."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dioptra.flow import Failed, Flow, State, Success, Task, TaskSettled, TriggerFailed, listen, task
from dioptra.flow._graph import find_ring, run_order


@dataclass
class Plan:
    """One task of a random graph."""

    inputs: list[int] = field(default_factory=list)  # results that it takes
    after: list[int] = field(default_factory=list)  # tasks that it waits for
    shape: str = "list"  # how it takes them
    fails: bool = False

    @property
    def upstream(self) -> set[int]:
        return {*self.inputs, *self.after}


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    made = []
    for index in range(draw(st.integers(1, 14))):
        earlier = st.lists(st.integers(0, index - 1), max_size=4) if index else st.just([])
        made.append(
            Plan(
                draw(earlier),
                draw(earlier),
                draw(st.sampled_from(["list", "dict", "sum"])),
                draw(st.integers(0, 7)) == 0,
            )
        )
    return made


def value(own: int, taken: Any) -> tuple[int, str]:
    return own, repr(taken)


def taken_as(shape: str, items: list[Any]) -> Any:
    if shape == "dict":
        return {str(index): (item, [index]) for index, item in enumerate(items)}
    return items


@task
def node(own: int, taken: Any, fails: bool) -> tuple[int, str]:
    if fails:
        raise ArithmeticError(own)
    return value(own, taken)


def build(plan: list[Plan], order: list[int]) -> tuple[Flow, list[Task]]:
    """Make the tasks in any order, and their edges after them."""
    tasks: dict[int, Task] = {}
    with Flow("random") as flow:
        for index in order:
            tasks[index] = node.copy(name=f"n{index}")
            flow.add_task(tasks[index])
        for index, one in enumerate(plan):
            tasks[index].bind(
                own=index,
                taken=taken_as(one.shape, [tasks[source] for source in one.inputs]),
                fails=one.fails,
                upstream_tasks=[tasks[source] for source in one.after],
            )
    return flow, [tasks[index] for index in range(len(plan))]


def is_failure(want: Any) -> bool:
    return want in (Failed, TriggerFailed)


def expected(plan: list[Plan]) -> list[Any]:
    """What each task gives, computed directly: a value, `Failed` or `TriggerFailed`."""
    results: list[Any] = []
    for index, one in enumerate(plan):
        if any(is_failure(results[source]) for source in one.upstream):
            results.append(TriggerFailed)
        elif one.fails:
            results.append(Failed)
        else:
            results.append(value(index, taken_as(one.shape, [results[source] for source in one.inputs])))
    return results


@given(plans(), st.randoms(use_true_random=False))
def test_order_results_and_failures(plan: list[Plan], random: Any) -> None:
    order = list(range(len(plan)))
    random.shuffle(order)
    flow, tasks = build(plan, order)
    settled: list[Task] = []
    with listen(lambda event: settled.append(event.task) if isinstance(event, TaskSettled) else None):
        state = flow.run(raise_on_failure=False)

    wanted = expected(plan)
    for made, want in zip(tasks, wanted, strict=True):
        got: State = state.result[made]
        assert type(got) is (want if is_failure(want) else Success)
        assert is_failure(want) or got.result == want
    assert len(settled) == len(set(settled)) == len(flow.tasks)
    place = {made: index for index, made in enumerate(settled)}
    assert all(place[up] < place[made] for made in settled for up in flow.upstream_tasks(made))
    assert state.is_failed() == any(map(is_failure, wanted))


@given(plans(), st.randoms(use_true_random=False))
def test_the_same_graph_runs_in_the_same_order(plan: list[Plan], random: Any) -> None:
    order = list(range(len(plan)))
    random.shuffle(order)
    runs = []
    for _ in range(2):
        flow, _tasks = build(plan, order)
        runs.append([flow.slugs[made] for made in flow.sorted_tasks()])
    assert runs[0] == runs[1]


graphs = st.integers(1, 10).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size)
)


@given(graphs)
def test_rings_are_found_where_there_are_any(upstream: list[list[int]]) -> None:
    order = run_order(upstream)
    placed = {node: index for index, node in enumerate(order)}
    assert len(placed) == len(order)
    assert all(placed[source] < placed[node] for node in order for source in upstream[node])
    if len(order) < len(upstream):
        ring = find_ring(upstream, order)
        assert ring[0] == ring[-1]
        assert len(ring) >= 2
        assert all(before in upstream[after] for before, after in pairwise(ring))


@given(graphs)
def test_the_first_that_may_run_comes_first(upstream: list[list[int]]) -> None:
    order = run_order(upstream)
    done: set[int] = set()
    for chosen in order:
        ready = [node for node in range(len(upstream)) if node not in done and done.issuperset(upstream[node])]
        assert chosen == min(ready)
        done.add(chosen)
