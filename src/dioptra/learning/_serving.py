"""Serving a task's model: the one that was trained last, or a past version with its own code."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from dioptra.errors import RefusedError, UsageError
from dioptra.experiment import Data, DataFolder, Snapshot
from dioptra.learning._job import JobSession
from dioptra.learning._life import Life
from dioptra.learning._places import trained_place
from dioptra.learning._session import Session
from dioptra.learning._task import BaseTask
from dioptra.storage import find_home

__all__ = ["Door", "serve_snapshot", "serve_task"]


@dataclass(frozen=True)
class Door:
    """Where a server listens, what clients must say to be let in, and how many are."""

    host: str
    port: int
    socket: Path | None
    token: str
    limits: Mapping[str, Any] = field(default_factory=dict)


def serve_task(task: BaseTask, place: Data, door: Door) -> None:
    """Serve a task whose model has been loaded, until the process is asked to end."""
    from dioptra.learning._serve import Served, serve

    shape = task.describe_input()
    served = Served(
        predict=task.predict,
        sample_shape=shape.get("sample_shape"),
        dtype=shape.get("dtype", "float32"),
        snapshot=_described(task, place),
    )
    place_to_listen: dict[str, Any] = {"host": door.host, "port": door.port, "socket": door.socket}
    serve(served, **place_to_listen, token=door.token, on_ready=_say_ready, **door.limits)


def serve_snapshot(session: Session | JobSession, address: str, door: Door) -> None:
    """Serve a snapshot of a script's experiment with the code of that snapshot."""
    if isinstance(session, JobSession):
        raise UsageError("a job serves the snapshot that it runs", hint="leave --snapshot out")
    experiment = session.experiment()
    snapshot = experiment.get_snapshot(address)
    models = trained_place(find_home(), snapshot.name, snapshot.folder)
    if models is None:
        raise RefusedError(
            f"snapshot {snapshot.name} has not been trained to its end",
            hint=f"name another one; `dioptra snapshot list --experiment {shlex.quote(experiment.name)}` lists them",
        )
    is_now = snapshot.script == session.script.name and not session.changes(snapshot)
    task = session.task if is_now else experiment.import_snapshot(snapshot)
    task.snapshot, task.models = snapshot, models
    task.load_model()
    serve_task(task, snapshot, door)


def _described(task: BaseTask, place: Data) -> Mapping[str, Any]:
    model = task.models.fetch_last_model_file()
    found: dict[str, Any] = {"model": model.name if model else None}
    if isinstance(place, Snapshot):
        found |= {"snapshot": place.name, "commit": place.commit, "comment": place.comment, "script": place.script}
        found |= {"test_data": _tested(task, place)}
    return found


def _tested(task: BaseTask, snapshot: Snapshot) -> dict[str, float]:
    """Return what a test of the very model that is served has measured; nothing if another one was tested."""
    mark = Life(task.models.folder).mark if isinstance(task.models, DataFolder) else ""
    if not mark or Life(snapshot.folder).tested_mark != mark:
        return {}
    return {name: value for name, value in snapshot.test_data.items() if isinstance(value, (int, float))}


def _say_ready(address: str) -> None:
    click.echo(f"serving at {address}; Ctrl-C ends it", err=True)
