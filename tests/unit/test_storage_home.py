"""The home: where it is, what lies in it, and jobs by a prefix of their ids."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dioptra.errors import JobNotFoundError, UsageError
from dioptra.records import Job, JobStatus
from dioptra.storage import Home, find_home, make_home, write_aside


def job(job_id: str, **changes: object) -> Job:
    made = Job(
        id=job_id,
        experiment="e",
        project_dir="/p",
        entry_point="main",
        parameters={"a": "é\udc80"},
        argv=("python", "x.py"),
        status=JobStatus.STARTED,
    )
    return made.changed(**changes)


def save(home: Home, *jobs: Job) -> None:
    for each in jobs:
        home.attempt(each.id).make()
        home.save(each)


def test_the_variable_then_the_nearest_folder_then_the_user(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    user = find_home(below, {})
    assert user.path.name == "dioptra"
    made = make_home(tmp_path)
    assert find_home(below, {}) == made == Home(tmp_path / ".dioptra")
    assert find_home(below, {"DIOPTRA_HOME": "/x"}) == Home(Path("/x"))
    assert find_home(below, {"DIOPTRA_HOME": "~/x"}) == Home(Path.home() / "x")


def test_a_relative_home_is_made_absolute(in_folder: Path) -> None:
    assert find_home(None, {"DIOPTRA_HOME": "h"}).path == in_folder / "h"


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = job("aa11", started_at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC), exit_code=-9, status=JobStatus.FAILED)

    save(home, first)

    assert home.job("aa11") == first
    assert json.loads((tmp_path / "jobs/aa11/job.json").read_bytes())["status"] == "failed"


def test_a_prefix_names_a_job_when_it_is_the_only_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    save(home, job("ab12"), job("ab34"))

    assert home.job("AB1").id == "ab12"
    with pytest.raises(UsageError, match="job 'ab' is ambiguous; write more of it: ab12, ab34"):
        home.job("ab")
    for unknown in ("", "x", "ab125", "../ab12", "*"):
        with pytest.raises(JobNotFoundError, match="no job"):
            home.job(unknown)


def test_jobs_are_listed_oldest_first(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.jobs() == []
    save(
        home,
        job("b", created_at=datetime(2026, 1, 2, tzinfo=UTC)),
        job("a", created_at=datetime(2026, 1, 3, tzinfo=UTC)),
    )

    assert [each.id for each in home.jobs()] == ["b", "a"]


def test_the_seconds_of_a_job() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)

    assert job("a").seconds is None
    assert job("a", started_at=start, ended_at=end).seconds == 2.0


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    write_aside(file, b"old")

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_aside(file, b"new")

    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]  # noqa: PTH208 - also what is hidden


@pytest.mark.parametrize("status", JobStatus)
def test_which_endings_are_final(status: JobStatus) -> None:
    assert status.is_final == (status in {"finished", "failed", "cancelled", "lost"})
