"""What becomes of jobs and workers when the disk is full, and when the database is away for a while."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from dioptra.errors import DioptraError
from dioptra.records import Job, JobStatus
from tests.acceptance.forked_workers import LEASE, Herd, bench_of, is_alive, marked, marks, said, submit, until
from tests.acceptance.workbench import Workbench
from tests.postgres import postgres

MB = 1_000_000
TALKS = "name: toys\nentry_points:\n  main: {parameters: {seconds: float}, command: python talk.py}\n"
TALK = "import time\nfor n in range(600):\n    print('x' * 100_000, flush=True)\n    time.sleep(0.001)\n"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A home on a disk of its own, of 24 MB."""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {done.stderr.strip()}")
    yield home
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.fixture
def bench(small: Path, tmp_path: Path, made_store: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A home on a small disk; its runs are recorded elsewhere."""
    shutil.copy(made_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return bench_of(small, tmp_path, made_store)


def fill(home: Path, leave: int = 0) -> None:
    """Leave so many bytes on a disk."""
    with (home / "filler").open("ab", buffering=0) as filler, suppress(OSError):
        while (space := _space(home) - leave) > 0:
            filler.write(bytes(min(space, MB)))


def _space(home: Path) -> int:
    found = os.statvfs(home)
    return found.f_bavail * found.f_frsize


def make_room(home: Path) -> None:
    (home / "filler").unlink()


def ended(bench: Workbench, job: Job) -> Job:
    """Return a job once it has ended."""
    until(lambda: bench.testbed.job(job.id).status.is_final)
    return bench.testbed.job(job.id)


def wait_for_its_end(bench: Workbench, job: Job) -> None:
    """Wait until a job's command has ended, and its worker has tried to tell the database of it."""
    until(lambda: len(marks(bench)[job.id]) == 2 and not marked(job))
    time.sleep(LEASE / 3)


def check_goes_on(bench: Workbench, worker: int) -> None:
    """Check that a worker lives and runs jobs, and that the database is whole."""
    assert ended(bench, submit(bench)).status is JobStatus.FINISHED
    assert is_alive(worker)
    with closing(sqlite3.connect(bench.home / "testbed.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_disk_is_full_while_the_log_is_written(bench: Workbench, herd: Herd) -> None:
    plain = (bench.folder / "toys" / "MLproject").read_text()
    bench.project("toys", MLproject=TALKS, talk_py=TALK)
    job = submit(bench)
    bench.project("toys", MLproject=plain)
    worker = herd.start(bench, "ada")
    log = bench.home / "jobs" / job.id / "attempt-1" / "log.txt"
    until(lambda: log.exists() and _space(bench.home) < MB)
    until(lambda: not marked(job))
    log.unlink()

    found = ended(bench, job)

    assert found.reason in ("the log could not be written (No space left on device)",
                            "worker 'ada' was lost in attempt 1")  # fmt: skip
    assert found.status in (JobStatus.FAILED, JobStatus.LOST)
    check_goes_on(bench, worker)


def test_the_disk_is_full_while_the_code_is_laid_out(bench: Workbench, herd: Herd) -> None:
    data = bench.folder / "toys" / "data.bin"
    data.write_bytes(os.urandom(3 * MB))
    job = submit(bench)
    data.unlink()
    fill(bench.home, leave=2 * MB)
    worker = herd.start(bench, "ada")

    until(lambda: "disk is full" in said(bench, "ada"))
    make_room(bench.home)

    found = ended(bench, job)

    assert found.status is JobStatus.FAILED
    assert "No space left on device" in found.reason
    assert job.id not in marks(bench)
    check_goes_on(bench, worker)


def test_the_disk_is_full_while_jobs_are_submitted_and_end(bench: Workbench, herd: Herd) -> None:
    job = submit(bench, seconds=0.5)
    worker = herd.start(bench, "ada")
    until(lambda: marks(bench)[job.id])
    fill(bench.home)
    with pytest.raises((DioptraError, OSError)) as refused:
        submit(bench)
    until(lambda: "disk is full" in said(bench, "ada"))
    wait_for_its_end(bench, job)
    make_room(bench.home)

    found = ended(bench, job)

    assert "\n" not in str(refused.value)
    assert (found.status, found.reason, found.attempt) == ("finished", "", 1)
    assert marks(bench) == {job.id: ["1 begins", "1 ends"]}
    assert [each.id for each in bench.testbed.jobs()] == [job.id]
    check_goes_on(bench, worker)


def test_the_disk_is_full_while_a_lost_job_is_taken_back(bench: Workbench, herd: Herd) -> None:
    job = submit(bench, seconds=60)
    victim = herd.start(bench, "ada")
    until(lambda: marks(bench)[job.id])
    worker = herd.start(bench, "bob")
    until(lambda: len(bench.testbed.database.workers.list()) == 2)
    herd.kill(victim)
    fill(bench.home)
    until(lambda: not marked(job))
    until(lambda: "nothing is taken back" in said(bench, "bob"))
    make_room(bench.home)

    assert ended(bench, job).reason == "worker 'ada' was lost in attempt 1"
    check_goes_on(bench, worker)


def test_a_record_that_cannot_be_kept_harms_no_other_job(tmp_path: Path, made_store: Path, herd: Herd) -> None:
    bench = bench_of(tmp_path / "home", tmp_path, made_store)
    lost = submit(bench, seconds=60)
    victim = herd.start(bench, "ada")
    until(lambda: marks(bench)[lost.id])
    herd.kill(victim)
    until(lambda: not marked(lost))
    shutil.rmtree(bench.home / "jobs" / lost.id)
    (bench.home / "jobs" / lost.id).touch()  # in the place of its folder
    job = submit(bench, seconds=2 * LEASE)
    herd.start(bench, "bob")

    assert ended(bench, lost).status is JobStatus.LOST
    assert ended(bench, job).status is JobStatus.FINISHED, ended(bench, job).reason
    assert marks(bench)[job.id] == ["1 begins", "1 ends"]


def test_a_record_that_cannot_be_kept_harms_not_its_job(tmp_path: Path, made_store: Path, herd: Herd) -> None:
    bench = bench_of(tmp_path / "home", tmp_path, made_store)
    job = submit(bench, seconds=0.5)
    worker = herd.start(bench, "ada")
    until(lambda: marks(bench)[job.id])
    (bench.home / "jobs" / job.id / "job.json").unlink()
    (bench.home / "jobs" / job.id / "job.json" / "in its place").mkdir(parents=True)

    assert ended(bench, job).status is JobStatus.FINISHED
    check_goes_on(bench, worker)
    assert f"job {job.id[:8]} finished\n" in said(bench, "ada")
    assert f"the record of job {job.id[:8]} could not be kept" in said(bench, "ada")
    assert "Traceback" not in said(bench, "ada")


def test_the_database_is_away_for_a_while(tmp_path: Path, made_store: Path, herd: Herd) -> None:
    bench = bench_of(tmp_path / "home", tmp_path, made_store)
    job, file = submit(bench, seconds=0.5), tmp_path / "home" / "testbed.db"
    worker = herd.start(bench, "ada")
    until(lambda: marks(bench)[job.id])
    file.rename(tmp_path / "away")
    until(lambda: "removed or replaced" in said(bench, "ada"))
    wait_for_its_end(bench, job)
    assert not file.exists()
    (tmp_path / "away").rename(file)

    assert (ended(bench, job).status, marks(bench)[job.id]) == ("finished", ["1 begins", "1 ends"])
    check_goes_on(bench, worker)
    assert "Traceback" not in said(bench, "ada")


@pytest.fixture
def server() -> Iterator[Any]:
    """A real PostgreSQL that can be stopped."""
    with postgres() as made:
        yield made


def test_postgresql_is_away_for_a_while(
    tmp_path: Path, made_store: Path, herd: Herd, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIOPTRA_DATABASE_URL", server.get_uri())
    bench = bench_of(tmp_path / "home", tmp_path, made_store)
    job, waits = submit(bench, seconds=1.0), submit(bench)
    worker = herd.start(bench, "ada")
    until(lambda: marks(bench)[job.id])
    server.stop()
    wait_for_its_end(bench, job)
    assert is_alive(worker)
    server.ensure_postgres_running()

    for each in (job, waits):
        assert (ended(bench, each).status, marks(bench)[each.id]) == ("finished", ["1 begins", "1 ends"])
    assert ended(bench, submit(bench)).status is JobStatus.FINISHED
    assert is_alive(worker)
    assert "Traceback" not in said(bench, "ada")
    assert marked(job) == []
