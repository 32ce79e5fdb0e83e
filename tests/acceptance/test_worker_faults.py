"""What becomes of jobs when workers, supervisors and children die: real processes, really killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from dioptra.records import Job, JobStatus
from dioptra.testbed import Submission
from tests.acceptance.processes import is_alive, marked, parent, until
from tests.acceptance.workbench import Workbench

LEASE, BEAT = 3.0, 0.4
PATIENT = 120.0  # the lease of who is not to be lost, however slow the machine is
WORKER = f"""
import sys
from dioptra.testbed import Testbed
Testbed().worker(name=sys.argv[1], lease=float(sys.argv[2]), beat={BEAT}, poll=0.2, on_event=print).run()
"""
MLPROJECT = """\
name: toys
entry_points:
  main:
    parameters: {text: {type: string, default: hello}}
    command: python toy.py {text}
"""
# Prints its ids, then behaves as it was told, until somebody ends it or a file says so.
TOY = """
import os, signal, sys, time
def note(name):
    os.write(1, f"{name} {os.getpid()}\\n".encode())  # at once: others print, too
note("child")
if "stubborn" in sys.argv[1]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "family" in sys.argv[1] and os.fork() == 0:
    note("grandchild")
    if "stubborn" in sys.argv[1]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "daemon" in sys.argv[1] and os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    note("daemon")
while not os.path.exists(os.path.join(os.environ["DIOPTRA_HOME"], "go")):
    time.sleep(0.02)
"""


@pytest.fixture
def bench(tmp_path: Path, made_store: Path) -> Workbench:
    (tmp_path / "home").mkdir()
    shutil.copy(made_store, tmp_path / "home" / "mlflow.db")
    made = Workbench(tmp_path / "home", tmp_path)
    made.project("toys", MLproject=MLPROJECT, toy_py=TOY)
    return made


class Start(Protocol):
    def __call__(self, name: str, lease: float = LEASE) -> subprocess.Popen[str]: ...


@pytest.fixture
def start(bench: Workbench) -> Iterator[Start]:
    """Start a worker with a short lease, as a process of its own."""
    started = []

    def one(name: str, lease: float = LEASE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, name, str(lease)],
            env=bench.environment(),
            stdout=(bench.folder / f"{name}.out").open("w"),
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.wait()


def submit(bench: Workbench, text: str = "", retries: int = 0) -> Job:
    return bench.testbed.submit(
        bench.folder / "toys", parameters={"text": text}, submission=Submission(retries=retries)
    )


def pids(bench: Workbench, job: Job, count: int, attempt: int = 1) -> dict[str, int]:
    """Return what the entry point has said of its processes, once there are so many."""
    log = bench.home / "jobs" / job.id / f"attempt-{attempt}" / "log.txt"
    try:
        until(lambda: log.exists() and log.read_text().count("\n") >= count)
    except AssertionError as error:
        error.add_note(f"the job: {bench.testbed.job(job.id)}")
        for said in sorted([*bench.folder.glob("*.out"), *log.parent.parent.glob("*/log.txt")]):
            error.add_note(f"{said}:\n{said.read_text()}")
        raise
    whole = log.read_text().rpartition("\n")[0].splitlines()
    return {name: int(pid) for name, pid in map(str.split, whole)}


def status(bench: Workbench, job: Job) -> JobStatus:
    return bench.testbed.job(job.id).status


def test_a_worker_that_is_killed(bench: Workbench, start: Start) -> None:
    job = submit(bench, "family daemon stubborn")
    worker = start("ada")
    found = pids(bench, job, 3)
    killed_at = time.monotonic()
    worker.kill()
    until(lambda: not any(map(is_alive, found.values())))
    gone_after = time.monotonic() - killed_at
    assert status(bench, job) is JobStatus.STARTED or gone_after < LEASE
    start("bob")
    until(lambda: status(bench, job) is JobStatus.LOST)

    assert gone_after < LEASE + 11
    assert bench.testbed.job(job.id).reason == "worker 'ada' was lost in attempt 1"
    assert marked(job) == []


def test_a_job_whose_only_worker_is_killed_is_taken_back_by_whoever_waits(bench: Workbench, start: Start) -> None:
    job = submit(bench, "family")
    worker = start("ada")
    pids(bench, job, 2)
    worker.kill()

    found = bench.testbed.wait(job, 30)

    assert (found.status, found.reason) == ("lost", "worker 'ada' was lost in attempt 1")
    assert bench.testbed.home.job(job.id).status == "lost"
    assert bench.testbed.tracking.run(str(found.run_id)).status == "KILLED"
    assert marked(job) == []


def test_a_job_with_retries_is_started_again_by_another_worker(bench: Workbench, start: Start) -> None:
    job = submit(bench, "family", retries=1)
    worker = start("ada")
    pids(bench, job, 2)
    worker.kill()
    start("bob", PATIENT)
    pids(bench, job, 2, attempt=2)
    (bench.home / "go").touch()
    until(lambda: status(bench, job).is_final)

    found = bench.testbed.job(job.id)
    assert (found.status, found.attempt, found.worker) == ("finished", 2, "bob"), found.reason
    attempts = bench.testbed.database.jobs.attempts(job.id)
    assert [(each.number, each.status, each.worker) for each in attempts] == [
        (1, "lost", "ada"),
        (2, "finished", "bob"),
    ]
    assert (bench.home / "jobs" / job.id / "attempt-1" / "log.txt").exists()
    assert marked(job) == []


def test_a_supervisor_that_is_killed(bench: Workbench, start: Start) -> None:
    job = submit(bench, "family daemon")
    start("ada")
    found = pids(bench, job, 3)
    os.kill(parent(found["child"]), signal.SIGKILL)
    until(lambda: status(bench, job).is_final)

    assert status(bench, job) is JobStatus.FAILED
    assert "supervisor" in bench.testbed.job(job.id).reason
    until(lambda: not marked(job))


def test_a_child_that_is_killed(bench: Workbench, start: Start) -> None:
    job = submit(bench, "family daemon")
    start("ada")
    os.kill(pids(bench, job, 3)["child"], signal.SIGKILL)
    until(lambda: status(bench, job).is_final)

    assert bench.testbed.job(job.id).reason == "ended by SIGKILL (out of memory?)"
    assert marked(job) == []


def test_all_are_killed_at_once(bench: Workbench, start: Start) -> None:
    job = submit(bench, "family daemon")
    worker = start("ada")
    found = pids(bench, job, 3)
    for pid in (worker.pid, parent(found["child"]), found["child"]):
        os.kill(pid, signal.SIGKILL)
    start("bob")
    until(lambda: status(bench, job) is JobStatus.LOST)

    until(lambda: not marked(job))


def test_a_worker_that_sleeps_past_its_lease_and_wakes(bench: Workbench, start: Start) -> None:
    job = submit(bench, "family", retries=1)
    worker = start("ada")
    first = pids(bench, job, 2)
    worker.send_signal(signal.SIGSTOP)
    until(lambda: not any(map(is_alive, first.values())))
    start("bob", PATIENT)
    pids(bench, job, 2, attempt=2)
    worker.send_signal(signal.SIGCONT)
    until(lambda: "is not this worker's any more" in (bench.folder / "ada.out").read_text())
    assert status(bench, job) is JobStatus.STARTED
    (bench.home / "go").touch()
    until(lambda: bench.testbed.home.job(job.id).status.is_final)

    found = bench.testbed.job(job.id)
    assert (found.status, found.attempt, found.worker) == ("finished", 2, "bob")
    kept = bench.testbed.home.job(job.id)  # the late one has not written over it
    assert (kept.status, kept.attempt, kept.worker) == ("finished", 2, "bob")
    assert marked(job) == []


def test_a_database_that_is_locked_for_a_while_costs_nothing(bench: Workbench, start: Start) -> None:
    import sqlite3

    job = submit(bench)
    start("ada")
    pids(bench, job, 1)
    connection = sqlite3.connect(bench.home / "testbed.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    (bench.home / "go").touch()
    time.sleep(LEASE / 2)
    connection.execute("ROLLBACK")
    connection.close()
    until(lambda: status(bench, job).is_final)

    assert status(bench, job) is JobStatus.FINISHED
