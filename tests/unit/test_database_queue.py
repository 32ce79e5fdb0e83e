"""The life of a job in a queue, on SQLite: each rule, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dioptra.database import Database, Standing
from dioptra.errors import DioptraError, JobNotFoundError, NotFoundError, RefusedError, UsageError
from dioptra.records import Dependency, Job, JobStatus

FINISHED, FAILED, QUEUED, DEFERRED = JobStatus.FINISHED, JobStatus.FAILED, JobStatus.QUEUED, JobStatus.DEFERRED


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
    database = Database.of_home(tmp_path)
    database._clock = clock
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
    return Job(**{"id": str(uuid.uuid4()), "status": QUEUED, **plain, **fields})


def submit(database: Database, *waits_for: Dependency | Job, key: str = "", **fields: Any) -> Job:
    waits = tuple(each if isinstance(each, Dependency) else Dependency(job=each.id) for each in waits_for)
    return database.queue.submit(new(waits_for=waits, **fields), key)


def claim(database: Database, *queues: str) -> Job:
    job = database.queue.claim(queues or ["default"], "w", 30)
    assert job is not None
    return job


def end(database: Database, status: JobStatus = FINISHED, **details: Any) -> Job:
    """Claim the next job and end it."""
    job = claim(database)
    assert database.queue.finish(job.id, job.attempt, status, **details)
    return database.jobs.find(job.id)


def status(database: Database, job: Job) -> JobStatus:
    return database.jobs.find(job.id).status


def test_a_submitted_job_comes_back_as_it_was_given(database: Database) -> None:
    given = new(
        parameters={"eps": "0.3", "a": "ü\n'\""},
        argv=("python", "x.py", "--eps", "0.3"),
        name="n",
        tags=("b", "a", "b"),
        priority=-3,
        timeout=7200.5,
        retries=2,
        retry_of="other",
        verifies="v",
        snapshot="s-1",
        request={"x": [1, {"y": None}]},
    )

    found = database.queue.submit(given)

    assert found == given.changed(queue="default", attempt=0, created_at=found.created_at)
    assert found.created_at.timestamp() == 1_000_000.0
    assert database.jobs.find(given.id) == found
    assert list(found.parameters) == ["eps", "a"]


def test_a_claim_follows_queues_then_priority_then_age(database: Database) -> None:
    database.queues.add("fast")
    old, new_, urgent = submit(database), submit(database), submit(database, priority=5)
    fast = submit(database, queue="fast")

    order = [claim(database, "fast", "default").id for _ in range(4)]

    assert order == [fast.id, urgent.id, old.id, new_.id]
    assert database.queue.claim(["fast", "default"], "w", 30) is None


def test_a_claim_starts_an_attempt(database: Database) -> None:
    submit(database, tags=("t",), parameters={"a": "1"})

    job = claim(database)

    assert (job.status, job.attempt, job.worker) == (JobStatus.STARTED, 1, "w")
    assert job.started_at is not None
    assert (job.tags, job.parameters) == (("t",), {"a": "1"})
    (attempt,) = database.jobs.attempts(job.id)
    assert (attempt.number, attempt.status, attempt.worker, attempt.started_at) == (1, "started", "w", job.started_at)


def test_an_end_is_recorded_with_its_attempt(database: Database) -> None:
    submit(database)
    job = claim(database)
    assert database.queue.started(job.id, 1, parameters={"a": "2"}, argv=["y"], run_id="r")
    assert database.queue.finish(job.id, 1, FAILED, reason="exit code 3\0\udcff", exit_code=3, output_dir="/o")

    found = database.jobs.find(job.id)

    assert (found.status, found.reason, found.exit_code, found.run_id) == (FAILED, "exit code 3?", 3, "r")
    assert (found.argv, found.parameters) == (("y",), {"a": "2"})
    assert found.ended_at is not None
    (attempt,) = database.jobs.attempts(job.id)
    assert (attempt.status, attempt.exit_code, attempt.run_id, attempt.output_dir) == (FAILED, 3, "r", "/o")


def test_a_beat_keeps_a_lease(database: Database, clock: Clock) -> None:
    submit(database)
    job = claim(database)
    clock.now += 29
    assert database.queue.beat([(job.id, 1)], 30) == {(job.id, 1): Standing.ALIVE}
    clock.now += 29
    assert database.queue.reap() == []
    clock.now += 1
    assert [each.status for each in database.queue.reap()] == [JobStatus.LOST]


def test_a_lost_job_says_by_whom(database: Database, clock: Clock) -> None:
    submit(database)
    job = claim(database)
    clock.now += 31

    (lost,) = database.queue.reap()

    assert lost.reason == "worker 'w' was lost in attempt 1"
    assert lost.ended_at is not None
    assert database.jobs.attempts(job.id)[0].status is JobStatus.LOST
    assert database.queue.reap() == []


def test_retries_are_used_up(database: Database, clock: Clock) -> None:
    submit(database, retries=1)
    for number, expected in ((1, QUEUED), (2, JobStatus.LOST)):
        job = claim(database)
        assert job.attempt == number
        clock.now += 31
        assert [each.status for each in database.queue.reap()] == [expected]

    assert [each.status for each in database.jobs.attempts(job.id)] == ["lost", "lost"]


def test_a_dead_attempt_changes_nothing(database: Database, clock: Clock) -> None:
    submit(database, retries=1)
    old = claim(database)
    clock.now += 31
    database.queue.reap()
    present = claim(database)
    before = database.jobs.find(old.id)

    assert not database.queue.finish(old.id, 1, FINISHED)
    assert not database.queue.started(old.id, 1, argv=["z"], parameters={"z": "1"}, run_id="z")
    assert database.queue.beat([(old.id, 1)], 1000) == {(old.id, 1): Standing.STALE}
    assert database.jobs.find(old.id) == before
    assert database.queue.finish(present.id, 2, FINISHED)


def test_endings_are_final(database: Database) -> None:
    submit(database)
    job = end(database, FAILED)

    assert not database.queue.finish(job.id, 1, FINISHED)
    with pytest.raises(RefusedError, match="has already ended: failed"):
        database.queue.cancel(job.id)
    assert status(database, job) is FAILED


def test_a_job_that_waits_is_cancelled_at_once(database: Database) -> None:
    first = submit(database)
    then = submit(database, first)

    assert database.queue.cancel(first.id).status is JobStatus.CANCELLED

    assert database.queue.claim(["default"], "w", 30) is None
    assert status(database, then) is JobStatus.CANCELLED
    assert database.queue.cancel(first.id).status is JobStatus.CANCELLED  # twice is fine


def test_a_running_job_hears_of_its_cancellation(database: Database) -> None:
    submit(database)
    job = claim(database)

    assert database.queue.cancel(job.id).status is JobStatus.STARTED

    assert database.queue.beat([(job.id, 1)], 30) == {(job.id, 1): Standing.CANCEL}
    assert database.queue.finish(job.id, 1, JobStatus.CANCELLED, reason="asked")


def test_a_job_to_be_cancelled_is_not_started_again(database: Database, clock: Clock) -> None:
    submit(database, retries=2)
    job = claim(database)
    database.queue.cancel(job.id)
    clock.now += 31

    assert [each.status for each in database.queue.reap()] == [JobStatus.CANCELLED]


def test_a_dependent_job_starts_when_all_have_finished(database: Database) -> None:
    first, second = submit(database), submit(database)
    then = submit(database, first, second)
    assert then.status is DEFERRED

    end(database)
    assert status(database, then) is DEFERRED
    end(database)
    assert status(database, then) is QUEUED


def test_a_dependent_job_takes_outcomes(database: Database) -> None:
    first = submit(database, snapshot="s-1")
    wanted = {"job": "id", "run": "run_id", "code": "snapshot", "folder": "output_dir"}
    takes = [Dependency(job=first.id, parameter=name, outcome=outcome) for name, outcome in wanted.items()]
    before = submit(database, *takes, parameters={"run": "later", "other": "1"})
    database.queue.started(claim(database).id, 1, run_id="r-1")
    database.queue.finish(first.id, 1, FINISHED, output_dir="/out")
    after = submit(database, *takes)

    outcomes = {"job": first.id, "run": "r-1", "code": "s-1", "folder": "/out"}
    assert database.jobs.find(before.id).parameters == {"run": "r-1", "other": "1"} | outcomes
    assert after.parameters == outcomes
    assert after.status is QUEUED


def test_an_outcome_that_is_not_there_cancels(database: Database) -> None:
    first = submit(database)
    then = submit(database, Dependency(job=first.id, parameter="run", outcome="run_id"))
    end(database)

    assert database.jobs.find(then.id).reason == f"job {first.id}, which it waited for, left no run_id"


def test_a_failure_cancels_all_that_follows(database: Database) -> None:
    first = submit(database)
    second = submit(database, first)
    third = submit(database, second, first)
    end(database, FAILED)
    late = submit(database, first)

    found = database.jobs.find(second.id)
    assert (found.status, found.reason) == (JobStatus.CANCELLED, f"job {first.id}, which it waited for, failed")
    assert found.ended_at is not None
    assert status(database, third) is JobStatus.CANCELLED
    assert (late.status, late.reason) == (JobStatus.CANCELLED, found.reason)
    assert late == database.jobs.find(late.id)


def test_a_lost_job_cancels_what_follows_but_a_retry_does_not(database: Database, clock: Clock) -> None:
    then = submit(database, submit(database, retries=1))
    for expected in (DEFERRED, JobStatus.CANCELLED):
        claim(database)
        clock.now += 31
        database.queue.reap()
        assert status(database, then) is expected


def test_a_key_names_one_submit(database: Database) -> None:
    first = submit(database, key="k")
    database.queues.lock("default")

    assert submit(database, key="k") == first
    assert database.jobs.tally("status") == {QUEUED: 1}


def test_jobs_of_one_upstream_are_found_without_a_walk(database: Database) -> None:
    store = database._opened.store
    queue = database.queue
    from dioptra.database._dependents import Dependents

    def plan(sql: str) -> list[str]:
        with store.read() as connection:
            driver: Any = connection.connection.driver_connection
            return [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", ["x"] * sql.count("?"))]

    for sql in (queue._claim._sql, queue._finish._sql, Dependents(store)._waiting._sql):
        assert not [step for step in plan(sql) if step.startswith("SCAN") or "TEMP B-TREE" in step], plan(sql)
    assert "SEARCH waiting USING INDEX jobs_to_claim (queue=?)" in plan(queue._claim._sql)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"queue": "defualt"}, NotFoundError, "no queue 'defualt'; did you mean 'default'?"),
        ({"waits_for": (Dependency(job="nope"),)}, JobNotFoundError, "no job 'nope' to wait for"),
        ({"waits_for": (Dependency(job="x", parameter="p"),)}, UsageError, "is incomplete"),
        ({"waits_for": (Dependency(job="x", parameter="p", outcome="loss"),)}, UsageError, "'loss' is no outcome"),
        ({"retries": -1}, UsageError, "-1 retries are not possible"),
        ({"priority": 10**9}, UsageError, "priority 1000000000 is not possible"),
        ({"name": "a\0b"}, UsageError, "the job's name holds a zero byte"),
        ({"parameters": {"p": "\ud800"}}, UsageError, "parameter 'p' holds half of a character"),
        ({"tags": ("\0",)}, UsageError, "a tag holds a zero byte"),
    ],
)
def test_what_cannot_be_submitted_is_not_stored(
    database: Database, fields: dict[str, Any], kind: type[DioptraError], words: str
) -> None:
    with pytest.raises(kind, match="^[^\n]*$") as found:
        database.queue.submit(new(**fields))

    assert words in str(found.value)
    assert type(found.value) is kind
    assert database.jobs.list() == []


def test_an_id_is_given_once_and_a_locked_queue_takes_nothing(database: Database) -> None:
    job = submit(database)
    with pytest.raises(RefusedError, match=f"there is a job {job.id} already"):
        database.queue.submit(job)
    database.queues.lock("default")
    with pytest.raises(RefusedError, match="queue 'default' is locked"):
        submit(database)


@pytest.mark.parametrize("lease", [0, -1, float("inf"), float("nan")])
def test_a_lease_is_a_number_of_seconds(database: Database, lease: float) -> None:
    with pytest.raises(UsageError, match="cannot be kept"):
        database.queue.claim(["default"], "w", lease)
    with pytest.raises(UsageError, match="cannot be kept"):
        database.queue.beat([("x", 1)], lease)


def test_words_to_jobs_that_are_not_there(database: Database) -> None:
    with pytest.raises(JobNotFoundError, match="no job 'x'"):
        database.queue.cancel("x")
    with pytest.raises(UsageError, match="cannot end as queued"):
        database.queue.finish("x", 1, QUEUED)
    assert not database.queue.finish("x", 1, FINISHED)
    assert database.queue.beat([("x", 1)], 30) == {("x", 1): Standing.STALE}
    assert database.queue.beat([], 30) == {}
