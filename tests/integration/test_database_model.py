"""The queue beside a model of it in plain Python, step by step, on both kinds of database, and without its fence."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dioptra.database import Database, Standing
from dioptra.database._queue import Queue
from dioptra.database._schema import jobs
from dioptra.errors import RefusedError
from dioptra.records import Dependency, Job, JobStatus

LEASE = 30.0
FINAL = {"finished", "failed", "cancelled", "lost"}
Lease = tuple[str, int]


@dataclass
class Expected:
    """What the model knows of a job."""

    status: str
    priority: int
    retries: int
    waits_for: list[str]
    attempt: int = 0
    lease_until: float = 0.0
    cancelled: bool = False


class Clock:
    """The time that the database is told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Unfenced(Queue):
    """A queue that believes any worker: the fault that the model must find."""

    @staticmethod
    def _held() -> sa.ColumnElement[bool]:
        any_attempt = sa.bindparam("attempt_number", type_=sa.Integer()) == sa.bindparam("attempt_number")
        return (jobs.c.id == sa.bindparam("job_id")) & any_attempt & (jobs.c.status == "started")


def machine(database: Database, queue: Queue, clock: Clock, *, few: bool) -> type[RuleBasedStateMachine]:
    """Return a machine that does things to a queue and to a model of it; `few` of them, to find a fault sooner."""
    lapse = st.just(31.0) if few else st.sampled_from([1.0, 20.0, 31.0])
    of_job = st.just(2) if few else st.integers(0, 2)
    others = 0 if few else 2

    class Machine(RuleBasedStateMachine):
        submitted, leases = Bundle("submitted"), Bundle("leases")  # leases: also those of workers taken for dead

        def __init__(self) -> None:
            super().__init__()
            self.model: dict[str, Expected] = {}
            with database._opened.store.write() as connection:
                connection.execute(sa.delete(jobs))

        @precondition(lambda self: not few or not self.model)
        @rule(
            target=submitted,
            retries=of_job,
            priority=st.integers(0, 1),
            waits_for=st.lists(submitted, max_size=others, unique=True),
        )
        def submit(self, retries: int, priority: int, waits_for: list[str]) -> str:
            job = Job(
                id=str(uuid.uuid4()), experiment="e", project_dir="/p", entry_point="main", parameters={}, argv=(),
                status=JobStatus.QUEUED, retries=retries, priority=priority,
                waits_for=tuple(Dependency(job=each) for each in waits_for),
            )  # fmt: skip
            found = queue.submit(job)
            self.model[job.id] = Expected("deferred", priority, retries, waits_for)
            self.settle()
            assert found.status == self.model[job.id].status
            return job.id

        @rule(target=leases)
        def claim(self) -> Lease | MultipleResults[Lease]:
            got = queue.claim(["default"], "w", LEASE)
            waiting = [(-job.priority, n, id_) for n, (id_, job) in enumerate(self.model.items()) if is_queued(job)]
            if not waiting:
                assert got is None
                return multiple()
            id_ = min(waiting)[2]
            expected = self.model[id_]
            expected.status, expected.lease_until, expected.cancelled = "started", clock.now + LEASE, False
            expected.attempt += 1
            assert got is not None
            assert (got.id, got.attempt) == (id_, expected.attempt)
            return got.id, got.attempt

        @rule(lease=leases)
        def beat(self, lease: Lease) -> None:
            expected = self.model[lease[0]]
            standing = queue.beat([lease], LEASE)[lease]
            if not self.is_live(lease):
                assert standing is Standing.STALE
            else:
                assert standing is (Standing.CANCEL if expected.cancelled else Standing.ALIVE)
                expected.lease_until = clock.now + LEASE

        @rule(lease=leases, status=st.sampled_from([JobStatus.FINISHED, JobStatus.FINISHED, JobStatus.FAILED]))
        def finish(self, lease: Lease, status: JobStatus) -> None:
            live = self.is_live(lease)
            assert queue.finish(*lease, status) == live, f"attempt {lease[1]} ended a job that was not its own"
            if live:
                self.model[lease[0]].status = status
                self.settle()

        @precondition(lambda self: not few)
        @rule(lease=consumes(leases))
        def crash(self, lease: Lease) -> None:
            """The worker says nothing any more."""

        @precondition(lambda self: not few)
        @rule(job_id=submitted)
        def cancel(self, job_id: str) -> None:
            expected = self.model[job_id]
            if expected.status in FINAL - {"cancelled"}:
                with pytest.raises(RefusedError):
                    queue.cancel(job_id)
                return
            queue.cancel(job_id)
            if expected.status == "started":
                expected.cancelled = True
            else:
                expected.status = "cancelled"
                self.settle()

        @rule(seconds=lapse)
        def time_passes(self, seconds: float) -> None:
            clock.now += seconds
            reaped = {job.id for job in queue.reap()}
            lapsed = {i for i, e in self.model.items() if e.status == "started" and e.lease_until <= clock.now}
            assert reaped == lapsed
            for expected in map(self.model.__getitem__, lapsed):
                retry = "queued" if expected.attempt <= expected.retries else "lost"
                expected.status = "cancelled" if expected.cancelled else retry
            self.settle()

        @invariant()
        def all_is_as_expected(self) -> None:
            with database._opened.store.read() as connection:
                rows = connection.execute(sa.select(jobs.c.id, jobs.c.status, jobs.c.attempt)).all()
            found = {row.id: (row.status, row.attempt) for row in rows}
            assert found == {id_: (str(job.status), job.attempt) for id_, job in self.model.items()}

        def settle(self) -> None:
            for expected in self.model.values():  # what is waited for is older
                if expected.status == "deferred":
                    statuses = {str(self.model[each].status) for each in expected.waits_for}
                    if statuses & (FINAL - {"finished"}):
                        expected.status = "cancelled"
                    elif statuses <= {"finished"}:
                        expected.status = "queued"

        def is_live(self, lease: Lease) -> bool:
            expected = self.model[lease[0]]
            return expected.status == "started" and expected.attempt == lease[1]

    return Machine


def is_queued(job: Expected) -> bool:
    return job.status == "queued"


def run(database: Database, clock: Clock, examples: int, make: Callable[[Database], Queue], few: bool = False) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    tried = machine(database, make(database), clock, few=few)
    run_state_machine_as_test(tried, settings=chosen)


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, Clock]]:
    """A database whose clock the test sets."""
    clock, url = Clock(), f"sqlite:///{tmp_path / 'testbed.db'}"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        name = f"model_{uuid.uuid4().hex}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")  # it need not outlive the test
        url = server.replace("/postgres?", f"/{name}?")
    database = Database(url, clock=clock)
    yield database, clock
    database.close()


def test_the_queue_does_what_the_model_does(opened: tuple[Database, Clock]) -> None:
    run(*opened, examples=60, make=lambda database: database.queue)


def test_without_the_fence_the_model_finds_the_fault(opened: tuple[Database, Clock]) -> None:
    run(*opened, examples=20, make=lambda database: database.queue, few=True)
    with pytest.raises((AssertionError, ExceptionGroup)) as found:
        run(*opened, examples=500, make=lambda database: Unfenced(database._opened.store), few=True)
    assert "ended a job that was not its own" in str(found.value) or "STALE" in str(found.value)
