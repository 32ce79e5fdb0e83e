"""What a command finds when a person runs a script: its experiment, what has changed, the last snapshot."""

from __future__ import annotations

import fcntl
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dioptra import settings
from dioptra.errors import (
    DioptraError,
    ExperimentNotFoundError,
    InvalidParameterError,
    RefusedError,
    StoreUnreachableError,
)
from dioptra.experiment import Changes, DataFolder, Experiment, Library, Snapshot
from dioptra.learning._life import Life, LifeState
from dioptra.learning._places import trained_place
from dioptra.learning._record import RunRecord, Screen
from dioptra.learning._task import BaseTask
from dioptra.storage import find_home
from dioptra.tracking import Tracking, check_experiment_name

__all__ = ["Session", "open_tracking", "recorded"]

_SHOWN = 3  # changed files that a sentence names


@dataclass
class Session:
    """A script that a person runs; its commands refuse what would make results doubtful."""

    task: BaseTask
    script: Path

    def experiment(self) -> Experiment:
        """Return the experiment of the script's folder.

        Raises:
            ExperimentNotFoundError: Nothing of it has been kept yet.
        """
        return Library().get_experiment(self.script.parent.name)

    def last(self) -> Snapshot | None:
        """Return the newest snapshot of the script; another folder of the same name has its own."""
        try:
            found = self.experiment().snapshots()
        except ExperimentNotFoundError:
            return None
        return next((entry for entry in reversed(found) if self._is_own(entry)), None)

    def changes(self, since: Snapshot) -> Changes:
        """Return what has changed in the script's folder since a snapshot."""
        return self.experiment().check_changes(self.script.parent, since=since)

    def train(self, message: str | None, default: str | None, *, retrain: bool, force: bool) -> Snapshot:
        """Train: changed code makes a new snapshot, unchanged code is refused when it has been trained.

        Args:
            message: What to say about the snapshot, in place of what has been said.
            default: What to say about a new one without a message.
            retrain: Reset the last snapshot.
            force: Make a new snapshot of unchanged code.
        """
        with ExitStack() as training:
            with _alone(self._made_experiment()):
                snapshot, anew = self._to_train(message or default, retrain=retrain, force=force)
                training.enter_context(Life(snapshot.folder).training(self.typed("train")))
            if message and message != snapshot.comment:
                snapshot = self.experiment().amend(snapshot, project=self.script.parent, message=message)
            self._train(snapshot, anew=anew)
        return snapshot

    def usable(self, command: str, *, ignore: bool) -> tuple[Snapshot, DataFolder]:
        """Return the last snapshot, if its model can be used, and where the model lies.

        Raises:
            RefusedError: The code has changed, or it has not been trained; says what to type instead.
        """
        last = self.last()
        train = self.typed("train")
        if last is None:
            raise RefusedError(f"{self.script.name} has not been trained yet", hint=f"type `{train}`")
        changes = self.changes(last)
        if changes and not ignore:
            raise RefusedError(
                f"the code has changed since snapshot {last.name} ({_named(changes)})",
                hint=f"type `{train}` for a new snapshot, or `{self.typed(command)} --ignore` to use the last one",
            )
        _, models = self._state(last)
        if models is None:
            is_training = Life(last.folder).is_training
            problem = "has no model yet: its training goes on" if is_training else "has not been trained to its end"
            hint = "wait for its first model" if is_training else f"type `{train}` to go on with it"
            raise RefusedError(f"snapshot {last.name} {problem}", hint=hint)
        return last, models

    def test(self, *, ignore: bool, retest: bool) -> Snapshot:
        """Test the last snapshot; also while it is being trained, with the newest model."""
        snapshot, models = self.usable("test", ignore=ignore)
        life = Life(snapshot.folder)
        if self._state(snapshot)[0] is LifeState.TESTED and not retest:
            raise RefusedError(
                f"snapshot {snapshot.name} has been tested",
                hint=f"type `{self.typed('test')} --retest` to test it again",
            )
        mark = Life(models.folder).mark
        self.task.snapshot, self.task.models = snapshot, models
        self.task.load_model()
        tracking = open_tracking()
        with tracking.joined(life.run_id), recorded(self.task, tracking, life.run_id):
            self.task.test()
        life.tested(mark)
        if not mark:
            click.echo(f"the training of {snapshot.name} goes on; test it again when it has ended", err=True)
        return snapshot

    def load(self, command: str, *, ignore: bool) -> Snapshot:
        """Load the last model, to evaluate or to serve it."""
        snapshot, models = self.usable(command, ignore=ignore)
        self.task.snapshot, self.task.models = snapshot, models
        self.task.load_model()
        return snapshot

    def amend(self, message: str | None) -> Snapshot:
        """Let the last snapshot stand for the code as it is now."""
        last = self.last()
        if last is None:
            raise RefusedError("there is no snapshot to amend", hint=f"type `{self.typed('train')}`")
        changes = self.changes(last)
        if not changes and message is None:
            raise RefusedError(
                f"nothing has changed since snapshot {last.name}",
                hint=f"type `{self.typed('amend')} -m MESSAGE` to give it another comment",
            )
        if Life(last.folder).is_training:
            raise RefusedError(f"snapshot {last.name} is being trained", hint="wait for its end")
        if changes and any(job.snapshot == last.name for job in find_home().jobs()):
            raise RefusedError(
                f"snapshot {last.name} is what jobs ran, and must stay what it was",
                hint=f"type `{self.typed('train')}`",
            )
        return self.experiment().amend(last, project=self.script.parent, message=message)

    def status(self) -> dict[str, Any]:
        """Return where the script stands."""
        name = self.script.parent.name
        last = self.last()
        if last is None:
            return {"experiment": name, "snapshot": None, "state": None}
        life, changes = Life(last.folder), self.changes(last)
        state, found = self._state(last)
        models = found or last
        return {
            "experiment": name,
            "snapshot": last.name,
            "comment": last.comment,
            "state": str(state),
            "training": life.is_training,
            "run_id": life.run_id or None,
            "measured": models.latest(tested=False) | (last.latest() if state is LifeState.TESTED else {}),
            "models": [name for name in dict.fromkeys(models.model_files) if (models.folder / name).exists()],
            "modified": list(changes.modified),
            "removed": list(changes.removed),
            "untracked": list(changes.untracked),
        }

    def _state(self, snapshot: Snapshot) -> tuple[LifeState, DataFolder | None]:
        """Return how far a snapshot has come, by hand or by a job, and where its newest model lies, if it has one."""
        life = Life(snapshot.folder)
        models = trained_place(find_home(), snapshot.name, snapshot.folder)
        if models is None and not life.is_training and life.mark:
            return life.state, snapshot  # it keeps no files
        mark = Life(models.folder).mark if models and not life.is_training else ""
        if not mark:
            return LifeState.INITIALIZED, models
        return LifeState.TESTED if life.tested_mark == mark else LifeState.TRAINED, models

    def typed(self, command: str) -> str:
        """Return what a person types for a command."""
        return f"python {shlex.quote(self.script.name)} {command}"

    def _to_retrain(self, last: Snapshot | None, changes: Changes | None) -> Snapshot:
        train = self.typed("train")
        if last is None:
            raise RefusedError("there is no snapshot to train again", hint=f"type `{train}`")
        if changes:
            raise RefusedError(
                f"the code has changed since snapshot {last.name} ({_named(changes)}): it cannot be trained again",
                hint=f"type `{train}` for a new snapshot",
            )
        return last

    def _to_train(self, comment: str | None, *, retrain: bool, force: bool) -> tuple[Snapshot, bool]:
        """Return the snapshot to train, and whether what it has is to be dropped."""
        last = self.last()
        changes = self.changes(last) if last else None
        if retrain:
            return self._to_retrain(last, changes), True
        if last is None or changes or force:
            words = [comment] if comment else []
            return self.experiment().make_snapshot(*words, project=self.script.parent, script=self.script.name), False
        if Life(last.folder).is_training or self._state(last)[0] is LifeState.INITIALIZED:
            return last, False  # its training did not come to its end
        raise RefusedError(
            f"the code has not changed since snapshot {last.name}, which has been trained",
            hint=f"type `{self.typed('train')} --retrain` to train it again, or `--force` for a new snapshot of it",
        )

    def _made_experiment(self) -> Experiment:
        """Return the experiment of the script's folder; it is made if there is none."""
        name = self.script.parent.name
        try:
            check_experiment_name(name)
        except InvalidParameterError as error:
            raise InvalidParameterError(
                f"the folder {name!r} of the script gives its name to the experiment, and cannot", hint="rename it"
            ) from error
        found = Library().open_experiment(name)
        found.link_local_repo(self.script.parent)
        return found

    def _is_own(self, snapshot: Snapshot) -> bool:
        """Tell whether a snapshot is of this script, and not of one in another folder that is still there."""
        folder = Path(snapshot.project_dir)
        return snapshot.script == self.script.name and (folder == self.script.parent or not folder.is_dir())

    def _train(self, snapshot: Snapshot, *, anew: bool) -> None:
        life, tracking = Life(snapshot.folder), open_tracking()
        self.task.snapshot = snapshot
        go_on = "" if anew else life.run_id
        run = _run(tracking, self.script.parent.name, snapshot, go_on)
        with run as run_id, tracking.joined(run_id), recorded(self.task, tracking, run_id):
            life.forget()  # not before there is a run: what was trained stays when there is no store
            if anew:
                snapshot.reset()
            life.run_id = run_id
            self.task.record.parameters(self.task.parameters())
            self.task.train()
            snapshot.drop_test_data()  # of a model on the way


@contextmanager
def _alone(experiment: Experiment) -> Iterator[None]:
    """Let one process at a time decide which snapshot of an experiment it trains."""
    with (experiment.path / "train.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_tracking() -> Tracking:
    """Return the tracking store that the testbed uses."""
    home = find_home()
    home.make()
    uri = settings.get("tracking_uri")
    return Tracking(database=home.tracking_file, artifacts=home.artifacts_dir, uri=uri)


class _Run:
    """A run that is told; what it does not take is said once, and nothing more is tried where the store is gone."""

    def __init__(self, tracking: Tracking, run_id: str) -> None:
        self._tracking, self._run_id = tracking, run_id
        self._said: set[str] = set()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name."""
        self._tell(lambda: self._tracking.log_metrics(self._run_id, values, step))

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        """Log settings by name."""
        self._tell(lambda: self._tracking.log_parameters(self._run_id, values))

    def _tell(self, what: Callable[[], None]) -> None:
        if not self._run_id:
            return
        try:
            what()
        except DioptraError as error:
            if error.message not in self._said:
                click.echo(f"Warning: the MLflow run {self._run_id} cannot be written to: {error.message}", err=True)
                self._said.add(error.message)
            if isinstance(error, StoreUnreachableError):
                self._run_id = ""


@contextmanager
def recorded(task: BaseTask, tracking: Tracking, run_id: str) -> Iterator[None]:
    """Tell a run and a person how a training or a test goes, inside the block."""
    screen = Screen()
    before = task.record
    told = _Run(tracking, run_id)
    task.record = RunRecord(told.log, told.log_parameters, screen)
    try:
        with screen.shown():
            yield
    finally:
        task.record = before


@contextmanager
def _run(tracking: Tracking, experiment: str, snapshot: Snapshot, go_on: str) -> Iterator[str]:
    """Give a snapshot an MLflow run, which ends as the block does; a training that goes on has one already."""
    run_id = _reopened(tracking, go_on) or _new_run(tracking, experiment, snapshot)
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        tracking.end(run_id, status)


def _reopened(tracking: Tracking, run_id: str) -> str:
    """Let a run go on, and return its id; nothing when there is none, or it is gone from the store."""
    if not run_id:
        return ""
    try:
        tracking.reopen(run_id)
    except StoreUnreachableError:
        raise
    except DioptraError as error:
        click.echo(f"Warning: the run {run_id} cannot go on ({error.message}); a new one begins", err=True)
        return ""
    return run_id


def _new_run(tracking: Tracking, experiment: str, snapshot: Snapshot) -> str:
    repository = snapshot.repository or {}
    tags = {
        "mlflow.source.name": str(Path(snapshot.project_dir) / snapshot.script),
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": snapshot.comment,
        "dioptra.snapshot": snapshot.name,
        "dioptra.commit": snapshot.commit,
        "mlflow.source.git.commit": repository.get("head") or "",
    }
    name = f"{Path(snapshot.script).stem}-{snapshot.uid}"
    return tracking.start(experiment, name=name, parameters={}, tags={k: v for k, v in tags.items() if v}).run_id


def _named(changes: Changes) -> str:
    words = (("changed", changes.modified), ("removed", changes.removed), ("new", changes.untracked))
    found = [f"{path} is {word}" for word, paths in words for path in paths]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
