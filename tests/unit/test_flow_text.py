"""The table of a flow: what each task takes, written as the script wrote it, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

from dioptra.flow import Flow, Parameter, signals, task, triggers
from dioptra.flow.graphs import Table, describe_flow


@task
def load() -> Any:
    return [1, 2]


@task
def work(x: Any, y: Any = 0) -> Any:
    return x


@task
def fail(x: Any = 0) -> None:
    raise ValueError("the images have 3 channels\nand more")


@task(nout=2)
def pair() -> Any:
    return 1, 2


class Color(IntEnum):
    """A number with a text that is not to be asked."""

    RED = 1

    def __repr__(self) -> str:
        raise RuntimeError("asked")


def table_of(build: Callable[[], Any], *, ran: bool = False) -> Table:
    with Flow("seen") as flow:
        build()
    state = flow.run(raise_on_failure=False) if ran else None
    return describe_flow(flow, state).table()


def taken(build: Callable[[], Any]) -> str:
    """What the last task of a flow takes."""
    return table_of(build).rows[-1][-1]


def p(name: str = "p") -> Parameter:
    return Parameter(name, default=1)


def sum_of_all() -> Any:
    made: Any = p()
    for _ in range(40):
        made = made + made
    return work(made)


WRITTEN: list[tuple[Callable[[], Any], str]] = [
    (lambda: work(load()), "x=load-1"),
    (lambda: work(load(), y=load()), "x=load-1, y=load-2"),
    (lambda: work(p("x"), y=p("eps")), "x, y=eps"),
    (lambda: work(1, y="a secret"), ""),
    (lambda: work(load()[0]), "x=load-1[0]"),
    (lambda: work(load()["key"][p()]), "x=load-1['key'][p]"),
    (lambda: work(load()[:2]), "x=load-1[:2]"),
    (lambda: work(load()[1::-1]), "x=load-1[1::-1]"),
    (lambda: work(load()["a secret":]), "x=load-1[…:]"),
    (lambda: work((p() + 1) * (2 - p("q"))), "x=(p + 1) * (2 - q)"),
    (lambda: work((p() + p("q"))[0]), "x=(p + q)[0]"),
    (lambda: work(p() > 0.5), "x=p > 0.5"),
    (lambda: work(p().not_()), "x=not p"),
    (lambda: work(p().is_equal("a secret")), "x=p == …"),
    (lambda: work(p() & p("q")), "x=p and q"),
    (lambda: work(p().or_(None)), "x=p or None"),
    (lambda: work(p() + 10**5_000), "x=p + …"),
    (lambda: work(p() + Color.RED), "x=p + …"),
    (lambda: work([p(), 1, "a secret", load()]), "x=[p, 1, …, load-1]"),
    (lambda: work((p(),)), "x=(p,)"),
    (lambda: work({p(), 3}), "x={3, p}"),
    (lambda: work([*range(900), p(), *range(900)]), "x=[…, p, …]"),
    (lambda: work({"a": p(), "b": [p("q")], 3: "a secret", p("key"): 1}), "x={'a': p, 'b': [q], 3: …, key: 1}"),
    (lambda: work({"k" * 100: p()}), f"x={{'{'k' * 40}…': p}}"),
    (lambda: work(load(), upstream_tasks=[pair(), p()]), "x=load-1, after pair-1, p"),
    (lambda: work(1, upstream_tasks=[pair()[1]]), "after pair[1]-1"),
    (lambda: work("\x1b[31m", task_args={"slug": "\x1b[31mred"}) and work(p("\x1b[31m")), r"x=\x1b[31m"),
]


@pytest.mark.parametrize(("build", "expected"), WRITTEN, ids=[expected[:40] or "nothing" for _, expected in WRITTEN])
def test_what_a_task_takes(build: Callable[[], Any], expected: str) -> None:
    assert taken(build) == expected


def test_a_row_for_each_task_in_the_order_in_which_they_run() -> None:
    def build() -> None:
        first, last = work(1), load()
        first.set_upstream(last, key="y")
        work(p("seed"))

    table = table_of(build)

    assert (table.title, table.parameters) == ("seen: 4 tasks", ("seed",))
    assert table.headings == ("task", "takes")
    assert table.rows == (("load-1", ""), ("work-1", "y=load-1"), ("work-2", "x=seed"))
    assert table.messages == ()


def test_what_nobody_uses_and_what_waits_has_a_row_of_its_own() -> None:
    def build() -> None:
        first, _ = pair()
        total = p() + 1
        total.set_upstream(load())
        work(first, y=total)

    assert table_of(build).rows == (
        ("pair-1", ""),
        ("pair[1]-1", "= pair-1[1]"),
        ("load-1", ""),
        ("Add-1", "= p + 1, after load-1"),
        ("work-1", "x=pair-1[0], y=Add-1"),
    )


def test_what_is_long_has_a_row_of_its_own() -> None:
    rows = table_of(sum_of_all).rows

    assert 1 < len(rows) < 41
    assert max(len(cell) for row in rows for cell in row) < 400
    assert "Add-" in rows[-1][-1]


def test_a_large_collection_has_a_row_of_its_own() -> None:
    rows = table_of(lambda: work([load() for _ in range(50)])).rows

    assert rows[-1] == ("work-1", "x=List-1")
    assert rows[-2] == ("List-1", f"= [{', '.join(f'load-{number}' for number in range(1, 51))}]")


def test_options() -> None:
    def build() -> None:
        work(1, task_args={"max_retries": 2, "timeout": 0.5, "resources": {"GPU": 1, "memory": 2e9}})
        work(1, task_args={"trigger": triggers.any_failed})
        work(1)

    table = table_of(build)

    assert table.headings == ("task", "options", "takes")
    assert [row[1] for row in table.rows] == ["2 retries, timeout 0.5 s, GPU 1, memory 2e+09", "trigger any_failed", ""]


def test_after_a_run() -> None:
    def build() -> None:
        work(fail(load()))
        work(load()[7])
        work(load()[0])
        skipped = task(lambda: (_ for _ in ()).throw(signals.SKIP("no images")), name="skip")()
        work(skipped)

    table = table_of(build, ran=True)

    assert table.title.startswith("seen: 11 tasks, Failed, ")
    assert table.headings == ("task", "state", "seconds", "takes")
    assert [(row[0], row[1], row[3]) for row in table.rows] == [
        ("load-1", "Success", ""),
        ("fail-1", "Failed", "x=load-1"),
        ("work-1", "TriggerFailed", "x=fail-1"),
        ("load-2", "Success", ""),
        ("load[7]-1", "Failed", "= load-2[7]"),
        ("work-2", "TriggerFailed", "x=load[7]-1"),
        ("load-3", "Success", ""),
        ("work-3", "Success", "x=load-3[0]"),
        ("skip-1", "Skipped", ""),
        ("work-4", "Skipped", "x=skip-1"),
    ]
    seconds = {row[0]: row[2] for row in table.rows}
    assert float(seconds["load-1"]) >= 0
    assert seconds["work-1"] == seconds["work-4"] == ""  # they did not run
    assert table.messages == (
        "2 of 11 tasks failed, 2 were not run",
        "fail-1: ValueError: the images have 3 channels",
        "load[7]-1: IndexError: list index out of range",
    )


def test_names_are_shortened_in_the_middle() -> None:
    table = table_of(lambda: [work(1, task_args={"name": "n" * 500}) for _ in range(2)])

    assert [len(row[0]) for row in table.rows] == [60, 60]
    assert [row[0][-4:] for row in table.rows] == ["nn-1", "nn-2"]
