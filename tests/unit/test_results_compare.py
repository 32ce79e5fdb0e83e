"""Comparisons: values by name, and the first task of two journals that did not do the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dioptra.flow import Flow, Parameter, task
from dioptra.results import Difference, TaskDifference, differences, first_difference

NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": NAN}, {"a": float("nan")}),
        ({"a": float("inf")}, {"a": float("inf")}),
        ({"a": None}, {}),
        ({"a": [1, {"b": NAN}], "c": "x"}, {"c": "x", "a": (1.0, {"b": NAN})}),
        ({}, {}),
    ],
)
def test_values_that_are_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert differences(one, other) == differences(other, one) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (0.1, 0.1 + 1e-17 + 2e-17),
        (1, True),
        (0, False),
        (0, None),
        ("", None),
        ("1", 1),
        (NAN, 0.0),
        (2**53 + 1, float(2**53)),
        ([1], [1, 2]),
        ([1, NAN], [1, 2]),
        ({"b": 1}, {"c": 1}),
        ({"b": [1]}, {"b": [2]}),
        ([1], {"0": 1}),
    ],
)
def test_values_that_differ(one: Any, other: Any) -> None:
    assert differences({"same": 1, "a": one}, {"same": 1, "a": other}) == (Difference("a", one, other),)


def test_differences_are_sorted_and_tell_what_was_not_there() -> None:
    found = differences({"b": 1, "c": 2, "e": 5}, {"c": 3, "a": 4, "e": 5})
    assert found == (Difference("a", None, 4), Difference("b", 1, None), Difference("c", 2, 3))
    assert found[0].to_dict() == {"name": "a", "before": None, "after": 4}


numbers = st.dictionaries(st.sampled_from("abc"), st.one_of(st.floats(), st.integers()))


@given(numbers, numbers)
def test_differences_lead_from_one_to_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = differences(one, other)
    changed = one | {difference.name: difference.after for difference in found}
    assert differences({name: value for name, value in changed.items() if value is not None}, other) == ()
    assert not differences(one, one)


Line = dict[str, Any]


def settled(slug: str, flow: str = "f", state: str = "Success", **result: Any) -> Line:
    line = {"event": "task", "flow": flow, "task": slug.partition("-")[0], "slug": slug, "state": state, "seconds": 1}
    return line | ({"result": {"type": "int", **result}} if result else {})


def started(flow: str = "f") -> Line:
    return {"event": "flow-started", "flow": flow, "tasks": 2}


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., TaskDifference | None]:
    def compare(before: list[Line], after: list[Line]) -> TaskDifference | None:
        for name, lines in (("before", before), ("after", after)):
            (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return first_difference(tmp_path / "before", tmp_path / "after")

    return compare


Compare = Callable[[list[Line], list[Line]], TaskDifference | None]


@pytest.mark.parametrize(
    ("before", "after", "how"),
    [
        (settled("a", value=0.92), settled("a", value=0.91), "value 0.91 instead of 0.92"),
        (settled("a", value=None), settled("a", value=3), "value 3 instead of None"),
        (settled("a", value=1), settled("a", value=True), "value True instead of 1"),
        (
            settled("a", hash="3c4d5e", shape=[2]),
            settled("a", hash="1a2b3c", shape=[2]),
            "its result differs (hash 1a2b... instead of 3c4d...)",
        ),
        (
            settled("a", hash="3c4d5e", shape=[2]),
            settled("a", hash="1a2b3c", shape=[3]),
            "its result differs (shape [3] instead of [2])",
        ),
        (
            settled("a", hash="3c4d5e", length=4),
            settled("a", hash="1a2b3c", length=5),
            "its result differs (length 5 instead of 4)",
        ),
        (settled("a", value=1), settled("a", hash="1a2b"), "its result differs"),
        (
            settled("a", hash="3c"),
            settled("a", hash="3c") | {"result": {"type": "str", "hash": "3c"}},
            "its result differs (type str instead of int)",
        ),
        (settled("a", value=1), settled("a", state="Failed"), "ended Failed instead of Success"),
        (settled("a", state="Skipped"), settled("a", state="TriggerFailed"), "ended TriggerFailed instead of Skipped"),
    ],
)
def test_how_a_task_differs(before: Line, after: Line, how: str, compared: Compare) -> None:
    assert compared([started(), before], [started(), after]) == TaskDifference("f", "a", "a", how)


@pytest.mark.parametrize(
    "after",
    [
        settled("a-1", value=1) | {"seconds": 9, "attempts": 3, "at": "later", "message": "well"},
        settled("a-1", value=1.0),
        settled("a-1") | {"result": {"type": "int"}},  # by a version that tells less
        settled("a-1"),
    ],
)
def test_what_plays_no_part(after: Line, compared: Compare) -> None:
    assert compared([started(), settled("a-1", value=1)], [started(), after]) is None
    retrying = {"event": "task-retrying", "flow": "f", "slug": "a-1", "state": "Retrying"}
    assert compared([started(), retrying, settled("a-1", value=1)], [started(), after]) is None


def test_what_did_not_run_and_what_ran_in_addition(compared: Compare) -> None:
    one, two = settled("a-1", value=1), settled("b-1", value=1)
    assert compared([started(), one, two], [started(), one]) == TaskDifference("f", "b", "b-1", "did not run")
    extra = compared([started(), one], [started(), two, one])
    assert extra == TaskDifference("f", "b", "b-1", "ran, and did not before")
    assert compared([], [started(), one]) == TaskDifference("f", "a", "a-1", "ran, and did not before")
    assert extra.to_dict() == {"flow": "f", "task": "b", "slug": "b-1", "how": "ran, and did not before"}


def test_the_first_in_the_order_of_the_first_run_is_named(compared: Compare) -> None:
    before = [started(), *(settled(slug, value=1) for slug in "abcd")]
    after = [started(), *(settled(slug, value=2) for slug in "dc"), settled("a", value=1), settled("b", value=2)]
    found = compared(before, [*after, settled("e", value=1)])
    assert found is not None
    assert found.slug == "b"
    assert compared(before, [started(), *(settled(slug, value=1) for slug in "dbca")]) is None


def test_flows_are_matched_by_name_and_number(compared: Compare) -> None:
    def run(value: int, flow: str = "f") -> list[Line]:
        return [started(flow), settled("a", flow, value=value)]

    assert compared([*run(1), *run(2), *run(3, "g")], [*run(3, "g"), *run(1), *run(2)]) is None
    found = compared([*run(1), *run(2)], [*run(1), *run(1)])
    assert found == TaskDifference("f", "a", "a", "value 1 instead of 2")
    assert compared([*run(1), *run(1)], run(1)) == TaskDifference("f", "a", "a", "did not run")
    interrupted = [started(), settled("b", value=1), *run(2)]
    assert compared([*run(1), settled("b", value=1), *run(2)], interrupted) == TaskDifference(
        "f", "a", "a", "did not run"
    )


def test_tasks_that_settle_several_times_are_matched_by_number(compared: Compare) -> None:
    before = [started(), *(settled("a", value=value) for value in (1, 2, 3))]
    found = compared(before, [started(), *(settled("a", value=value) for value in (1, 2, 4))])
    assert found == TaskDifference("f", "a", "a", "value 4 instead of 3")
    assert compared(before, before[:-1]) == TaskDifference("f", "a", "a", "did not run")


TORN = [
    '{"event": "task", "flow": "f", "sl',
    "\udcff",
    "[1]\n",
    "{}\n",
    "\n",
    '{"event": "task", "flow": 3, "slug": "a"}\n',
    '{"event": "task", "flow": "f", "slug": 3}\n',
]


@pytest.mark.parametrize("torn", TORN)
def test_a_line_that_is_none_is_ignored(torn: str, tmp_path: Path) -> None:
    whole = f"{json.dumps(started())}\n{json.dumps(settled('a', value=1))}\n"
    (tmp_path / "before").write_text(whole)
    (tmp_path / "after").write_text(whole + torn, errors="surrogateescape")
    assert first_difference(tmp_path / "before", tmp_path / "after") is None
    assert first_difference(tmp_path / "after", tmp_path / "before") is None


def test_no_journal_has_no_tasks(tmp_path: Path) -> None:
    assert first_difference(tmp_path / "before", tmp_path / "after") is None
    (tmp_path / "after").write_text(json.dumps(settled("a", value=1)) + "\n")
    found = first_difference(tmp_path / "before", tmp_path / "after")
    assert found is not None
    assert found.how == "ran, and did not before"


def test_the_journals_of_real_flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @task
    def scale(x: float) -> list[float]:
        return [x, 2 * x]

    with Flow("scaled") as flow:
        task(len)(scale(Parameter("x")))
    for number, (first, second) in enumerate([(1, 2), (1, 2), (1, 3)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.setenv("DIOPTRA_ATTEMPT_DIR", str(folder))
        flow.run(x=first)
        flow.run(x=second)
    journals = [tmp_path / str(number) / "flow.jsonl" for number in range(3)]
    assert first_difference(*journals[:2]) is None
    assert first_difference(*journals[1:]) == TaskDifference("scaled", "x", "x", "value 3 instead of 2")
