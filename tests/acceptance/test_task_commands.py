"""Every cell of the table of a task's commands, with the real command line of its script."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dioptra.experiment import Experiment, Library, Snapshot
from dioptra.learning._places import trained_place
from dioptra.storage import Home
from dioptra.testbed import Testbed
from tests.acceptance.task_scripts import TaskFolder, make_task_folder
from tests.conftest import Command, Spoken


@pytest.fixture
def mean(tmp_path: Path, made_store: Path) -> TaskFolder:
    return make_task_folder(tmp_path, made_store)


def experiment(mean: TaskFolder) -> Experiment:
    return Library(mean.home / "experiments").get_experiment("means")


def last(mean: TaskFolder) -> Snapshot:
    return experiment(mean).get_last_snapshot()


def refused(said: Spoken, *parts: str) -> None:
    """Check that a command was refused in one sentence."""
    assert said.code == 4, said
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    for part in parts:
        assert part in said.err
    assert "loading the model" not in said.out


def trained(mean: TaskFolder, *args: str) -> Snapshot:
    said = mean.run("train", *args)
    assert said.code == 0, said
    return last(mean)


def wait_for(file: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.01)


def test_training_for_the_first_time(mean: TaskFolder) -> None:
    said = mean.run("train")

    snapshot = last(mean)
    assert said.code == 0, said
    assert "epoch 2/2: loss 0" in said.err
    assert said.err.endswith(f"trained {snapshot.name}\n")
    assert snapshot.comment == "from the script"
    assert snapshot.train_data == {"loss": [0.5, 0.0]}
    assert snapshot.model_files == ("epoch1.txt", "epoch2.txt")
    assert mean.status()["state"] == "trained"


def test_a_message_of_the_command_line_counts_more(mean: TaskFolder) -> None:
    assert trained(mean, "-m", "a second try").comment == "a second try"


def test_training_unchanged_code(mean: TaskFolder) -> None:
    first = trained(mean)

    refused(mean.run("train"), f"the code has not changed since snapshot {first.name}", "train --retrain", "--force")
    said = mean.run("train", "--retrain")
    assert said.code == 0, said
    assert [entry.name for entry in experiment(mean).snapshots()] == [first.name]
    assert last(mean).train_data == {"loss": [0.5, 0.0]}  # not four values: it began anew

    second = trained(mean, "--force")
    assert second.name != first.name
    assert second.commit == first.commit
    both = mean.run("train", "--retrain", "--force")
    assert (both.code, "exclude each other" in both.err) == (2, True)


def test_training_changed_code(mean: TaskFolder) -> None:
    first = trained(mean)
    mean.change()

    refused(mean.run("train", "--retrain"), f"the code has changed since snapshot {first.name} (mean.py is changed)")
    second = trained(mean)

    assert second.commit != first.commit
    assert len(experiment(mean).snapshots()) == 2


def test_without_a_store_nothing_is_dropped(mean: TaskFolder) -> None:
    snapshot = trained(mean)

    said = mean.run("train", "--retrain", MLFLOW_TRACKING_URI="http://127.0.0.1:1")

    assert said.code == 6, said
    assert mean.status()["state"] == "trained"
    assert snapshot.train_data == {"loss": [0.5, 0.0]}
    assert mean.run("test").code == 0


def test_a_run_that_is_gone_does_not_keep_a_model_from_being_tested(mean: TaskFolder) -> None:
    snapshot = trained(mean)
    (mean.home / "mlflow.db").unlink()

    said = mean.run("test")

    assert said.code == 0, said
    assert f"Warning: the MLflow run {mean.status()['run_id']} cannot be written to" in said.err
    assert snapshot.test_data == {"error": 0.0}


def test_a_training_that_ended_meanwhile_is_not_what_was_tested(mean: TaskFolder, tmp_path: Path) -> None:
    trained(mean)
    testing = mean.start("test", SLOW_TEST=str(tmp_path))
    try:
        wait_for(tmp_path / "testing")
        assert mean.run("train", "--retrain").code == 0
    finally:
        (tmp_path / "go").touch()
        testing.communicate(timeout=60)

    assert testing.returncode == 0
    assert mean.status()["state"] == "trained"


def test_nothing_to_retrain(mean: TaskFolder) -> None:
    refused(mean.run("train", "--retrain"), "there is no snapshot to train again", "python mean.py train")


def test_testing(mean: TaskFolder) -> None:
    refused(mean.run("test"), "mean.py has not been trained yet; type `python mean.py train`")
    assert not (mean.home / "experiments").exists()
    snapshot = trained(mean)

    said = mean.run("test")
    assert said.code == 0, said
    assert "test: error 0" in said.err
    assert snapshot.test_data == {"error": 0.0}
    assert mean.status()["state"] == "tested"
    refused(mean.run("test"), f"snapshot {snapshot.name} has been tested", "test --retest")
    assert mean.run("test", "--retest").code == 0


@pytest.mark.parametrize("command", [("test",), ("eval", "in.txt", "out.txt"), ("server",)])
def test_changed_code_is_not_tested_evaluated_or_served(mean: TaskFolder, command: tuple[str, ...]) -> None:
    (mean.folder / "in.txt").write_text("in")
    snapshot = trained(mean)
    mean.change()
    (mean.folder / "new.py").touch()

    said = mean.run(*command)

    refused(said, f"the code has changed since snapshot {snapshot.name} (mean.py is changed, new.py is new)")
    assert f"type `python mean.py train` for a new snapshot, or `python mean.py {command[0]} --ignore`" in said.err


def test_changed_code_with_ignore(mean: TaskFolder) -> None:
    (mean.folder / "in.txt").write_text("in")
    snapshot = trained(mean)
    mean.change()

    assert mean.run("test", "--ignore").code == 0
    assert mean.run("eval", "in.txt", "out.txt", "--ignore").code == 0
    assert snapshot.test_data == {"error": 0.0}
    assert (mean.folder / "out.txt").read_text() == "in: 3.0\n"


def test_evaluating(mean: TaskFolder, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("here")
    command = ("eval", str(tmp_path / "in.txt"), str(tmp_path / "out.txt"))
    refused(mean.run(*command), "has not been trained yet")
    trained(mean)

    said = mean.run(*command)

    assert said.code == 0, said
    assert (tmp_path / "out.txt").read_text() == "here: 3.0\n"
    assert mean.status()["state"] == "trained"


@pytest.mark.parametrize(
    ("infile", "outfile", "sentence"),
    [
        ("gone.txt", "out.txt", "there is no file 'gone.txt' to evaluate"),
        ("mean.py", "no/folder/out.txt", "to write to; make it"),
        ("mean.py", "folder", "'folder' is a folder; name the file to write"),
        ("mean.py", "mean.py", "'mean.py' would be written over itself"),
    ],
)
def test_files_are_checked_before_anything_is_loaded(
    mean: TaskFolder, infile: str, outfile: str, sentence: str
) -> None:
    (mean.folder / "folder").mkdir()

    said = mean.run("eval", infile, outfile)

    assert (said.code, sentence in said.err, "loading" in said.out) == (7, True, False), said
    assert not (mean.home / "experiments").exists()


def test_a_training_that_failed_is_not_tested_and_goes_on(mean: TaskFolder) -> None:
    failed = mean.run("train", FAIL="1")
    assert failed.code == 1
    assert "ValueError: no luck" in failed.err
    snapshot = last(mean)
    assert mean.status()["state"] == "initialized"
    refused(mean.run("test"), f"snapshot {snapshot.name} has not been trained to its end; type `python mean.py train`")

    assert trained(mean, "-m", "at last").name == snapshot.name
    assert (last(mean).comment, last(mean).commit) == ("at last", snapshot.commit)


def test_while_a_training_goes_on(mean: TaskFolder, tmp_path: Path) -> None:
    training = mean.start("train", SLOW=str(tmp_path))
    try:
        wait_for(tmp_path / "epoch2")
        status = mean.status()
        said = mean.run("test")
        second = mean.run("train")
    finally:
        (tmp_path / "go").touch()
        _, err = training.communicate(timeout=60)

    assert (status["state"], status["training"], status["models"]) == ("initialized", True, ["epoch1.txt"])
    assert said.code == 0, said
    assert "goes on; test it again when it has ended" in said.err
    assert "test: error 1.5" in said.err  # of the model of the first epoch
    assert last(mean).test_data == {}  # it was not about the model that there is now
    refused(second, f"snapshot {last(mean).name} is being trained by another process", "type `python mean.py train`")
    assert training.returncode == 0, err
    assert mean.status()["state"] == "trained"  # what was tested is not the last model
    assert mean.run("test").code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_was_ended_goes_on(mean: TaskFolder, tmp_path: Path, number: signal.Signals, code: int) -> None:
    training = mean.start("train", SLOW=str(tmp_path))
    wait_for(tmp_path / "epoch2")
    training.send_signal(number)
    _, err = training.communicate(timeout=60)

    assert training.returncode == code, err
    assert (mean.status()["state"], mean.status()["training"]) == ("initialized", False)
    snapshot, run_id = last(mean), mean.status()["run_id"]
    status = "RUNNING" if number is signal.SIGKILL else "KILLED"
    assert Testbed(mean.home).tracking.run(run_id).status == status
    refused(mean.run("test"), "has not been trained to its end")
    assert trained(mean).name == snapshot.name
    assert mean.status()["run_id"] == run_id
    assert Testbed(mean.home).tracking.run(run_id).status == "FINISHED"


def test_amending(mean: TaskFolder) -> None:
    refused(mean.run("amend"), "there is no snapshot to amend")
    before = trained(mean)
    refused(mean.run("amend"), f"nothing has changed since snapshot {before.name}; type `python mean.py amend -m")
    mean.change("[1.0, 2.0, 6.0]  # as before")

    assert mean.run("amend", "-m", "with a comment").code == 0

    after = last(mean)
    assert (after.name, after.comment) == (before.name, "with a comment")
    assert after.commit != before.commit
    assert after.train_data == before.train_data
    assert after.conditions["amended"][0]["commit"] == before.commit
    assert mean.run("test").code == 0


def test_another_comment_for_what_a_job_ran(mean: TaskFolder, dioptra: Command) -> None:
    assert dioptra("run", "mean.py", "-e", "train", cwd=mean.folder, home=mean.home).code == 0
    before = last(mean)

    assert mean.run("amend", "-m", "said later").code == 0

    assert (last(mean).comment, last(mean).commit) == ("said later", before.commit)
    mean.change()
    refused(mean.run("amend"), "is what jobs ran, and must stay what it was")


def test_a_name_with_a_space_can_be_typed_as_it_is_said(mean: TaskFolder) -> None:
    (mean.folder / "mean.py").rename(mean.folder / "my mean.py")

    assert "type `python 'my mean.py' train`" in mean.run("test", script="my mean.py").err


def test_a_task_says_which_files_it_takes_before_anything_is_loaded(mean: TaskFolder) -> None:
    trained(mean)
    check = """
    def check_files(self, input_path, output_path):
        from dioptra.errors import InvalidParameterError
        raise InvalidParameterError(f"{input_path.name} is not {output_path.name}")
"""
    text = (mean.folder / "mean.py").read_text()
    (mean.folder / "mean.py").write_text(text.replace("\n    def predict", f"{check}\n    def predict"))

    said = mean.run("eval", "mean.py", "out.txt", "--ignore")

    assert (said.code, said.out) == (7, "")
    assert said.err == "Error: mean.py is not out.txt\n"


def test_status(mean: TaskFolder) -> None:
    assert mean.status() == {"experiment": "means", "snapshot": None, "state": None}
    assert not (mean.home / "experiments").exists()
    snapshot = trained(mean)
    (mean.folder / "new.py").touch()

    status = mean.status()

    assert (status["snapshot"], status["state"], status["untracked"]) == (snapshot.name, "trained", ["new.py"])
    assert status["measured"] == {"loss": 0.0}
    text = mean.run("status").out
    assert "measured    loss 0\n" in text
    assert f"snapshot    {snapshot.name}\n" in text
    assert "untracked   new.py\n" in text


def test_numbers_that_json_has_not_are_null(mean: TaskFolder) -> None:
    snapshot = trained(mean)
    with snapshot.train_storage() as storage:
        storage.append("loss", float("nan"))

    assert mean.status()["measured"] == {"loss": None}


def test_another_folder_of_the_same_name_has_its_own_snapshots(mean: TaskFolder, tmp_path: Path) -> None:
    first = trained(mean)
    (tmp_path / "elsewhere").mkdir()
    other = make_task_folder(tmp_path / "elsewhere", tmp_path / "home" / "mlflow.db")
    other.home = mean.home
    other.change()

    for command in (("test", "--ignore"), ("amend",), ("train", "--retrain")):
        assert other.run(*command).code == 4
    trained(other)
    shutil.rmtree(other.folder)

    assert first.test_data == {}
    assert last(mean).name != first.name
    assert mean.status()["snapshot"] == last(mean).name  # the other folder is gone, as if it had moved here


def test_two_that_train_at_the_same_moment_train_one_snapshot(mean: TaskFolder) -> None:
    trainings = [mean.start("train") for _ in range(2)]
    codes = sorted([(training.communicate(timeout=60), training.returncode)[1] for training in trainings])

    assert codes == [0, 4]
    assert len(experiment(mean).snapshots()) == 1


def test_the_newest_model_counts_by_hand_or_of_a_job(mean: TaskFolder, dioptra: Command) -> None:
    snapshot = trained(mean)
    home = Home(mean.home)
    assert dioptra("run", "mean.py", "-e", "train", cwd=mean.folder, home=mean.home).code == 0
    of_job = trained_place(home, snapshot.name, snapshot.folder)
    trained(mean, "--retrain", "-m", "once more")
    by_hand = trained_place(home, snapshot.name, snapshot.folder)

    assert of_job is not None
    assert by_hand is not None
    assert of_job.folder.is_relative_to(mean.home / "jobs")
    assert by_hand.folder == snapshot.folder
    assert last(mean).comment == "once more"


def test_mlflow_in_a_script_logs_to_the_run(mean: TaskFolder) -> None:
    text = (mean.folder / "mean.py").read_text()
    lines = (
        'import mlflow\n        mlflow.log_metric("mine", 7)\n        self.record.epoch(1, 2, {"a%b!": 1})\n        '
    )
    (mean.folder / "mean.py").write_text(text.replace("for epoch, share", f"{lines}for epoch, share"))

    said = mean.run("train")

    run = Testbed(mean.home).tracking.run(mean.status()["run_id"])
    assert said.err.count("Warning") == 1
    assert "a%b!" in said.err
    assert run.metrics == {"mine": 7, "loss": 0.0}
    assert run.status == "FINISHED"
    assert sorted(path.name for path in mean.folder.iterdir() if path.name != "__pycache__") == ["mean.py"]


@pytest.mark.parametrize("argv", [("-", "train"), ("-c", "exec(open('mean.py').read())", "train")])
def test_a_script_is_in_a_file(mean: TaskFolder, argv: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=mean.folder,
        env=mean.environment(),
        input=(mean.folder / "mean.py").read_text(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("Error: the task's main() was not called by a script in a file; write it to one")


def test_what_is_logged_goes_to_an_mlflow_run(mean: TaskFolder) -> None:
    snapshot = trained(mean)
    mean.run("test")

    run = Testbed(mean.home).tracking.run(mean.status()["run_id"])
    assert run.status == "FINISHED"
    assert run.metrics == {"loss": 0.0, "test_error": 0.0}
    assert run.parameters == {"samples": "3"}
    assert (run.tags["dioptra.snapshot"], run.tags["mlflow.note.content"]) == (snapshot.name, "from the script")


def test_imported_by_a_script_it_is_a_plain_object(mean: TaskFolder) -> None:
    text = (
        "from mean import task\ntask.train()\ntask.test()\nprint(task.snapshot.train_data, task.snapshot.test_data)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=mean.folder,
        env=mean.environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "{'loss': [0.5, 0.0]} {'error': 0.0}\n"
    assert not (mean.home / "experiments").exists()


def test_past_versions_as_objects(mean: TaskFolder) -> None:
    first = trained(mean)
    mean.change()
    second = trained(mean)
    found = [experiment(mean).import_snapshot(entry) for entry in (first, second)]

    for task, entry in zip(found, (first, second), strict=True):
        task.snapshot = entry
        task.load_model()
    assert [task.predict([0, 0]).tolist() for task in found] == [[3.0, 3.0], [5.0, 5.0]]
    assert [task.parameters()["samples"] for task in found] == [3, 2]


def test_other_changes_do_not_matter_to_another_script(mean: TaskFolder) -> None:
    trained(mean)
    other = mean.folder / "other.py"
    other.write_text((mean.folder / "mean.py").read_text())
    done = subprocess.run(
        [sys.executable, "other.py", "test"],
        cwd=mean.folder,
        env=mean.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4
    assert "other.py has not been trained yet" in done.stderr


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("trian",), "No such command 'trian'"),
        (("eval", "in.txt"), "Missing argument 'OUTFILE'"),
        (("--nope",), "No such"),
    ],
)
def test_wrong_use(mean: TaskFolder, args: tuple[str, ...], sentence: str) -> None:
    said = mean.run(*args)

    assert said.code == 2, said
    assert sentence in said.err


def test_help_says_what_there_is(mean: TaskFolder) -> None:
    said = mean.run("--help")

    assert said.code == 0
    assert "Predicts one number, the mean of its data" in said.out
    for command in ("train", "test", "eval", "server", "amend", "status"):
        assert f"\n  {command} " in said.out


def test_a_folder_whose_name_cannot_be_an_experiments(tmp_path: Path, made_store: Path) -> None:
    mean = make_task_folder(tmp_path, made_store, "_private")

    said = mean.run("train")

    assert said.code == 7
    assert "the folder '_private' of the script gives its name to the experiment, and cannot; rename it" in said.err


def test_the_current_folder_plays_no_part(mean: TaskFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = os.path.relpath(mean.folder / "mean.py", elsewhere)
    done = subprocess.run(
        [sys.executable, script, "train"],
        cwd=elsewhere,
        env=mean.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert last(mean).project_dir == str(mean.folder)
