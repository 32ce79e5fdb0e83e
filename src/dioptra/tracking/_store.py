"""Starts, ends and reads runs of MLflow."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dioptra.errors import (
    DioptraError,
    InvalidParameterError,
    NotFoundError,
    RefusedError,
    StoreUnreachableError,
    UsageError,
)
from dioptra.tracking._address import absolute, check_answers, is_server, without_secrets

__all__ = ["Run", "TrackedRun", "Tracking", "check_experiment_name"]

_EXPERIMENT_NAME = re.compile(r"[^\W_][\w. -]{0,99}")
_BATCH = 100  # parameters and tags that MLflow takes in one call
_KNOWN = 10.0  # seconds that the id of an experiment is taken for true: it may be renamed, or removed and made again
_VALUE_LENGTH = 6000  # characters of a parameter's value that MLflow keeps
_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"  # where MLflow puts artifacts of experiments that name no place
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


@dataclass(frozen=True)
class TrackedRun:
    """A run that was started, and what a process needs to join it."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    artifact_root: str = ""

    def environment(self) -> dict[str, str]:
        """Return the variables with which `mlflow.start_run()` in another process joins the run."""
        return {
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MLFLOW_RUN_ID": self.run_id,
            "MLFLOW_EXPERIMENT_ID": self.experiment_id,
            **QUIET,
            **({_ARTIFACT_ROOT: self.artifact_root} if self.artifact_root else {}),
        }


@dataclass(frozen=True)
class Run:
    """What a run has recorded."""

    run_id: str
    status: str
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]


def check_experiment_name(name: str) -> str:
    """Return the name if it can be an experiment's; it becomes part of paths."""
    if not _EXPERIMENT_NAME.fullmatch(name):
        raise InvalidParameterError(
            f"{name[:120]!r} cannot be an experiment's name",
            hint="use 1 to 100 letters, digits, spaces, '.', '_' and '-', the first a letter or digit",
        )
    return name


class Tracking:
    """The tracking store: the one at `uri`, else an SQLite database of the home."""

    def __init__(self, *, database: Path, artifacts: Path, uri: str = "") -> None:
        self._database = database
        self._artifacts = artifacts
        self.uri = absolute(uri) or f"sqlite:///{database}"
        self._own = self.uri == f"sqlite:///{database}"
        self._experiment_ids: dict[str, tuple[str, float]] = {}

    @property
    def name(self) -> str:
        """The store's address, without secrets."""
        return without_secrets(self.uri, self.uri)

    @property
    def file(self) -> Path | None:
        """The store's file, when it is an SQLite database."""
        path = self.uri.removeprefix("sqlite:///")
        return Path(path) if path != self.uri and path != ":memory:" else None

    def check_place(self) -> None:
        """Raise UsageError when the home lies where its own store cannot."""
        if self._own and (bad := set("?%#") & set(str(self._database))):
            raise UsageError(
                f"the home {str(self._database.parent)!r} has {min(bad)!r} in its path, "
                "which the tracking store cannot have",
                hint="set DIOPTRA_HOME to another folder",
            )

    def count_experiments(self) -> int:
        """Return how many experiments the store holds: a way to see that it answers."""
        with self._translated():
            return len(self._client.search_experiments(max_results=1000))

    def start(
        self, experiment: str, *, name: str, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> TrackedRun:
        """Start a run, with its parameters and tags on it, in the experiment of that name.

        Raises:
            StoreUnreachableError: The store does not answer or cannot be used.
            RefusedError: The experiment has been deleted.
        """
        check_experiment_name(experiment)
        with self._translated():
            experiment_id, run_id = self._create_run(experiment, name, tags)
            try:
                self._log_parameters(run_id, parameters)
            except BaseException:
                self._client.delete_run(run_id)
                raise
        return TrackedRun(run_id, experiment_id, self.uri, self._artifact_root)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers by name, all of one step."""
        with self._translated():
            from mlflow.entities import Metric

            at = int(time.time() * 1000)
            entries = [Metric(name, float(value), at, step) for name, value in metrics.items()]
            self._client.log_batch(run_id, metrics=entries)

    def log_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        """Log settings by name."""
        with self._translated():
            self._log_parameters(run_id, parameters)

    def log_file(self, run_id: str, file: Path, folder: str) -> None:
        """Log a file as an artifact, in a folder of the run's artifacts."""
        with self._translated():
            self._client.log_artifact(run_id, str(file), folder)

    def end(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED, whatever its script has said."""
        with self._translated():
            self._client.set_terminated(run_id, status)

    def environment(self) -> dict[str, str]:
        """Return the variables with which another process uses this store."""
        found = TrackedRun("", "", self.uri, self._artifact_root).environment()
        return {name: value for name, value in found.items() if value}

    def unfinished(self, experiment: str, tags: Mapping[str, str]) -> list[str]:
        """Return the ids of an experiment's runs with some tags that have not ended."""
        with self._translated():
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                return []
            wanted = " and ".join([f"tags.`{name}` = '{value}'" for name, value in tags.items()])
            runs = self._client.search_runs([found.experiment_id], f"{wanted} and attributes.status = 'RUNNING'")
        return [str(run.info.run_id) for run in runs]

    def reopen(self, run_id: str) -> None:
        """Let a run go on that has ended, or whose process was killed."""
        with self._translated():
            self._client.update_run(run_id, status="RUNNING")

    @contextmanager
    def joined(self, run_id: str) -> Iterator[None]:
        """Let what logs to MLflow without naming a run log to this one inside the block, unless it chose another store.

        The run is running inside the block, and FINISHED after it if something joined it.
        """
        mlflow = sys.modules.get("mlflow")
        if not run_id or (
            mlflow and mlflow.tracking.is_tracking_uri_set() and absolute(mlflow.get_tracking_uri()) != self.uri
        ):
            yield
            return
        names = TrackedRun(run_id, "", self.uri, self._artifact_root).environment()
        del names["MLFLOW_EXPERIMENT_ID"]
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        try:
            yield
        finally:
            mlflow = sys.modules.get("mlflow")
            if mlflow and (active := mlflow.active_run()) and active.info.run_id == run_id:
                mlflow.end_run()
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({name: value} if value is not None else {})

    def run(self, run_id: str) -> Run:
        """Return what a run has recorded."""
        with self._translated():
            found = self._client.get_run(run_id)
        return Run(run_id, found.info.status, found.data.metrics, found.data.params, found.data.tags)

    def download(self, run_id: str, artifact_path: str, into: Path) -> Path:
        """Fetch an artifact of a run into a folder."""
        with self._translated():
            return Path(self._client.download_artifacts(run_id, artifact_path, str(into)))

    def registered_version(self, run_id: str) -> tuple[str, str]:
        """Return name and version of the model that a run registered.

        Raises:
            NotFoundError: It registered none.
        """
        with self._translated():
            versions = self._client.search_model_versions(f"run_id = '{run_id}'")
        if not versions:
            raise NotFoundError(f"run {run_id} registered no model")
        return str(versions[0].name), str(versions[0].version)

    def forget_registered(self, run_id: str) -> None:
        """Remove the versions of models that a run registered, so that nobody takes them for the latest ones."""
        with self._translated():
            for version in self._client.search_model_versions(f"run_id = '{run_id}'"):
                self._client.delete_model_version(version.name, version.version)

    def _create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> tuple[str, str]:
        """Create a run, and return the ids of its experiment and of itself; a worker starts many in a row."""
        from mlflow.exceptions import MlflowException

        experiment_id, until = self._experiment_ids.pop(experiment, ("", 0.0))
        if time.monotonic() < until:
            with suppress(MlflowException):  # as when it has been deleted meanwhile
                run = self._client.create_run(experiment_id, run_name=name, tags=dict(tags))
                self._experiment_ids[experiment] = experiment_id, until
                return experiment_id, str(run.info.run_id)
        experiment_id = self._experiment_id(experiment)
        run = self._client.create_run(experiment_id, run_name=name, tags=dict(tags))
        self._experiment_ids[experiment] = experiment_id, time.monotonic() + _KNOWN
        return experiment_id, str(run.info.run_id)

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return self._create_experiment(name)
        if found.lifecycle_stage != "active":
            raise RefusedError(
                f"experiment {name!r} was deleted from the tracking store",
                hint="restore it with `mlflow experiments restore`, or name another with --experiment",
            )
        return str(found.experiment_id)

    def _create_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        location = (self._artifacts / name).as_uri() if self._artifact_root else None
        try:
            return str(self._client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code == "RESOURCE_ALREADY_EXISTS" and (other := self._client.get_experiment_by_name(name)):
                return str(other.experiment_id)
            raise

    def _log_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(name, _shortened(str(value))) for name, value in parameters.items()]
        for start in range(0, len(entries), _BATCH):
            self._client.log_batch(run_id, params=entries[start : start + _BATCH])

    @property
    def _artifact_root(self) -> str:
        """The folder for artifacts, where no server decides on that."""
        return "" if is_server(self.uri) else self._artifacts.as_uri()

    @cached_property
    def _client(self) -> Any:
        """Open the store; the home's own is made when there is none, by one process at a time."""
        check_answers(self.uri)
        for name, value in {**QUIET, **({_ARTIFACT_ROOT: self._artifact_root} if self._artifact_root else {})}.items():
            os.environ.setdefault(name, value)
        with _without_collector(), _quiet("mlflow.store.db.utils", "alembic"):
            from mlflow.tracking import MlflowClient

            if self._own:
                self.check_place()
                _make_database(self._database, self._artifact_root)
            return MlflowClient(self.uri)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what MLflow and its database raise into one sentence without secrets."""
        try:
            yield
        except (ImportError, OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("mlflow", "sqlalchemy", "requests", "alembic"):
                raise
            kind = _KINDS.get(getattr(error, "error_code", ""))
            if kind is not None and "_client" in vars(self):  # the store is open: this is about what was asked of it
                raise kind(self._reason(error)) from error
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreUnreachableError:
        return StoreUnreachableError(
            f"the tracking store {self.name} cannot be used ({self._reason(error)})",
            hint="check DIOPTRA_HOME" if self._own else "check MLFLOW_TRACKING_URI",
        )

    def _reason(self, error: Exception) -> str:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return without_secrets(re.sub(r"^\([\w.]+\) ", "", line), self.uri)


def _shortened(value: str) -> str:
    return value if len(value) <= _VALUE_LENGTH else value[: _VALUE_LENGTH - 3] + "..."


_KINDS: dict[str, type[DioptraError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFoundError,
    "INVALID_PARAMETER_VALUE": InvalidParameterError,
}


def _make_database(database: Path, artifact_root: str) -> None:
    """Make the store when there is none: whole and aside first, so that no interruption leaves half of one."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with _locked(database):
        if not database.exists():
            aside = database.with_name(f"{database.name}.new")
            aside.unlink(missing_ok=True)
            SqlAlchemyStore(f"sqlite:///{aside}", artifact_root).engine.dispose()  # opening it makes its tables
            with closing(sqlite3.connect(aside)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # kept in the file: readers and a writer do not wait
            aside.replace(database)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Hold the collector back while thousands of modules and mappings are made, none of which is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Hold the lock of a database."""
    with database.with_name(f"{database.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Keep the making of tables out of a person's terminal."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
