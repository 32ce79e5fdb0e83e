"""Graphs of flows as data: through JSON and back, and out of the journals of jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from dioptra.flow import Flow, Parameter, graphs, task
from dioptra.flow.graphs import Description, describe_flow, read_journal


@task
def load() -> Any:
    return [1, 2]


@task(max_retries=1)
def work(x: Any, y: Any = 0) -> Any:
    return x


@task
def fail(x: Any) -> None:
    raise ValueError("no")


def flow_of(build: Callable[[], Any], name: str = "seen") -> Flow:
    with Flow(name) as flow:
        build()
    return flow


def everything() -> None:
    work([load()[0], Parameter("p", default=1) + 1], upstream_tasks=[fail({"a": load()})])


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIOPTRA_ATTEMPT_DIR", str(tmp_path))
    return tmp_path


def test_through_json_and_back() -> None:
    found = describe_flow(flow_of(everything))

    assert Description.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert found.to_dict()["tasks"][-1] == {
        "slug": "work-1",
        "takes": ((7, "x"),),
        "after": (6,),
        "options": {"max_retries": 1},
    }


def test_a_run_says_how_it_ended() -> None:
    flow = flow_of(everything)

    said = describe_flow(flow, flow.run(raise_on_failure=False)).to_dict()

    assert (said["state"], said["size"], said["message"]) == ("Failed", 9, "1 of 9 tasks failed, 1 were not run")
    assert said["tasks"][0] == {"slug": "load-1", "state": "Success", "seconds": said["tasks"][0]["seconds"]}
    assert json.dumps(said)


def test_a_journal_has_what_the_state_has(attempt: Path) -> None:
    flow = flow_of(everything)
    state = flow.run(raise_on_failure=False)

    (found,) = read_journal(attempt / "flow.jsonl")

    told, ran = describe_flow(flow, state), [step for step in found.steps if step.took is not None]
    assert found._replace(steps=(), seconds=None) == told._replace(steps=(), seconds=None)
    assert [each._replace(seconds=None, attempts=1) for each in found.steps] == [
        each._replace(seconds=None) for each in told.steps
    ]
    assert len(ran) == 8
    assert found.seconds is not None
    assert found.seconds > 0


def test_attempts_are_told(attempt: Path) -> None:
    left = [ValueError("once more")]

    @task(max_retries=2)
    def flaky() -> None:
        if left:
            raise left.pop()

    flow_of(flaky).run()

    (found,) = read_journal(attempt / "flow.jsonl")
    assert found.steps[0].attempts == 2
    assert found.table().rows[0][:2] == ("flaky-1", "Success, 2 attempts")


def test_one_run_after_the_other(attempt: Path) -> None:
    flow, fails = flow_of(lambda: work(Parameter("x"))), flow_of(lambda: fail(1), "other")
    for x in (1, 2):
        flow.run(x=x)
        fails.run(raise_on_failure=False)

    found = read_journal(attempt / "flow.jsonl")

    assert [(each.flow, each.state) for each in found] == [("seen", "Success"), ("other", "Failed")] * 2
    assert all(step.state for each in found for step in each.steps)
    assert [each.flow for each in read_journal(attempt / "flow.jsonl", limit=3)] == ["seen", "other", "seen"]


def test_two_runs_of_one_name_at_the_same_time(attempt: Path) -> None:
    both = Barrier(2)

    @task
    def wait(x: Any = None) -> None:
        both.wait(20)

    flows = [flow_of(lambda: wait(wait())) for _ in range(2)]
    threads = [Thread(target=flow.run) for flow in flows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = read_journal(attempt / "flow.jsonl")
    assert [[step.state for step in each.steps] for each in found] == [["Success", "Success"]] * 2
    assert [each.state for each in found] == ["Success", "Success"]


def test_a_flow_that_did_not_end(attempt: Path) -> None:
    flow_of(lambda: work(load())).run()
    file = attempt / "flow.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1] + lines[2][:20])  # killed while the second task settled

    (found,) = read_journal(file)

    assert [step.state for step in found.steps] == ["Success", ""]
    assert found.table().title == "seen: 2 tasks, not ended"
    assert found.to_dict()["state"] is None
    assert found.table().rows[1][1] == "not settled"


def test_an_interrupted_flow(attempt: Path) -> None:
    @task
    def stop(x: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flow_of(lambda: work(stop(load()))).run()

    (found,) = read_journal(attempt / "flow.jsonl")
    assert [step.state for step in found.steps] == ["Success", "", ""]
    assert found.table().messages[0] == "interrupted in task 'stop-1' by KeyboardInterrupt"


def test_a_large_flow_has_no_graph_in_the_journal(attempt: Path) -> None:
    flow_of(lambda: [load() for _ in range(1_001)]).run()
    flow_of(lambda: [load() for _ in range(1_000)], "smaller").run()

    large, smaller = read_journal(attempt / "flow.jsonl")

    assert (large.size, large.steps, large.state) == (1_001, (), "Success")
    assert large.can_be_drawn
    assert "one with more than 1000 is not drawn" in large.drawing().svg
    assert len(smaller.steps) == 1_000


def test_a_graph_that_cannot_be_described_does_not_cost_the_journal(
    attempt: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dioptra.flow._journal.describe_flow", lambda flow: 1 / 0)

    flow_of(load).run()

    (found,) = read_journal(attempt / "flow.jsonl")
    assert (found.steps, found.state) == ((), "Success")
    assert "the journal lacks the graph of flow 'seen'" in caplog.text


GOOD = {"event": "flow-started", "flow": "f", "tasks": 2, "graph": [{"slug": "a"}, {"slug": "b", "takes": [[0, "x"]]}]}


@pytest.mark.parametrize(
    "graph",
    [
        3,
        "text",
        {"slug": "a"},
        [3],
        [None],
        [[]],
        [{}],
        [{"slug": 3}],
        [{"slug": "a"}, {"slug": "a"}],
        [{"slug": "a", "takes": [[0, "x"]]}],  # of itself
        [{"slug": "a", "takes": [[-1, "x"]]}],
        [{"slug": "a", "takes": [[1, "x"]]}, {"slug": "b"}],  # of what runs later
        [{"slug": "a"}, {"slug": "b", "takes": [[False, "x"]]}],
        [{"slug": "a"}, {"slug": "b", "takes": [[0, 3]]}],
        [{"slug": "a"}, {"slug": "b", "takes": [0]}],
        [{"slug": "a"}, {"slug": "b", "takes": 3}],
        [{"slug": "a"}, {"slug": "b", "after": [2]}],
        [{"slug": "a"}, {"slug": "b", "after": ["a"]}],
        [{"slug": "a", "form": ["", ""]}],
        [{"slug": "a", "form": 3}],
        [{"slug": "a", "form": [3]}],
        [{"slug": "a", "kind": 3}],
        [{"slug": "a", "label": []}],
        [{"slug": "a", "options": 3}],
    ],
)
def test_a_graph_that_is_none_is_left_out(graph: Any, tmp_path: Path) -> None:
    file = tmp_path / "flow.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in (GOOD | {"graph": graph}, GOOD)))

    bad, good = read_journal(file)

    assert (bad.steps, bad.size) == ((), 2)
    assert [step.slug for step in good.steps] == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"3",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event": "task"}',
        b'{"event": "task", "flow": "f", "slug": []}',
        b'{"event": "task", "flow": "f", "slug": {}}',
        b'{"event": "task", "flow": "f", "slug": "unknown", "state": 3}',
        b'{"event": ["task"], "flow": "f"}',
        b'{"event": "task", "flow": ["f"], "slug": "a"}',
        b'{"event": "flow-ended", "flow": "other", "state": "Success"}',
        b'{"event": "task-retrying", "flow": "f", "slug": "a", "state": "Retrying"}',
        b'{"event": "flow-uncaught", "flow": "f"}',
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_lines_that_say_nothing(line: bytes, tmp_path: Path) -> None:
    file = tmp_path / "flow.jsonl"
    file.write_bytes(
        json.dumps(GOOD).encode() + b"\n" + line + b'\n{"event":"task","flow":"f","slug":"a","state":"Failed"}'
    )

    (found,) = read_journal(file)

    assert [step.state for step in found.steps] == ["Failed", ""]
    assert found.state == ""
    assert found.drawing().svg.count("<rect") == 3 + 1  # two boxes and a label on paper


@pytest.mark.parametrize(
    "more",
    [
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds": 10**400},
        {"seconds": "1"},
        {"seconds": True, "attempts": "2"},
        {"message": 3, "attempts": 10**400},
        {"message": "\ud800" * 10_000, "state": "S" * 10_000},
        {"state": None},
    ],
    ids=lambda more: str(more)[:40],
)
def test_odd_endings_can_be_shown(more: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "flow.jsonl"
    ending = {"event": "task", "flow": "f", "slug": "a", "state": "Success"} | more
    end = ending | {"event": "flow-ended", "slug": None}
    file.write_text("\n".join(map(json.dumps, (GOOD, ending, end))))

    (found,) = read_journal(file)

    assert found.state
    assert len(found.drawing().svg) < 5_000
    assert found.table().rows
    json.dumps(found.to_dict(), allow_nan=False)


def test_options_of_another_version_are_shown() -> None:
    said = {"max_retries": [1], "timeout": "soon", "resources": 3, "color": None}
    found = Description.from_dict({"flow": "f", "size": 1, "tasks": [{"slug": "a", "options": said}]})

    assert found.table().rows[0][1] == "[1] retries, timeout soon, resources 3, color None"
    assert "color None" in found.drawing().svg


@pytest.mark.parametrize("value", [3, [], {}, {"flow": "f"}, {"flow": 3, "size": 1, "tasks": []}])
def test_what_describes_no_flow(value: Any) -> None:
    with pytest.raises(ValueError, match="."):
        Description.from_dict(value)


def test_where_there_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    assert read_journal(tmp_path / "missing") == read_journal(tmp_path / "folder") == []


def test_a_huge_journal_is_read_only_so_far(tmp_path: Path) -> None:
    file = tmp_path / "flow.jsonl"
    with file.open("wb") as journal:
        journal.write(json.dumps(GOOD).encode() + b"\n")
        journal.truncate(2**40)  # a hole of a terabyte

    assert [each.flow for each in read_journal(file)] == ["f"]


def test_public_names() -> None:
    assert {name: getattr(graphs, name) for name in graphs.__all__}.keys() == set(graphs.__all__)
