"""Workers that are killed at named points of a job's life: real processes, and a real kill -9.

At each point there are a job without retries and one with; another worker takes over, and goes on with other jobs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dioptra.records import Job, JobStatus
from tests.acceptance.forked_workers import Herd, bench_of, is_alive, marked, marks, said, submit, until
from tests.acceptance.workbench import Workbench

WHOLE = ["begins", "ends"]
_RUNS = """
SELECT runs.status FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid
WHERE tags.key = 'dioptra.jobId' AND tags.value = ? ORDER BY runs.start_time
"""


@dataclass(frozen=True)
class Point:
    """Where a worker kills itself, and what is there of the job then."""

    method: tuple[str, ...]  # module, class, method, whether the real one comes before
    folder: bool = True  # that of the attempt, with the code in it
    command: list[str] = field(default_factory=list)  # what the command has said
    run: str | None = None  # status of its run of MLflow
    finished: bool = False  # whether the database knows that it has finished


QUEUE = ("dioptra.database._queue", "Queue")
TRACKING = ("dioptra.tracking", "Tracking")
POINTS = {
    "claimed, no folder yet": Point((*QUEUE, "claim", "after"), folder=False),
    "laid out, no run yet": Point((*TRACKING, "start", "before")),
    "run made, not yet started": Point((*QUEUE, "started", "before"), run="RUNNING"),
    "started, no command yet": Point((*QUEUE, "started", "after"), run="RUNNING"),
    "command ended, run goes on": Point((*TRACKING, "end", "before"), command=WHOLE, run="RUNNING"),
    "run ended, not yet finished": Point((*QUEUE, "finish", "before"), command=WHOLE, run="FINISHED"),
    "finished, no record yet": Point((*QUEUE, "finish", "after"), command=WHOLE, run="FINISHED", finished=True),
}


@pytest.fixture
def bench(tmp_path: Path, made_store: Path) -> Workbench:
    return bench_of(tmp_path / "home", tmp_path, made_store)


def killed(bench: Workbench, herd: Herd, name: str, point: Point) -> None:
    """Let a worker claim a job and kill itself."""
    pid = herd.start(bench, name, point.method)
    until(lambda: not is_alive(pid))
    assert said(bench, name).endswith("killed here\n"), said(bench, name)


def runs(bench: Workbench, job: Job) -> list[str]:
    """Return the status of each run of MLflow that was made for a job, the first attempt's first."""
    with closing(sqlite3.connect(bench.home / "mlflow.db", timeout=10)) as connection:
        return [status for (status,) in connection.execute(_RUNS, [job.id])]


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_worker_is_killed(bench: Workbench, herd: Herd, point: Point) -> None:
    once, again = submit(bench), submit(bench, retries=1)
    for job, name in ((once, "ada"), (again, "eve")):
        killed(bench, herd, name, point)
        assert (bench.home / "jobs" / job.id / "attempt-1" / "code" / "toy.py").exists() == point.folder
        assert [word.split()[1] for word in marks(bench)[job.id]] == point.command
        assert runs(bench, job) == ([point.run] if point.run else [])
    other = submit(bench)

    herd.start(bench, "bob")
    until(lambda: all(bench.testbed.job(job.id).status.is_final for job in (once, again, other)))

    check_once(bench, once, point)
    check_again(bench, again, point)
    assert bench.testbed.job(other.id).status is JobStatus.FINISHED
    assert [marked(job) for job in (once, again, other)] == [[], [], []]


def check_once(bench: Workbench, job: Job, point: Point) -> None:
    """Check a job without retries: it is lost, unless the database had its end already."""
    found = bench.testbed.job(job.id)
    ends = ("finished", "") if point.finished else ("lost", "worker 'ada' was lost in attempt 1")
    assert (found.status, found.reason, found.attempt, found.worker) == (*ends, 1, "ada")
    assert marks(bench)[job.id] == [f"1 {word}" for word in point.command]
    check_run(bench, job, [end_of(point)])


def check_again(bench: Workbench, job: Job, point: Point) -> None:
    """Check a job with a retry: it is run again from its beginning, unless the database had its end already."""
    found = bench.testbed.job(job.id)
    last, worker = (1, "eve") if point.finished else (2, "bob")
    assert (found.status, found.reason, found.attempt, found.worker) == ("finished", "", last, worker)
    attempts = [(each.number, each.status, each.worker) for each in bench.testbed.database.jobs.attempts(job.id)]
    assert attempts == ([(1, "finished", "eve")] if point.finished else [(1, "lost", "eve"), (2, "finished", "bob")])
    first = [f"1 {word}" for word in point.command]
    assert marks(bench)[job.id] == first + [f"2 {word}" for word in WHOLE if not point.finished]
    check_run(bench, job, [end_of(point), *([] if point.finished else ["FINISHED"])])


def end_of(point: Point) -> str:
    """Return how the run of the attempt whose worker was killed ends, if there is one."""
    return "FINISHED" if point.finished else "KILLED" if point.run else ""


def check_run(bench: Workbench, job: Job, expected: list[str]) -> None:
    """Check the runs of a job's attempts, which are ended soon after their job."""
    wanted = [status for status in expected if status]
    until(lambda: runs(bench, job) == wanted, seconds=5)
