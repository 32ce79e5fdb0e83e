"""The journal of a job's flows, and the log that is seen when a script set up none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dioptra.flow import Flow, Parameter, signals, task
from dioptra.flow._journal_lines import journal_lines


@task
def plus_one(x: int) -> int:
    return x + 1


@task
def fail(x: Any) -> Any:
    raise ValueError("s" * 5_000)


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIOPTRA_ATTEMPT_DIR", str(tmp_path))
    return tmp_path


def lines(attempt: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (attempt / "flow.jsonl").read_text().splitlines()]


def without_times(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in ("at", "seconds")}


def broken_flow() -> Flow:
    with Flow("kept") as flow:
        plus_one(fail(plus_one(Parameter("x"))))
    return flow


def test_one_line_for_everything_that_settled(attempt: Path) -> None:
    before = datetime.now(UTC)
    broken_flow().run(x=1, raise_on_failure=False)
    found = lines(attempt)
    assert list(map(without_times, found)) == [
        {
            "event": "flow-started",
            "flow": "kept",
            "tasks": 4,
            "graph": [
                {"slug": "x", "kind": "parameter"},
                {"slug": "plus_one-1", "takes": [[0, "x"]]},
                {"slug": "fail-1", "takes": [[1, "x"]]},
                {"slug": "plus_one-2", "takes": [[2, "x"]]},
            ],
        },
        {
            "event": "task",
            "flow": "kept",
            "task": "x",
            "slug": "x",
            "state": "Success",
            "result": {"type": "int", "value": 1},
        },
        {
            "event": "task",
            "flow": "kept",
            "task": "plus_one",
            "slug": "plus_one-1",
            "state": "Success",
            "result": {"type": "int", "value": 2},
        },
        {
            "event": "task",
            "flow": "kept",
            "task": "fail",
            "slug": "fail-1",
            "state": "Failed",
            "message": ("ValueError: " + "s" * 5_000)[:1_000],
        },
        {
            "event": "task",
            "flow": "kept",
            "task": "plus_one",
            "slug": "plus_one-2",
            "state": "TriggerFailed",
            "message": "not run, because task 'fail-1' failed",
        },
        {"event": "flow-ended", "flow": "kept", "state": "Failed", "message": "1 of 4 tasks failed, 1 were not run"},
    ]
    assert all(before <= datetime.fromisoformat(line["at"]) <= datetime.now(UTC) for line in found)
    assert all(datetime.fromisoformat(line["at"]).utcoffset() == timedelta(0) for line in found)
    assert all(line["seconds"] >= 0 for line in found[1:])


def test_attempts_and_what_was_skipped(attempt: Path) -> None:
    left = [ValueError("once more")]

    @task(max_retries=2)
    def flaky() -> int:
        if left:
            raise left.pop()
        raise signals.SKIP("no images")

    with Flow("states") as flow:
        plus_one(flaky())
    flow.run()
    assert list(map(without_times, lines(attempt)))[1:-1] == [
        {
            "event": "task-retrying",
            "flow": "states",
            "task": "flaky",
            "slug": "flaky-1",
            "attempt": 1,
            "state": "Retrying",
            "message": "ValueError: once more",
        },
        {
            "event": "task",
            "flow": "states",
            "task": "flaky",
            "slug": "flaky-1",
            "state": "Skipped",
            "attempts": 2,
            "message": "no images",
        },
        {
            "event": "task",
            "flow": "states",
            "task": "plus_one",
            "slug": "plus_one-1",
            "state": "Skipped",
            "message": "skipped, because task 'flaky-1' was skipped",
        },
    ]


def test_a_second_flow_is_appended(attempt: Path) -> None:
    (attempt / "flow.jsonl").write_text('{"event": "earlier"}\n')
    for _ in range(2):
        broken_flow().run(x=1, raise_on_failure=False)
    assert [line["event"] for line in lines(attempt)].count("flow-ended") == 2
    assert lines(attempt)[0] == {"event": "earlier"}


def test_an_interrupted_flow_has_an_end(attempt: Path) -> None:
    @task
    def stop() -> None:
        raise KeyboardInterrupt

    with Flow("stopped") as flow:
        stop()
    with pytest.raises(KeyboardInterrupt):
        flow.run()
    assert lines(attempt)[-1]["message"] == "interrupted in task 'stop-1' by KeyboardInterrupt"


def test_nothing_is_kept_outside_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broken_flow().run(x=1, raise_on_failure=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["missing/folder", "file"])
def test_a_journal_that_cannot_be_written_is_one_warning(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIOPTRA_ATTEMPT_DIR", str(tmp_path / place))
    with Flow("unkept") as flow:
        last = plus_one(plus_one(1))
    assert flow.run().result[last].result == 3
    assert [record.getMessage().partition(":")[0] for record in caplog.records if record.levelname == "WARNING"] == [
        f"the journal {tmp_path / place / 'flow.jsonl'} cannot be written"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_warning(attempt: Path, caplog: pytest.LogCaptureFixture) -> None:
    (attempt / "flow.jsonl").symlink_to("/dev/full")
    with Flow("full") as flow:
        plus_one(1)
    assert flow.run().is_successful()
    assert caplog.text.count("cannot be written") == 1


def open_descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_descriptors_are_closed(attempt: Path) -> None:
    before = open_descriptors()
    for _ in range(3):
        broken_flow().run(x=1, raise_on_failure=False)
    assert open_descriptors() == before


SCRIPT = """
import logging
{setup}
from dioptra import Flow, task
with Flow("seen") as flow:
    task(len)("abc")
flow.run()
print(logging.getLogger("dioptra").handlers, logging.getLogger("dioptra").level)
"""


@pytest.mark.parametrize(
    ("setup", "in_job", "seen"),
    [
        ("", True, "INFO task 'len-1' succeeded after"),
        ("", False, None),
        ("logging.basicConfig(level='INFO', format='own %(message)s')", True, "own task 'len-1' succeeded after"),
        ("logging.basicConfig(level='WARNING')", True, None),
    ],
)
def test_the_log_of_a_job_is_seen(setup: str, in_job: bool, seen: str | None, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DIOPTRA_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(setup=setup)],
        env=environment | ({"DIOPTRA_ATTEMPT_DIR": str(tmp_path)} if in_job else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count(seen or "succeeded") == (1 if seen else 0)
    assert done.stdout == "[] 0\n"
    assert (tmp_path / "flow.jsonl").exists() is in_job


THREAD = """
import threading
{before}
from dioptra import Flow, FlowFailed, task

@task
def fail():
    raise ValueError("no way")

def build():
    with Flow("kept") as flow:
        fail()
    return flow

def careful():
    try:
        build().run()
    except FlowFailed:
        print("handled")

thread = threading.Thread(target={target})
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("target", "before", "noted", "said"),
    [
        ("lambda: build().run()", "", ["kept"], "flow 'kept' failed: 1 of 1 tasks failed"),
        ("lambda: build().run()", "threading.excepthook = lambda args: print('own hook')", ["kept"], "own hook"),
        ("lambda: (careful(), build().run())", "", ["kept"], "handled"),
        ("careful", "", [], "handled"),
        ("lambda: build().run(raise_on_failure=False)", "", [], "ValueError: no way"),
        ("lambda: (careful(), 1 / 0)", "", [], "ZeroDivisionError"),
    ],
)
def test_a_failure_that_ends_a_thread_is_noted(
    target: str, before: str, noted: list[str], said: str, tmp_path: Path
) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DIOPTRA_")}
    done = subprocess.run(
        [sys.executable, "-c", THREAD.format(target=target, before=before)],
        env=environment | {"DIOPTRA_ATTEMPT_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line["flow"] for line in lines(tmp_path) if line["event"] == "flow-uncaught"] == noted
    assert said in done.stdout + done.stderr
    assert "FlowFailed" not in done.stderr


class TestReadingIt:
    """A script can write anything where its journal is, and who reads it must bear that."""

    def test_lines_come_in_order_and_what_is_none_is_left_out(self, tmp_path: Path) -> None:
        file = tmp_path / "flow.jsonl"
        file.write_bytes(
            b'{"event": "task"}\n[1]\nnot json\n\xff\n' + b"[" * 100_000 + b'\n{"event": "flow-ended"}\n{"ev'
        )
        assert [line["event"] for line in journal_lines(file)] == ["task", "flow-ended"]
        assert [line["event"] for line in journal_lines(file, [b"ended"])] == ["flow-ended"]
        assert list(journal_lines(tmp_path / "none")) == []

    def test_a_file_without_end_takes_no_memory(self, tmp_path: Path) -> None:
        file = tmp_path / "flow.jsonl"
        with file.open("wb") as sparse:
            sparse.truncate(2**40)
        tracemalloc.start()
        assert list(journal_lines(file, most=2**26)) == []
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2**27
