"""Several processes at one snapshot: no write is lost, whoever dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dioptra.experiment._data import DataFolder
from dioptra.experiment._snapshot import Snapshot, SnapshotRecord

WRITERS, APPENDS = 8, 200
Start = Callable[..., "subprocess.Popen[str]"]

PRELUDE = """
import fcntl, json, os, resource, signal, sys
from pathlib import Path
from dioptra.experiment._data import DataFolder
from dioptra.experiment._snapshot import Snapshot

folder = Path(sys.argv[1])
snapshot = Snapshot.load(folder)

def append(name, value):
    with snapshot.train_storage() as storage:
        storage.append(name, value)

"""


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    record = SnapshotRecord(
        name="20260102-030405-abcdefgh", uid="abcdefgh", commit="1", tree="2", created_at=datetime.now(UTC)
    )
    return Snapshot.create(tmp_path / record.name, record)


@pytest.fixture
def start(snapshot: Snapshot) -> Iterator[Start]:
    """Start a process with the snapshot at hand; what still runs when the test ends is killed."""
    started = []

    def begin(code: str, *args: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, str(snapshot.folder), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """Wait for a line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Let a process that waits for a line go on."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def well(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a process, which must be a good one, and return what it printed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert not err
    return out


WRITER = """
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    append("all", [int(sys.argv[2]), n])
"""

# What a reader has seen once stays as it is, and of each writer it sees all that comes before what it sees.
READER = """
print("ready", flush=True)
sys.stdin.readline()
expected, seen, looks = int(sys.argv[2]), [], 0
while len(seen) < expected:
    now = snapshot.train_data.get("all", [])
    assert now[:len(seen)] == seen
    next_of = {}
    for writer, n in now:
        assert n == next_of.get(writer, 0)
        next_of[writer] = n + 1
    looks += len(now) not in (len(seen), expected)
    seen = now
print(looks)
"""


def test_no_append_is_lost_while_others_read(snapshot: Snapshot, start: Start) -> None:
    writers = [start(WRITER, number, APPENDS) for number in range(WRITERS)]
    readers = [start(READER, WRITERS * APPENDS) for _ in range(2)]
    assert [said(process) for process in [*writers, *readers]] == ["ready"] * (WRITERS + 2)
    for process in [*readers, *writers]:
        tell(process)
    for process in writers:
        well(process)
    looks = [int(well(process)) for process in readers]

    expected = sorted([number, n] for number in range(WRITERS) for n in range(APPENDS))
    assert sorted(snapshot.train_data["all"]) == expected
    assert max(looks) > 0, "nobody read while others wrote"


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_no_append_of_a_thread_is_lost(snapshot: Snapshot) -> None:
    def work(number: int) -> None:
        for n in range(200):
            with snapshot.train_storage() as storage:
                storage.append("all", [number, n])
            assert [m for who, m in snapshot.train_data["all"] if who == number] == list(range(n + 1))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, number) for number in range(4)]:
            done.result()

    assert len(snapshot.train_data["all"]) == 800
    assert snapshot.train_data == DataFolder(snapshot.folder).train_data


# The lock is held and half of a line is written, as when a process is killed inside its write.
HALF = """
append("whole", 1)
line = json.dumps({"operations": [{"do": "append", "kind": "train", "name": "torn", "value": 1}]}).encode()
file = os.open(folder / "data.jsonl", os.O_WRONLY | os.O_APPEND)
fcntl.flock(file, fcntl.LOCK_EX)
os.write(file, line[:len(line) // 2])
print("halfway", flush=True)
signal.pause()
"""

ONE = """
print("ready", flush=True)
append("after", os.getpid())
print("done", flush=True)
"""


def test_a_process_that_is_killed_in_its_write_harms_nobody(snapshot: Snapshot, start: Start) -> None:
    dying = start(HALF)
    assert said(dying) == "halfway"
    waiting = [start(ONE) for _ in range(3)]
    assert [said(process) for process in waiting] == ["ready"] * 3
    assert snapshot.train_data == {"whole": [1]}

    dying.send_signal(signal.SIGKILL)
    for process in waiting:
        assert said(process) == "done"  # one of them says on stderr that it passed over the line

    pids = sorted(process.pid for process in waiting)
    for reader in (snapshot, DataFolder(snapshot.folder)):
        assert sorted(reader.train_data["after"]) == pids
        assert set(reader.train_data) == {"whole", "after"}


ENDLESS = """
n = 0
while True:
    append("all", n)
    print(n, flush=True)
    n += 1
"""


def test_what_a_killed_process_has_said_is_kept(snapshot: Snapshot, start: Start) -> None:
    dying = [start(ENDLESS) for _ in range(3)]
    kept = []
    for process in dying:
        while said(process) != "20":
            pass
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        kept.append(int(["20", *process.stdout.read().split()][-1]))
    well(start("append('all', 'last')"))

    *found, last = snapshot.train_data["all"]
    assert last == "last"
    assert len(found) - sum(n + 1 for n in kept) in range(4)  # the last write of each may be there, or not
    assert all(found.count(n) == 3 for n in range(21))


def test_a_reset_is_seen_by_all(snapshot: Snapshot, start: Start) -> None:
    other = start("append('x', 1)\nprint('there', flush=True)\nsys.stdin.readline()\nprint(dict(snapshot.train_data))")
    assert said(other) == "there"
    assert snapshot.train_data == {"x": [1]}
    snapshot.reset()
    tell(other)

    assert well(other) == "{}\n"


FORKING = """
from dioptra.experiment._journal import DataJournal, Operation

def fork(contents):
    if os.fork() == 0:
        os.close(1), os.close(2)
        sys.stdin.readline()
        os._exit(0)

DataJournal(folder / "data.jsonl").write([Operation("store", "train", "x", 1)], before=fork)
print("forked", flush=True)
os.wait()
"""


def test_a_process_forked_during_a_write_does_not_keep_the_lock(snapshot: Snapshot, start: Start) -> None:
    forking = start(FORKING)
    assert said(forking) == "forked"
    writer = start("append('y', 1)")
    try:
        well(writer)
    finally:
        tell(forking)

    assert snapshot.train_data == {"x": 1, "y": [1]}
    well(forking)


FULL = """
from dioptra.errors import RefusedError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
append("x", 1)
size = (folder / "data.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]), resource.RLIM_INFINITY))
for _ in range(2):
    try:
        append("x", "no" * 100)
    except RefusedError as error:
        print(error)
assert (folder / "data.jsonl").stat().st_size == size
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
append("x", 2)
"""


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_write_without_room_is_refused_and_leaves_nothing(snapshot: Snapshot, start: Start, room: int) -> None:
    said = well(start(FULL, room))

    assert said.count("data.jsonl' cannot be written (") == 2
    assert snapshot.train_data == {"x": [1, 2]}
