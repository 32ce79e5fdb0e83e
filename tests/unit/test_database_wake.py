"""Waking workers beside an SQLite database."""

from __future__ import annotations

import os
import select
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dioptra.database import Database
from dioptra.errors import UsageError
from dioptra.records import Dependency, Job, JobStatus


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.of_home(tmp_path)
    yield database
    database.close()


def submit(database: Database, *waits_for: str) -> Job:
    job = Job(
        id=str(uuid.uuid4()), experiment="e", project_dir="/p", entry_point="main", parameters={}, argv=("x",),
        status=JobStatus.QUEUED, waits_for=tuple(Dependency(job=each) for each in waits_for),
    )  # fmt: skip
    return database.queue.submit(job)


def test_a_submit_wakes(database: Database, tmp_path: Path) -> None:
    with database.wakes("w-1") as wake, database.wakes("w-2") as other:
        assert not wake.wait(0)
        submit(database)
        assert select.select([wake, other], [], [], 1)[0] == [wake, other]
        assert wake.wait(0)
        assert not wake.wait(0)
        other.clear()
        assert not other.wait(0)
    assert list((tmp_path / "wake").iterdir()) == []


def test_what_can_be_claimed_after_an_end_wakes_and_nothing_else_does(database: Database) -> None:
    first = submit(database)
    with database.wakes("w") as wake:
        submit(database, first.id)
        job = database.queue.claim(["default"], "w", 30)
        assert job is not None
        database.queue.beat([(job.id, 1)], 30)
        assert not wake.wait(0.01)
        database.queue.finish(job.id, 1, JobStatus.FINISHED)
        assert wake.wait(1)


def test_it_wakes_at_once(database: Database) -> None:
    database.open()
    with database.wakes("w") as wake:
        timer = threading.Timer(0.1, submit, [database])
        timer.start()
        start = time.monotonic()
        assert wake.wait(30)
        assert time.monotonic() - start < 5
        timer.join()


def test_what_a_dead_worker_left_is_removed(database: Database, tmp_path: Path) -> None:
    (tmp_path / "wake").mkdir()
    os.mkfifo(tmp_path / "wake" / "dead")
    with database.wakes("alive") as wake:
        submit(database)
        assert wake.wait(1)
        assert [each.name for each in (tmp_path / "wake").iterdir()] == ["alive"]


def test_a_worker_that_never_reads_holds_nobody_up(database: Database) -> None:
    from dioptra.database._wake import ring

    with database.wakes("w") as wake:
        folder = Path(database.name).parent
        for _ in range(70_000):
            ring(folder)
        assert wake.wait(0)
        assert not wake.wait(0)


@pytest.mark.parametrize("worker", ["", "../x", ".x", "a/b", "a\0", "-x"])
def test_what_is_no_id_of_a_worker(database: Database, worker: str) -> None:
    with pytest.raises(UsageError, match="is no worker's id"):
        database.wakes(worker)
