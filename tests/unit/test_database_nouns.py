"""Jobs, queues and workers as one looks at them, on SQLite."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dioptra.database import Database
from dioptra.errors import JobNotFoundError, NotFoundError, RefusedError, UsageError
from dioptra.records import Dependency, Job, JobStatus, Queue


class Clock:
    """The time that the database is told."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'testbed.db'}", clock=clock)
    yield database
    database.close()


def new(**fields: Any) -> Job:
    plain: dict[str, Any] = {
        "experiment": "e",
        "project_dir": "/p",
        "entry_point": "main",
        "parameters": {},
        "argv": ("x",),
    }
    return Job(**{"id": str(uuid.uuid4()), "status": JobStatus.QUEUED, **plain, **fields})


def end(database: Database, status: JobStatus = JobStatus.FINISHED) -> Job:
    job = database.queue.claim(["default"], "w", 30)
    assert job is not None
    assert database.queue.finish(job.id, job.attempt, status)
    return database.jobs.find(job.id)


def register(database: Database, name: str = "w", **fields: Any) -> str:
    return database.workers.register(**{"name": name, "host": "h", "pid": 7, "queues": ["default"], **fields})


def test_a_job_is_found_by_a_prefix(database: Database) -> None:
    ids = ["aa11", "aa22", "b", "bb"]
    for each in ids:
        database.queue.submit(new(id=each))

    assert [database.jobs.find(prefix).id for prefix in ("aa1", "AA2", "b", "bb")] == ["aa11", "aa22", "b", "bb"]
    with pytest.raises(UsageError, match="job 'aa' is ambiguous; write more of it: aa11, aa22"):
        database.jobs.find("aa")


@pytest.mark.parametrize("prefix", ["", "zz", "%", "a%", "_", "a\0", "\ud800", "1 OR 1=1", "é"])
def test_a_job_that_is_not_there(database: Database, prefix: str) -> None:
    database.queue.submit(new(id="aa11"))

    with pytest.raises(JobNotFoundError, match="see `dioptra job list`"):
        database.jobs.find(prefix)


def test_jobs_are_listed_by_what_they_have(database: Database) -> None:
    database.queues.add("gpu")
    long = "x" * 5000
    a = database.queue.submit(new(tags=("t", "u"), parameters={"eps": "0.1", "long": long}, experiment="one"))
    b = database.queue.submit(new(tags=("t",), parameters={"eps": "0.10"}, snapshot="s-1", queue="gpu"))
    c = database.queue.submit(new(parameters={"eps": "0.1", "long": long + "y"}))
    done = end(database)

    def listed(**filters: Any) -> list[str]:
        return [job.id for job in database.jobs.list(**filters)]

    assert listed() == [c.id, b.id, a.id]
    assert listed(status=[JobStatus.FINISHED]) == [done.id] == [a.id]
    assert listed(status=[JobStatus.FINISHED, JobStatus.QUEUED], limit=2) == [c.id, b.id]
    assert listed(queue="gpu") == listed(snapshot="s-1") == [b.id]
    assert listed(experiment="one") == listed(tags=["t", "u"]) == [a.id]
    assert listed(parameters={"eps": "0.1"}) == [c.id, a.id]
    assert listed(parameters={"long": long}) == [a.id]
    assert listed(tags=["nope"]) == listed(status=[JobStatus.LOST]) == []
    assert database.jobs.tally("status") == {JobStatus.FINISHED: 1, JobStatus.QUEUED: 2}


def test_pages_follow_one_another(database: Database) -> None:
    ids = [database.queue.submit(new()).id for _ in range(7)]
    found: list[str] = []
    while page := database.jobs.list(limit=3, before=found[-1] if found else ""):
        found += [job.id for job in page]

    assert found == ids[::-1]
    with pytest.raises(JobNotFoundError):
        database.jobs.list(before="gone")
    with pytest.raises(UsageError, match="0 jobs cannot be listed"):
        database.jobs.list(limit=0)


def test_a_record_is_kept_as_it_is(database: Database) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    job = new(created_at=at, started_at=at, status=JobStatus.STARTED, run_id="r", parameters={"a": "1"}, tags=("t",))
    database.jobs.put(job, "/out")
    assert database.jobs.find(job.id) == job

    done = job.changed(status=JobStatus.FINISHED, ended_at=at, exit_code=0, parameters={"b": "2"}, tags=())
    database.jobs.put(done, "/out")
    database.jobs.put(done, "/out")

    assert database.jobs.find(job.id) == done
    (attempt,) = database.jobs.attempts(job.id)
    assert (attempt.number, attempt.status, attempt.output_dir) == (1, "finished", "/out")
    after = database.queue.submit(new(waits_for=(Dependency(job=job.id, parameter="o", outcome="output_dir"),)))
    assert after.parameters == {"o": "/out"}
    assert database.queue.reap() == []
    with pytest.raises(RefusedError, match="has already ended: finished"):
        database.jobs.put(job)


def test_a_record_of_a_worker_s_job_is_not_overwritten(database: Database) -> None:
    job = database.queue.submit(new())

    with pytest.raises(RefusedError, match="belongs to queue 'default'"):
        database.jobs.put(job.changed(status=JobStatus.FINISHED))


def test_a_job_that_has_ended_can_be_removed(database: Database) -> None:
    first, other = database.queue.submit(new(tags=("t",), parameters={"a": "1"})), database.queue.submit(new())
    then = database.queue.submit(new(waits_for=tuple(Dependency(job=each.id) for each in (first, other))))
    with pytest.raises(RefusedError, match="has not ended: queued; cancel it first"):
        database.jobs.remove(first.id)
    end(database)
    with pytest.raises(RefusedError, match=f"job {then.id} waits for job {first.id}"):
        database.jobs.remove(first.id)
    database.queue.cancel(then.id)

    database.jobs.remove(first.id)

    assert database.jobs.attempts(first.id) == []
    assert database.jobs.list(tags=["t"]) == []
    with pytest.raises(JobNotFoundError):
        database.jobs.remove(first.id)


def test_queues_say_what_waits_and_who_listens(database: Database, clock: Clock) -> None:
    database.queues.add("gpu")
    database.queues.lock("gpu")
    register(database, queues=["default", "gpu"])
    register(database)
    for _ in range(3):
        database.queue.submit(new())
    database.queue.claim(["default"], "w", 30)

    expected = [
        Queue(name="default", workers=2, queued=2, started=1),
        Queue(name="gpu", locked=True, workers=1),
    ]
    assert database.queues.list() == expected
    clock.now += 61
    assert [queue.workers for queue in database.queues.list()] == [0, 0]


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a/b", "../x", "ü", "a\n", "x" * 64, "a\0", "<b>"])
def test_names_that_no_queue_can_have(database: Database, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a queue's name; use 1 to 63 letters"):
        database.queues.add(name)


def test_queues_come_and_go(database: Database) -> None:
    database.queues.add("a" * 63)
    database.queues.add("gpu")
    with pytest.raises(RefusedError, match="there is a queue 'gpu' already"):
        database.queues.add("gpu")
    job = database.queue.submit(new(queue="gpu"))
    with pytest.raises(RefusedError, match="1 job waits or runs in it"):
        database.queues.remove("gpu")
    database.queues.lock("gpu")
    database.queues.unlock("gpu")
    assert database.queue.submit(new(queue="gpu")).queue == "gpu"
    for each in database.jobs.list():
        database.queue.cancel(each.id)

    database.queues.remove("gpu")

    assert database.jobs.find(job.id).queue == "gpu"
    for change in (database.queues.lock, database.queues.unlock, database.queues.remove):
        with pytest.raises(NotFoundError, match="no queue 'gpu'"):
            change("gpu")
    with pytest.raises(RefusedError, match="queue 'default' cannot be removed"):
        database.queues.remove("default")


def test_workers_have_names_of_their_own_while_they_live(database: Database, clock: Clock) -> None:
    first = register(database)
    register(database)
    assert [worker.name for worker in database.workers.list()] == ["w", "w-2"]
    clock.now += 61
    assert not database.workers.list()[0].is_alive
    register(database)
    assert [worker.name for worker in database.workers.list() if worker.is_alive] == ["w"]

    clock.now += 100_000
    register(database, name="late", slots=3, version="9")
    (late,) = database.workers.list()
    assert (late.name, late.host, late.pid, late.queues, late.slots, late.version) == (
        "late",
        "h",
        7,
        ("default",),
        3,
        "9",
    )
    assert not database.workers.beat(first)


def test_a_beat_keeps_a_worker_alive(database: Database, clock: Clock) -> None:
    worker = register(database, lease=10.0)
    clock.now += 9
    assert database.workers.beat(worker)
    clock.now += 9
    (found,) = database.workers.list()
    assert found.is_alive
    assert found.beat_at.timestamp() == clock.now - 9
    database.workers.unregister(worker)
    assert database.workers.list() == []
    assert not database.workers.beat(worker)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " "}, "' ' cannot be a worker's name"),
        ({"name": "a\nb"}, "cannot be a worker's name"),
        ({"queues": []}, "must listen to a queue"),
        ({"queues": ["gpu"]}, "no queue 'gpu'"),
        ({"host": "\0"}, "the host holds a zero byte"),
    ],
)
def test_workers_that_are_not_taken(database: Database, fields: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, NotFoundError), match=words):
        register(database, **fields)
    assert database.workers.list() == []
