"""What holds on SQLite and on PostgreSQL alike: schema, many processes, races, waking, outages."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from dioptra.database import Database, _migrate
from dioptra.database._engine import make_engine
from dioptra.database._schema import VERSION, metadata
from dioptra.errors import RefusedError, StoreUnreachableError
from dioptra.records import Dependency, Job, JobStatus

Make = Callable[[], str]

OPEN = "import sys; from dioptra.database import Database; Database(sys.argv[1]).open()"
WORK = """
import sys
from dioptra.database import Database
from dioptra.records import JobStatus
database = Database(sys.argv[1])
while (job := database.queue.claim(["default"], sys.argv[2], 60)) is not None:
    assert database.queue.finish(job.id, job.attempt, JobStatus.FINISHED)
    print(job.id)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return the address of a database that is not there, or empty."""

    def fresh() -> str:
        name = f"testbed_{uuid.uuid4().hex}"
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path / name}.db"
        server: str = request.getfixturevalue("postgresql")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return server.replace("/postgres?", f"/{name}?")

    return fresh


@pytest.fixture
def url(make: Make) -> str:
    return make()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def new(*waits_for: str, **fields: Any) -> Job:
    plain: dict[str, Any] = {
        "experiment": "e",
        "project_dir": "/p",
        "entry_point": "main",
        "parameters": {},
        "argv": ("x",),
    }
    waits = tuple(Dependency(job=each) for each in waits_for)
    return Job(**{"id": str(uuid.uuid4()), "status": JobStatus.QUEUED, "waits_for": waits, **plain, **fields})


def at_once(*actions: Callable[[], object]) -> None:
    """Do things in threads that begin together, and raise what one of them raised."""
    barrier, errors = threading.Barrier(len(actions)), []

    def act(action: Callable[[], object]) -> None:
        barrier.wait()
        try:
            action()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=act, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def catalog(engine: sa.Engine) -> set[tuple[object, ...]]:
    """Return all that a database says of its tables, but for Alembic's own."""
    if engine.dialect.name == "sqlite":
        words = "SELECT type, name, tbl_name, replace(replace(sql, char(10), ' '), char(9), '') FROM sqlite_master"
        texts = [words]
    else:
        texts = [
            "SELECT indexname, tablename, indexdef, '' FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid), '' FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace",
            "SELECT column_name, table_name, concat_ws(' ', data_type, is_nullable, column_default, is_identity,"
            " collation_name), '' FROM information_schema.columns WHERE table_schema = 'public'",
        ]
    with engine.connect() as connection:
        rows = [tuple(row) for text in texts for row in connection.execute(sa.text(text))]
    return {row for row in rows if not any("alembic" in str(value) for value in row)}


def test_the_schema_is_the_sum_of_the_migrations(make: Make, database: Database) -> None:
    migrated = database._opened.store._engine
    other = Database(make())
    declared = make_engine(other._address)
    if file := other._address.file:
        file.touch()
    with declared.begin() as connection:
        metadata.create_all(connection)

    assert catalog(migrated) == catalog(declared)
    with migrated.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an index that it cannot compare; the catalog above has it
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    declared.dispose()


def test_the_version_is_that_of_the_newest_script() -> None:
    assert ScriptDirectory(str(_migrate._MIGRATIONS)).get_heads() == [VERSION]


def test_processes_that_start_together_make_one_database(url: str, database: Database) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, url], stderr=subprocess.PIPE) for _ in range(6)]
    said = [process.communicate(timeout=60)[1] for process in processes]

    assert said == [b""] * 6
    assert [queue.name for queue in database.queues.list()] == ["default"]


def test_each_job_is_claimed_once_by_many_processes(url: str, database: Database) -> None:
    ids = [database.queue.submit(new()).id for _ in range(500)]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORK, url, f"w{n}"], stdout=subprocess.PIPE, text=True)
        for n in range(8)
    ]
    done = [line for worker in workers for line in worker.communicate(timeout=60)[0].splitlines()]

    assert [worker.returncode for worker in workers] == [0] * 8
    assert Counter(done) == Counter(ids)
    assert database.jobs.tally("status") == {JobStatus.FINISHED: 500}


def test_a_newer_database_is_refused(url: str, database: Database) -> None:
    database.open()
    with database._opened.store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))

    with pytest.raises(RefusedError, match="was made by a newer Dioptra"):
        Database(url).open()


def test_one_key_makes_one_job_however_many_say_it(database: Database) -> None:
    database.open()
    found: list[str] = []
    at_once(*[lambda: found.append(database.queue.submit(new(), key="k").id)] * 8)

    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(database.jobs.list()) == 1


def test_a_job_after_two_that_end_together_is_queued(database: Database) -> None:
    def finish(job: Job) -> Callable[[], object]:
        return lambda: database.queue.finish(job.id, 1, JobStatus.FINISHED)

    for _ in range(10):
        ids = [database.queue.submit(new()).id for _ in range(4)]
        then = database.queue.submit(new(*ids))
        claimed = [database.queue.claim(["default"], "w", 60) for _ in ids]
        at_once(*(finish(job) for job in claimed if job))
        assert database.jobs.find(then.id).status is JobStatus.QUEUED
        database.queue.cancel(then.id)


def test_a_job_submitted_while_another_ends_does_not_wait_for_ever(database: Database) -> None:
    for _ in range(10):
        first = database.queue.submit(new())
        assert database.queue.claim(["default"], "w", 60)
        then = new(first.id)
        at_once(
            lambda first=first: database.queue.finish(first.id, 1, JobStatus.FINISHED),  # type: ignore[misc]
            lambda then=then: database.queue.submit(then),  # type: ignore[misc]
        )
        assert database.jobs.find(then.id).status is JobStatus.QUEUED
        database.queue.cancel(then.id)


def test_walks_over_shared_dependents_do_not_hold_each_other_up(database: Database) -> None:
    for _ in range(5):
        roots = [database.queue.submit(new()).id for _ in range(4)]
        layer = [database.queue.submit(new(*roots)).id for _ in range(4)]
        last = database.queue.submit(new(*layer, *roots))
        at_once(*(lambda root=root: database.queue.cancel(root) for root in roots))
        assert database.jobs.find(last.id).status is JobStatus.CANCELLED


def test_workers_with_one_name_that_start_together(database: Database) -> None:
    database.open()
    at_once(*[lambda: database.workers.register(name="w", host="h", pid=1, queues=["default"])] * 5)

    assert {worker.name for worker in database.workers.list()} == {"w", "w-2", "w-3", "w-4", "w-5"}


def test_long_values_and_odd_characters(database: Database) -> None:
    value = "ü'\"%;--\n" * 12_000
    job = database.queue.submit(new(parameters={"%(x)s": value}, tags=(value[:300],), request={"a": "\0\ud800"}))

    assert database.jobs.list(parameters={"%(x)s": value}, tags=[value[:300]]) == [job]
    assert database.queue.claim(["default"], "w", 60) is not None


def test_the_clock_is_the_database_s(database: Database) -> None:
    job = database.queue.submit(new())
    assert abs(job.created_at.timestamp() - time.time()) < 5
    claimed = database.queue.claim(["default"], "w", 0.05)
    assert claimed is not None
    time.sleep(0.1)
    assert [each.id for each in database.queue.reap()] == [job.id]


def test_a_submit_wakes_a_worker_at_once(url: str, database: Database) -> None:
    worker = database.workers.register(name="w", host="h", pid=1, queues=["default"])
    with database.wakes(worker) as wake:
        assert not wake.wait(0.05)
        timer = threading.Timer(0.1, lambda: Database(url).queue.submit(new()))
        timer.start()
        start = time.monotonic()
        assert wake.wait(30)
        assert time.monotonic() - start < 10
        timer.join()
        assert not wake.wait(0.05)


@pytest.fixture
def on_postgresql(postgresql: str) -> Iterator[Database]:
    name = f"testbed_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database = Database(postgresql.replace("/postgres?", f"/{name}?"))
    database.open()
    yield database
    database.close()


def end_connections(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid != pg_backend_pid() AND datname LIKE 'testbed%'"
        )


def test_cut_connections_are_made_again(on_postgresql: Database, postgresql: str) -> None:
    with on_postgresql.wakes("w") as wake:
        end_connections(postgresql)
        assert wake.wait(5)  # nobody knows what was missed
        job = on_postgresql.queue.submit(new())
        on_postgresql.jobs.find(job.id)
        wake.wait(0)
        on_postgresql.queue.submit(new())
        assert wake.wait(5)


def test_a_claim_steps_over_a_job_that_another_holds(on_postgresql: Database) -> None:
    held, free = on_postgresql.queue.submit(new()), on_postgresql.queue.submit(new())
    with on_postgresql._opened.store.write() as connection:
        connection.execute(sa.text("SELECT id FROM jobs WHERE id = :id FOR UPDATE"), {"id": held.id})
        claimed = on_postgresql.queue.claim(["default"], "w", 60)
    assert claimed is not None
    assert claimed.id == free.id


def test_a_claim_is_a_look_into_an_index(on_postgresql: Database) -> None:
    for _ in range(50):
        on_postgresql.queue.submit(new())
    claim = on_postgresql.queue._claim
    values = claim._complete({"wanted": "default", "claimer": "w", "lease": 60.0})
    with on_postgresql._opened.store.write() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in driver.execute(f"EXPLAIN {claim._sql}", values))
    assert "Index Scan using jobs_to_claim on jobs waiting" in plan
    assert "Sort" not in plan


def test_a_server_that_does_not_answer() -> None:
    database = Database("postgresql://me:tell-nobody@127.0.0.1:1/testbed")
    with pytest.raises(
        StoreUnreachableError, match=r"postgresql://127.0.0.1:1/testbed cannot be used \(.*refused"
    ) as found:
        database.open()
    assert "tell-nobody" not in str(found.value)
    assert "\n" not in str(found.value)
    assert "DIOPTRA_DATABASE_URL" in str(found.value)
