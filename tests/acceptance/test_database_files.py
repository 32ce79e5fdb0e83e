"""Database files that are not what they should be, and what the real command line says of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dioptra.records import JobStatus
from dioptra.testbed import Testbed
from tests.conftest import Command

MLPROJECT = "name: toys\nentry_points:\n  main: {command: 'true'}\n"


def tear(file: Path) -> None:
    """Overwrite all pages but the first one."""
    size = file.stat().st_size
    with file.open("r+b") as torn:
        torn.seek(4096)
        torn.write(b"\xa5" * (size - 4096))


def cut(file: Path) -> None:
    with file.open("r+b") as torn:
        torn.truncate(file.stat().st_size // 2)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


# what is done to the file, and what is said of it then
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn": (tear, "is damaged; restore it from a backup"),
    "cut": (cut, "is damaged; restore it from a backup"),
    "text": (lambda file: file.write_text("no database " * 999), "is no database, or is damaged; restore it"),
    "a folder": (make_folder, "cannot be used (unable to open database file); check DIOPTRA_HOME"),
}


@pytest.fixture
def home(open_folder: Path) -> Path:
    """A home with one job that waits."""
    (open_folder / "toys").mkdir()
    (open_folder / "toys" / "MLproject").write_text(MLPROJECT)
    testbed = Testbed(open_folder / "home")
    testbed.submit(open_folder / "toys")
    testbed.database.close()
    return open_folder / "home"


def content(file: Path) -> object:
    return file.read_bytes() if file.is_file() else sorted(file.iterdir())


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file(home: Path, dioptra: Command, damage: str) -> None:
    harm, words = DAMAGES[damage]
    harm(home / "testbed.db")
    before, places = content(home / "testbed.db"), sorted((home / "jobs").iterdir())

    for command in (["job", "list"], ["submit", str(home.parent / "toys")], ["worker", "--burst"]):
        said = dioptra(*command, home=home)
        assert (said.code, said.out) == (6, ""), said
        assert said.err.startswith(f"Error: the database {home}/testbed.db {words}"), said.err
        assert len(said.err.splitlines()) == 1
    assert content(home / "testbed.db") == before
    assert sorted((home / "jobs").iterdir()) == places


def test_a_file_that_was_removed_is_made_from_the_records(home: Path, dioptra: Command) -> None:
    testbed = Testbed(home)
    begun, waits = testbed.database.queue.claim(["default"], "ada", 60), testbed.submit(home.parent / "toys")
    assert begun is not None
    testbed.home.save(begun)  # as its worker does when it starts
    testbed.database.close()
    for file in home.glob("testbed.db*"):
        file.unlink()

    listed = dioptra("job", "list", home=home)

    assert (listed.code, f"{waits.id[:8]}  queued" in listed.out) == (0, True), listed
    found = Testbed(home).job(begun.id)
    assert (found.status, found.reason) == (JobStatus.LOST, "the database was removed while it ran")


def mounted(*options: str) -> None:
    """Mount something, or skip the test where that is not possible."""
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.fixture(params=["file", "home"])
def read_only(request: pytest.FixtureRequest, home: Path) -> Iterator[str]:
    """A part of a home that may only be read: root, too, may not write to what is mounted so."""
    place = home / "testbed.db" if request.param == "file" else home
    mounted("--bind", str(place), str(place))
    try:
        mounted("-o", "remount,bind,ro", str(place))
        yield request.param
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_file_that_may_only_be_read(home: Path, dioptra: Command, read_only: str) -> None:
    code, words = {
        "file": (6, f"the database {home}/testbed.db is read-only; make the file and its folder writable"),
        "home": (2, f"the home '{home}' cannot be written to; set DIOPTRA_HOME to a folder that you can write to"),
    }[read_only]
    (place,) = (home / "jobs").iterdir()

    for command in (["submit", str(home.parent / "toys")], ["worker", "--burst"]):
        said = dioptra(*command, home=home)
        assert (said.code, said.out, said.err) == (code, "", f"Error: {words}\n")
    assert list((home / "jobs").iterdir()) == [place]
    looked = dioptra("job", "list", home=home)
    if read_only == "file":
        assert (looked.code, f"{place.name[:8]}  queued" in looked.out) == (0, True), looked
    else:
        assert (looked.code, looked.out, looked.err) == (code, "", f"Error: {words}\n")
