"""The active run of MLflow in threads that work for another one: what they log reaches the run of that one.

MLflow keeps the active runs of each thread to itself. A thread that runs tasks is given those of the thread that runs
the flow, for as long as a task takes: a task then finds what it would have found there.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dioptra import settings
from dioptra.errors import StoreUnreachableError
from dioptra.tracking._address import without_secrets

__all__ = ["ScriptRuns", "joined_elsewhere"]

_FLUENT = "mlflow.tracking.fluent"
_LOCK = threading.RLock()  # held while a run is started because a task logs and there is none


class ScriptRuns:
    """The runs of MLflow that are active in the thread that makes this object; in others, `joined` gives them.

    A process that has not imported MLflow pays nothing.
    """

    def __init__(self) -> None:
        fluent = sys.modules.get(_FLUENT)
        self._known = fluent is not None
        self.active: list[Any] = [] if fluent is None else fluent._active_run_stack.get()

    def describe(self) -> dict[str, str] | None:
        """Return where the active run is, for `joined_elsewhere`: that of the script, else that of the job."""
        run_id = self.active[-1].info.run_id if self.active else settings.get("run_id")
        if not run_id:
            return None
        mlflow = sys.modules.get("mlflow")
        uri = mlflow.get_tracking_uri() if mlflow else settings.get("tracking_uri")
        return {"run_id": run_id, "tracking_uri": uri}

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Let this thread have these runs active inside the block; one that it leaves open becomes the script's."""
        fluent = sys.modules.get(_FLUENT)
        given = _Stack(self.active)
        if fluent is not None:
            _share(fluent)
            fluent._active_run_stack.set(given)
        before = list(given)
        try:
            yield
        finally:
            self._take_back(before)

    def hand_back(self) -> None:
        """Let runs that tasks have started be active in this thread, that of the script."""
        fluent = sys.modules.get(_FLUENT)
        if fluent is not None and not self._known:
            fluent._active_run_stack.get().extend(self.active)

    def _take_back(self, before: list[Any]) -> None:
        fluent = sys.modules.get(_FLUENT)
        if fluent is None:
            return
        now = fluent._active_run_stack.get()
        fluent._active_run_stack.set([])
        with _LOCK:
            ended = _ids(before) - _ids(now)
            kept = [run for run in self.active if run.info.run_id not in ended]
            self.active[:] = kept + [run for run in now if run.info.run_id not in _ids(kept)]


class _Stack(list[Any]):
    """The runs that are active in a thread that works for another; it knows the list of that one."""

    def __init__(self, script: list[Any]) -> None:
        super().__init__(script)
        self.script = script


def _ids(runs: list[Any]) -> set[str]:
    return {run.info.run_id for run in runs}


def _share(fluent: Any) -> None:
    """Let what logs without a run, in a script that has none, start one for the script instead of one a thread.

    In a job there is one: see `join_job`.
    """
    if not settings.get("run_id") and not hasattr(fluent._get_or_start_run, "__wrapped__"):
        fluent._get_or_start_run = _for_the_script(fluent._get_or_start_run, fluent)


def _for_the_script(original: Callable[[], Any], fluent: Any) -> Callable[[], Any]:
    @functools.wraps(original)
    def get_or_start_run() -> Any:
        stack = fluent._active_run_stack.get()
        if stack or not isinstance(stack, _Stack):
            return original()
        with _LOCK:
            if not stack.script:
                stack.script.append(original())
            return stack.script[-1]

    return get_or_start_run


@contextmanager
def joined_elsewhere(given: Mapping[str, str] | None) -> Iterator[None]:
    """Let what logs in this thread, of a process that works for a script elsewhere, reach the run of that script.

    Args:
        given: What `ScriptRuns.describe` has said there. Nothing is done in a process of the same job, which knows.
    """
    if given is None or given["run_id"] == settings.get("run_id") or find_spec("mlflow") is None:
        yield
        return
    import mlflow.tracking.fluent as fluent

    fluent._active_run_stack.set(_runs_of(fluent, given))
    try:
        yield
    finally:
        fluent._active_run_stack.set([])


def _runs_of(fluent: Any, given: Mapping[str, str]) -> list[Any]:
    uri = given["tracking_uri"]
    path = uri.removeprefix("sqlite:///")
    if path != uri and not Path(path).is_file():
        return _OutOfReach(without_secrets(uri, uri))
    import mlflow

    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
    return [fluent.ActiveRun(fluent.MlflowClient().get_run(given["run_id"]))]


class _OutOfReach(list[Any]):
    """The active runs where the store is a file of another machine: whoever logs is told."""

    def __init__(self, uri: str) -> None:
        super().__init__()
        self._uri = uri

    def __len__(self) -> int:
        raise StoreUnreachableError(
            f"the tracking store {self._uri} is a file that this worker of the cluster does not have",
            hint="use a server, or log in the script: see MLFLOW_TRACKING_URI",
        )
