"""Whatever fails in the middle of a change: it is done or not done, never half, and can be done again."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dioptra.database import Database
from dioptra.errors import DioptraError, StoreUnreachableError
from dioptra.records import Dependency, Job, JobStatus
from dioptra.testbed import Submission, Testbed
from tests.integration.faults import Faults

MLPROJECT = "name: toys\nentry_points:\n  main: {command: 'true'}\n"
MOST = 300  # calls of one change


def new(**fields: Any) -> Job:
    plain: dict[str, Any] = {"experiment": "e", "project_dir": "/p", "entry_point": "main", "parameters": {"a": "1"}}
    return Job(**{"id": str(uuid.uuid4()), "status": JobStatus.QUEUED, "argv": (), "tags": ("t",), **plain, **fields})


def queued(database: Database) -> Job:
    """Return a job that waits, and that another one waits for."""
    job = database.queue.submit(new())
    database.queue.submit(new(waits_for=(Dependency(job=job.id),)))
    return job


def claimed(database: Database, lease: float = 60) -> Job:
    """Return such a job that has been claimed."""
    queued(database)
    job = database.queue.claim(["default"], "w", lease)
    assert job is not None
    return job


def started(database: Database, job: Job) -> object:
    return database.queue.started(job.id, 1, parameters={"b": "2"}, argv=["x"], run_id="r")


Begin = Callable[[Database], Job]
Act = Callable[[Database, Job], object]

# what is there before, and the change
CHANGES: dict[str, tuple[Begin, Act]] = {
    "submit": (lambda database: new(), lambda database, job: database.queue.submit(job, key=job.id)),
    "claim": (queued, lambda database, job: database.queue.claim(["default"], "w", 60)),
    "started": (claimed, started),
    "beat": (claimed, lambda database, job: database.queue.beat([(job.id, 1)], 60)),
    "finish": (claimed, lambda database, job: database.queue.finish(job.id, 1, JobStatus.FINISHED, reason="so")),
    "fail": (claimed, lambda database, job: database.queue.finish(job.id, 1, JobStatus.FAILED, exit_code=3)),
    "reap": (lambda database: claimed(database, lease=1e-6), lambda database, job: database.queue.reap()),
    "cancel": (queued, lambda database, job: database.queue.cancel(job.id)),
    "put": (lambda database: new(queue=""), lambda database, job: database.jobs.put(job)),
}


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home in memory, where there is some: what is put on disk a thousand times takes long."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        (Path(folder) / "home").mkdir()
        yield Path(folder) / "home"


def state(database: Database) -> list[tuple[object, ...]]:
    """Return all that can be seen of the newest jobs, but for times."""
    seen = [job.changed(started_at=None, ended_at=None) for job in database.jobs.list(limit=3)]
    return [(job, [each.status for each in database.jobs.attempts(job.id)]) for job in seen]


def check_whole(home: Path) -> None:
    with closing(sqlite3.connect(home / "testbed.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def check_words(error: Exception, kind: type[Exception] | tuple[type[Exception], ...]) -> None:
    assert isinstance(error, kind), repr(error)
    assert "\n" not in str(error)
    assert str(error)
    assert "sqlalche.me" not in str(error)


def drain(database: Database) -> None:
    """End what is there, so that the next try finds an empty queue."""
    for job in database.jobs.list(status=[JobStatus.QUEUED, JobStatus.DEFERRED, JobStatus.STARTED]):
        if job.queue and job.status is JobStatus.STARTED:
            database.queue.finish(job.id, job.attempt, JobStatus.CANCELLED)
        elif not job.status.is_final and job.queue:
            database.queue.cancel(job.id)


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_statement_of_a_change_fails(
    home: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch, change: str, for_good: bool
) -> None:
    faults.of_sqlite(monkeypatch)
    database = Database.of_home(home)
    begin, act = CHANGES[change]
    for number in range(1, MOST):
        drain(database)
        job = begin(database)
        before = state(database)
        database._opened.store.dispose()  # so that connecting can fail, too
        with faults.at(number, for_good=for_good):
            try:
                result = act(database, job)
            except DioptraError as error:
                check_words(error, StoreUnreachableError)
                result = None
        if not faults.happened:
            break
        check_whole(home)
        if result is None:
            assert state(database) == before, f"half done when {faults.happened!r} failed"
            assert act(database, job) is not False
            assert change == "beat" or state(database) != before
    assert 6 < number < MOST


@pytest.mark.parametrize("change", ["submit", "claim", "finish", "fail", "reap"])
def test_a_process_is_killed_in_a_change(
    home: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    faults.of_sqlite(monkeypatch)
    database = Database.of_home(home)
    begin, act = CHANGES[change]
    for number in range(1, MOST):
        drain(database)
        job = begin(database)
        before = state(database)
        if not faults.kill_at(number, partial(act, database, job)):
            break
        check_whole(home)
        assert state(database) == before
        assert act(database, job)
        assert state(database) != before
    assert state(database) != before
    assert 6 < number < MOST


def test_a_statement_of_the_making_of_a_database_fails(
    home: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.of_sqlite(monkeypatch)
    for number in range(1, MOST):
        place = home / str(number)
        place.mkdir()
        with faults.at(number):
            try:
                Database.of_home(place).open()
            except DioptraError as error:
                check_words(error, StoreUnreachableError)
        if not faults.happened:
            break
        database = Database.of_home(place)
        assert database.queue.submit(new()).status is JobStatus.QUEUED
        check_whole(place)
        database.close()
    assert 6 < number < MOST


@pytest.fixture
def project(home: Path) -> Path:
    """A project that was submitted to the home before it was changed."""
    (home.parent / "toys").mkdir()
    (home.parent / "toys" / "MLproject").write_text(MLPROJECT)
    testbed = Testbed(home)
    testbed.submit(home.parent / "toys")
    testbed.database.close()
    (home.parent / "toys" / "more").write_text("a file")
    return home.parent / "toys"


def submit(testbed: Testbed, project: Path) -> Job | None:
    """Submit a project; None when that is refused."""
    try:
        return testbed.submit(project)
    except (DioptraError, OSError) as error:
        check_words(error, (DioptraError, OSError))
        return None


@pytest.mark.parametrize("part", ["database", "experiments", "jobs", "wake"])
def test_a_call_of_a_submit_fails(
    home: Path, project: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    for number in range(1, MOST):
        testbed = Testbed(shutil.copytree(home, home.with_name(f"home-{number}")))
        before = {job.id for job in testbed.jobs()}
        with monkeypatch.context() as patch, testbed.database.wakes("w"):
            testbed.database.close()
            if part == "database":
                faults.of_sqlite(patch)
            else:
                faults.of_files(patch, testbed.home.path / part)
            with faults.at(number):
                job = submit(testbed, project)
        check_submitted(testbed, before, job, faults.happened)
        testbed.database.close()
        if not faults.happened:
            break
        assert submit(testbed, project)
    assert job
    assert {"database": 6, "experiments": 20, "jobs": 3, "wake": 2}[part] < number < MOST


def check_submitted(testbed: Testbed, before: set[str], job: Job | None, happened: str) -> None:
    """Check that a job is there, in all places, if it was promised, and else nowhere."""
    after = {each.id for each in testbed.jobs()}
    assert after - before == ({job.id} if job else set()), happened
    assert {place.name for place in testbed.home.jobs_dir.iterdir()} == after, f"left when {happened!r} failed"
    assert [testbed.home.job(each).status for each in after] == ["queued"] * len(after)
    check_whole(testbed.home.path)


@pytest.mark.parametrize("part", ["database", "experiments", "jobs"])
def test_a_submit_is_killed(
    home: Path, project: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    key = Submission(key="once")
    for number in range(1, MOST):
        testbed = Testbed(shutil.copytree(home, home.with_name(f"home-{number}")))
        (before,) = testbed.jobs()
        testbed.database.close()
        with monkeypatch.context() as patch:
            if part == "database":
                faults.of_sqlite(patch)
            else:
                faults.of_files(patch, testbed.home.path / part)
            was_killed = faults.kill_at(number, partial(testbed.submit, project, submission=key))
        found = testbed.jobs()[1:]
        job = testbed.submit(project, submission=key)
        check_whole(testbed.home.path)
        assert [each.id for each in testbed.jobs()] == [before.id, job.id]
        assert [each.id for each in found] in ([[], [job.id]] if was_killed else [[job.id]])
        assert testbed.home.job(job.id).status is JobStatus.QUEUED
        assert testbed.library.get_snapshot(job.snapshot, job.experiment).name == job.snapshot
        testbed.database.close()
        if not was_killed:
            break
    assert {"database": 6, "experiments": 20, "jobs": 3}[part] < number < MOST
