"""Opening a database: its address, its place, its version, and what happens when it is gone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dioptra.database import Database, _engine, _migrate
from dioptra.database._address import parse_address
from dioptra.database._mounts import network_file_system
from dioptra.errors import DioptraError, RefusedError, StoreUnreachableError, UsageError
from dioptra.records import Job, JobStatus

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:50 / /home rw shared:1 master:2 - nfs4 server:/home rw
31 30 0:51 / /home/me/local rw - xfs /dev/sdb rw
32 22 0:52 / /mnt/a\\040b rw - fuse.sshfs me@host: rw
33 22 0:53 / /lustre rw - lustre x rw
34 33 0:54 / /lustre rw - tmpfs tmpfs rw
bad line
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "testbed.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


def new() -> Job:
    return Job(
        id=str(uuid.uuid4()), experiment="e", project_dir="/p", entry_point="main", parameters={}, argv=("x",),
        status=JobStatus.QUEUED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", ""),
        ("/srv", ""),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/home/me/local/x", ""),
        ("/homes", ""),
        ("/mnt/a b/c", "fuse.sshfs"),
        ("/lustre/x", ""),  # something else is mounted over it
    ],
)
def test_network_file_systems_are_seen(folder: str, kind: str) -> None:
    assert network_file_system(Path(folder), MOUNTS) == kind
    assert network_file_system(Path(folder), "") == ""


def test_a_file_on_a_network_is_refused(
    database: Database, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_migrate, "read_mounts", lambda: f"1 1 0:1 / {tmp_path.resolve()} rw - nfs4 x rw")

    with pytest.raises(
        RefusedError, match=r"is on a network file system \(nfs4\), where SQLite loses data; set DIOPTRA_HOME"
    ):
        database.open()
    assert not file.exists()


def test_a_home_has_a_file_or_an_address(tmp_path: Path) -> None:
    assert Database.of_home(tmp_path).name == str(tmp_path / "testbed.db")
    assert Database.of_home(tmp_path, "postgresql://me:secret@db.example:5433/testbed?sslmode=require").name == (
        "postgresql://db.example:5433/testbed"
    )


@pytest.mark.parametrize(
    "url", ["", "x", "mysql://u:secret@h/x", "sqlite://", "sqlite:///", "sqlite:///:memory:", "postgresql://h:port/x"]
)
def test_addresses_that_name_no_database(url: str) -> None:
    with pytest.raises(UsageError, match="write sqlite:////folder/testbed.db or postgresql://") as found:
        Database(url)
    assert "secret" not in str(found.value)


def test_secrets_of_an_address_are_not_shown() -> None:
    address = parse_address("postgres://me:s%40cret@/x?host=/run/pg&password=other")

    assert address.name == "postgresql:///run/pg/x"
    assert address.without_secrets("a s@cret b s%40cret c other") == "a *** b *** c ***"


@pytest.mark.parametrize("name", ["a?b#c%d e", "ü", "100%"])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    database = Database.of_home(folder)
    job = database.queue.submit(new())
    database.close()

    assert Database.of_home(folder).jobs.find(job.id) == job
    assert (folder / "testbed.db").stat().st_mode & 0o777 == 0o600


def test_a_connection_is_set_for_safety(database: Database) -> None:
    with database._opened.store.read() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_the_import_is_light() -> None:
    code = (
        "import sys, dioptra.database as d; d.Database('sqlite:////x/y.db');"
        "print([n for n in ('sqlalchemy', 'sqlite3', 'alembic', 'psycopg') if n in sys.modules])"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # it imports sqlite3
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain)
    assert done.stdout.strip() == "[]"


def test_a_newer_database_is_refused(database: Database, file: Path) -> None:
    database.open()
    database.close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")

    with pytest.raises(
        RefusedError, match=r"was made by a newer Dioptra \(schema 0999, this one knows 0001\); install"
    ):
        database.open()


def test_an_interrupted_making_is_made_good(database: Database, file: Path) -> None:
    file.touch()

    assert database.queue.submit(new()).status is JobStatus.QUEUED


@pytest.mark.parametrize("how", ["removed", "replaced", "folder"])
def test_a_file_that_is_gone_is_said_and_not_made_again(database: Database, file: Path, how: str) -> None:
    job = database.queue.submit(new())
    if how == "folder":
        shutil.rmtree(file.parent)
    else:
        file.unlink()
    if how == "replaced":
        other = file.with_name("other.db")
        Database(f"sqlite:///{other}").open()
        other.rename(file)

    for use in (database.jobs.list, lambda: database.queue.submit(new()), lambda: database.queue.cancel(job.id)):
        with pytest.raises(StoreUnreachableError, match="was removed or replaced while it was in use"):
            use()
    assert file.exists() == (how == "replaced")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="its folder is not there"):
        Database.of_home(tmp_path / "nope").open()


@pytest.mark.parametrize("content", [b"not a database, but text " * 99, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_file_that_is_no_database(database: Database, file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(StoreUnreachableError, match=f"{file} (is no database|is damaged|cannot be used)") as found:
        database.open()
    assert "\n" not in str(found.value)
    assert file.read_bytes() == content


def test_a_torn_file(database: Database, file: Path) -> None:
    for _ in range(50):
        database.queue.submit(new())
    database.close()
    with file.open("r+b") as torn:
        torn.seek(4096)
        torn.write(b"\xa5" * (file.stat().st_size - 4096))

    with pytest.raises(StoreUnreachableError, match="is damaged; restore it from a backup"):
        database.jobs.list()


def test_a_lock_that_stays(database: Database, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "BUSY_SECONDS", 0.2)
    job = database.queue.submit(new())
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnreachableError, match="is locked by another process"):
            database.queue.claim(["default"], "w", 30)
        assert database.jobs.find(job.id) == job  # readers go on
        other.execute("ROLLBACK")
    assert database.queue.claim(["default"], "w", 30) is not None


def test_a_file_that_may_only_be_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.open()
    database.close()

    def connect(*args: object, **options: object) -> sqlite3.Connection:
        return real(str(args[0]).replace("mode=rw", "mode=ro"), **options)  # type: ignore[call-overload, no-any-return]

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)

    with pytest.raises(StoreUnreachableError, match="is read-only; make the file and its folder writable"):
        database.queue.submit(new())


def test_a_failure_leaves_nothing_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from dioptra.database import _intake

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(_intake, "insert_details", fail)
    with pytest.raises(StoreUnreachableError, match="because the disk is full; make room"):
        database.queue.submit(new())
    monkeypatch.undo()

    assert database.jobs.list() == []
    assert database.queue.submit(new()).status is JobStatus.QUEUED


def test_threads_share_a_database(database: Database) -> None:
    done: list[str] = []

    def work() -> None:
        for _ in range(10):
            database.queue.submit(new())
            job = database.queue.claim(["default"], "w", 30)
            assert job is not None
            done.append(job.id)
            assert database.queue.finish(job.id, job.attempt, JobStatus.FINISHED)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(done)) == 80
    assert database.jobs.tally("status") == {JobStatus.FINISHED: 80}


def test_a_forked_process_opens_its_own(database: Database) -> None:
    job = database.queue.submit(new())
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if database.queue.claim(["default"], "child", 30) is not None else 1)
        except DioptraError:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert database.jobs.find(job.id).worker == "child"
    assert len(database._parts) == 1
