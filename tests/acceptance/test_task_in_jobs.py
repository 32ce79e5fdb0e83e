"""A task's script as an entry point: `dioptra run my_script.py -e train`, with no MLproject file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dioptra.experiment import DataFolder, Library
from dioptra.records import Job
from dioptra.testbed import Testbed
from tests.acceptance.task_scripts import TaskFolder, make_task_folder
from tests.conftest import Command, Spoken


@pytest.fixture
def mean(tmp_path: Path, made_store: Path) -> TaskFolder:
    return make_task_folder(tmp_path, made_store)


def run(dioptra: Command, mean: TaskFolder, entry_point: str, *args: str, code: int = 0) -> tuple[Spoken, Job]:
    """Run an entry point of the script as a job; return what was said and the job."""
    said = dioptra("run", "mean.py", "-e", entry_point, "--json", *args, cwd=mean.folder, home=mean.home)
    assert said.code == code, said
    return said, Testbed(mean.home).job(said.json["job"])


def data(mean: TaskFolder, job: Job) -> DataFolder:
    return DataFolder(Testbed(mean.home).paths(job).folder / "task")


def test_a_job_trains_tests_and_evaluates(dioptra: Command, mean: TaskFolder, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("in")
    _, trained = run(dioptra, mean, "train")
    _, tested = run(dioptra, mean, "test")
    run(dioptra, mean, "eval", "-P", "infile=../in.txt", "-P", "outfile=../out.txt")

    assert (trained.experiment, trained.entry_point) == ("means", "train")
    assert trained.snapshot == tested.snapshot
    assert data(mean, trained).train_data == {"loss": [0.5, 0.0]}
    assert data(mean, trained).model_files == ("epoch1.txt", "epoch2.txt")
    assert data(mean, tested).test_data == {"error": 0.0}
    assert (tmp_path / "out.txt").read_text() == "in: 3.0\n"
    runs = [Testbed(mean.home).tracking.run(str(job.run_id)) for job in (trained, tested)]
    assert [found.metrics for found in runs] == [{"loss": 0.0}, {"test_error": 0.0}]
    assert runs[0].parameters["samples"] == "3"


def test_a_job_never_refuses_to_train_or_test_again(dioptra: Command, mean: TaskFolder) -> None:
    jobs = [run(dioptra, mean, name)[1] for name in ("train", "train", "test", "test")]

    assert len({job.snapshot for job in jobs}) == 1
    assert all(job.status == "finished" for job in jobs)


def test_a_job_does_not_test_what_was_never_trained(dioptra: Command, mean: TaskFolder) -> None:
    _, trained = run(dioptra, mean, "train")
    mean.change()

    said, job = run(dioptra, mean, "test", code=1)

    assert job.snapshot != trained.snapshot
    assert (
        f"snapshot {job.snapshot} has not been trained; run its training first: dioptra run mean.py -e train"
        in said.out
    )


def test_a_model_that_was_trained_by_hand_is_found(dioptra: Command, mean: TaskFolder) -> None:
    assert mean.run("train").code == 0

    _, job = run(dioptra, mean, "test")

    assert data(mean, job).test_data == {"error": 0.0}
    assert mean.status()["snapshot"] == job.snapshot


def test_what_a_job_trained_can_be_used_by_hand(dioptra: Command, mean: TaskFolder) -> None:
    _, job = run(dioptra, mean, "train")
    experiment = Library(mean.home / "experiments").get_experiment("means")

    status = mean.status()
    assert (status["snapshot"], status["state"], status["models"]) == (
        job.snapshot,
        "trained",
        ["epoch1.txt", "epoch2.txt"],
    )
    assert mean.run("test").code == 0
    assert mean.status()["state"] == "tested"
    assert mean.run("train").code == mean.run("test").code == 4
    assert experiment.get_snapshot(job.snapshot).test_data == {"error": 0.0}
    assert experiment.import_snapshot(job.snapshot).parameters() == {"samples": 3}


def test_a_job_does_not_amend(dioptra: Command, mean: TaskFolder) -> None:
    (mean.folder / "MLproject").write_text("entry_points: {main: {command: python mean.py amend}}")

    said = dioptra("run", cwd=mean.folder, home=mean.home)

    assert said.code == 1
    assert "a job cannot amend the snapshot that it runs" in said.out


def test_a_job_without_a_command_says_what_to_type(dioptra: Command, mean: TaskFolder) -> None:
    said = dioptra("run", "mean.py", cwd=mean.folder, home=mean.home)

    assert said.code == 1
    assert "mean.py was given no command; name what to do: `dioptra run mean.py -e train`" in said.out


def test_verifying_a_training(dioptra: Command, mean: TaskFolder) -> None:
    _, job = run(dioptra, mean, "train")

    said = dioptra("snapshot", "verify", job.id, cwd=mean.folder, home=mean.home)

    assert said.code == 0, said
    assert "verified: 1 metric" in said.out


def test_an_entry_point_that_a_script_has_not(dioptra: Command, mean: TaskFolder) -> None:
    said = dioptra("run", "mean.py", "-e", "trian", cwd=mean.folder, home=mean.home)

    assert said.code == 3
    assert "no entry point 'trian'; did you mean 'train'? (have: eval, main, status, test, train)" in said.err
