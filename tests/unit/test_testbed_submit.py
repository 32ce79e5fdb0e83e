"""What is checked of a submission before anything is stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dioptra.errors import DioptraError, InvalidParameterError, JobNotFoundError, ProjectNotFoundError, UsageError
from dioptra.records import Dependency, Job, JobStatus
from dioptra.testbed._durations import parse_duration
from dioptra.testbed._submit import Submission, dependencies, plan_of, project_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d12h", 129_600), (" 2H ", 7200), ("0.5", 0.5)],
)
def test_a_span_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "2x", "1d; x", "-2h", "0", "0s", "2 h", "1e3", "nan", "inf", "400d", "2h\n3"]
)
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no span of time; write it such as 90s, 30m, 2h or 1d12h"):
        parse_duration(text)


def job(name: str) -> Job:
    return Job(
        id=f"{name}-0000",
        experiment="e",
        project_dir="",
        entry_point="main",
        parameters={},
        argv=(),
        status=JobStatus.QUEUED,
    )


def find(prefix: str) -> Job:
    found = {"aa": job("aaaa"), "bb": job("bbbb"), "aaaa": job("aaaa")}
    if prefix not in found:
        raise JobNotFoundError(f"no job {prefix!r}")
    return found[prefix]


def test_what_is_waited_for_is_named_once() -> None:
    submission = Submission(depends_on=["bb", "aa", "bb"], takes={"run": "aaaa.run_id", "place": "aa.output_dir"})

    assert dependencies(submission, find) == (
        Dependency(job="aaaa-0000", parameter="run", outcome="run_id"),
        Dependency(job="aaaa-0000", parameter="place", outcome="output_dir"),
        Dependency(job="bbbb-0000"),
    )


@pytest.mark.parametrize(
    ("submission", "sentence"),
    [
        (Submission(depends_on=["cc"]), "no job 'cc'"),
        (Submission(takes={"x": "cc.run_id"}), "no job 'cc'"),
        (Submission(takes={"x": "aa"}), "'aa' is no outcome of a job that 'x' could take; write JOB.NAME, where NAME"),
        (Submission(takes={"x": "aa.reason"}), "one of: id, run_id, snapshot, output_dir"),
    ],
)
def test_what_cannot_be_waited_for_is_said(submission: Submission, sentence: str) -> None:
    with pytest.raises(DioptraError, match=sentence):
        dependencies(submission, find)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "MLproject").write_text(
        "name: mine\nentry_points: {main: {parameters: {data: path, eps: float, n: {type: int, default: 1}}, "
        "command: 'python a.py {data} {eps} {n}'}}"
    )
    return folder


def test_a_value_that_is_promised_is_checked_when_it_is_there(project: Path) -> None:
    waits_for = (Dependency(job="aaaa-0000", parameter="data", outcome="output_dir"), Dependency(job="bbbb-0000"))

    plan = plan_of(project, "main", {"eps": "0.1"}, None, waits_for)

    assert plan.argv == ["python", "a.py", "<output_dir of job aaaa-000>", "0.1", "1"]
    assert plan.given == {"eps", "data"}


def test_all_other_values_are_checked_now(project: Path) -> None:
    waits_for = (Dependency(job="aaaa-0000", parameter="data", outcome="output_dir"),)
    with pytest.raises(InvalidParameterError, match="'eps'"):
        plan_of(project, "main", {"eps": "much"}, None, waits_for)
    with pytest.raises(InvalidParameterError, match="missing parameter 'eps'"):
        plan_of(project, "main", {}, None, waits_for)
    with pytest.raises(UsageError, match="parameter 'data' is given and taken from a job; do one of them"):
        plan_of(project, "main", {"eps": "1", "data": "."}, None, waits_for)


@pytest.mark.parametrize(("kind", "root"), [("zip", "project"), ("gztar", "project"), ("xztar", "")])
def test_an_archive_is_a_project_for_a_while(project: Path, tmp_path: Path, kind: str, root: str) -> None:
    base = {"root_dir": tmp_path, "base_dir": root} if root else {"root_dir": project}
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), kind, **base))

    with project_of(archive) as folder:
        assert (folder / "MLproject").read_text() == (project / "MLproject").read_text()
    assert not folder.exists()
    with project_of(project) as folder:
        assert folder == project


@pytest.mark.parametrize(
    ("names", "sentence"), [((), "there is no MLproject file in"), (("a", "b"), "several projects")]
)
def test_an_archive_holds_one_project(tmp_path: Path, names: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "readme").touch()
    for name in names:
        (tmp_path / "packed" / name).mkdir()
        (tmp_path / "packed" / name / "MLproject").touch()
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "packed"))

    with pytest.raises(ProjectNotFoundError, match=sentence), project_of(archive):
        pytest.fail("there is none")
