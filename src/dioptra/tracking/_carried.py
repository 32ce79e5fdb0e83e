"""The active run of MLflow in threads that work for another one: what they log reaches the run of that one.

MLflow keeps the active runs of each thread to itself. A thread that runs tasks is given those of the thread that runs
the flow, for as long as a task takes: a task then finds what it would have found there. A thread that such a thread
starts with a copy of its context finds them as well.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from dioptra import settings
from dioptra.errors import StoreUnreachableError
from dioptra.tracking._address import without_secrets

__all__ = ["ScriptRuns", "joined_elsewhere"]

_FLUENT = "mlflow.tracking.fluent"
_LOCK = threading.RLock()  # held while a run is started because a task logs and there is none
_GIVEN: ContextVar[Callable[[], list[Any]] | None] = ContextVar("dioptra_mlflow_runs", default=None)


class ScriptRuns:
    """The runs of MLflow that are active in the thread that makes this object; in others, `joined` gives them."""

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
        before = list(self.active)
        try:
            with _given(lambda: _OfScript(self.active)):
                try:
                    yield
                finally:
                    self._take_back(before)
        finally:
            _forget()

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
        with _LOCK:
            ended = _ids(before) - _ids(now)
            kept = [run for run in self.active if run.info.run_id not in ended]
            self.active[:] = kept + [run for run in now if run.info.run_id not in _ids(kept)]


@contextmanager
def joined_elsewhere(given: Mapping[str, str] | None) -> Iterator[None]:
    """Let what logs in this thread, of a process that works for a script elsewhere, reach the run of that script.

    The store is asked for the run when something looks for it.

    Args:
        given: What `ScriptRuns.describe` has said there. Nothing is done in a process of the same job, which knows.
    """
    if given is None or given["run_id"] == settings.get("run_id"):
        yield
        return
    try:
        with _given(lambda: _OfElsewhere(given)):
            yield
    finally:
        _forget()


@contextmanager
def _given(runs: Callable[[], list[Any]]) -> Iterator[None]:
    token = _GIVEN.set(runs)
    _when_loaded(_prepare)
    _forget()  # what this thread had before; the next look asks for the runs that are given
    try:
        yield
    finally:
        _GIVEN.reset(token)


def _forget() -> None:
    """Let MLflow ask anew which runs this thread has."""
    fluent = sys.modules.get(_FLUENT)
    if fluent is not None and hasattr(fluent._active_run_stack.thread_local, "value"):
        del fluent._active_run_stack.thread_local.value


def _prepare(fluent: Any) -> None:
    """Let threads that have no runs of their own find those that are given, and start one for all if there is none."""
    stack = fluent._active_run_stack
    if not hasattr(stack.default_factory, "__wrapped__"):
        stack.default_factory = _given_or(stack.default_factory)
        if not settings.get("run_id"):  # in a job there is a run: see `join_job`
            fluent._get_or_start_run = _for_the_script(fluent._get_or_start_run, fluent)


def _given_or(original: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
    @functools.wraps(original)
    def runs() -> list[Any]:
        given = _GIVEN.get()
        return original() if given is None else given()

    return runs


def _for_the_script(original: Callable[[], Any], fluent: Any) -> Callable[[], Any]:
    @functools.wraps(original)
    def get_or_start_run() -> Any:
        stack = fluent._active_run_stack.get()
        if not isinstance(stack, _OfScript) or stack:
            return original()
        with _LOCK:
            if not stack.script:
                stack.script.append(original())
            return stack.script[-1]

    return get_or_start_run


class _OfScript(list[Any]):
    """The runs that are active in a thread that works for another; it knows the list of that one."""

    def __init__(self, script: list[Any]) -> None:
        super().__init__(script)
        self.script = script


class _OfElsewhere(list[Any]):
    """The run of a script elsewhere, which is fetched when somebody asks how many there are."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__()
        self._given: Mapping[str, str] | None = given

    def __len__(self) -> int:
        if self._given is not None:
            run = _run_of(self._given["tracking_uri"], self._given["run_id"])
            self._given = None
            self.append(run)
        return super().__len__()


@functools.lru_cache(maxsize=32)
def _run_of(uri: str, run_id: str) -> Any:
    path = uri.removeprefix("sqlite:///")
    if path != uri and not Path(path).is_file():
        raise StoreUnreachableError(
            f"the tracking store {without_secrets(uri, uri)} is a file that this worker of the cluster does not have",
            hint="use a server, or log in the script: see MLFLOW_TRACKING_URI",
        )
    import mlflow

    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
    fluent: Any = sys.modules[_FLUENT]
    return fluent.ActiveRun(fluent.MlflowClient().get_run(run_id))


def _ids(runs: list[Any]) -> set[str]:
    return {run.info.run_id for run in runs}


def _when_loaded(act: Callable[[ModuleType], None]) -> None:
    """Do something with MLflow's module once it is there: now, or when something imports it."""
    if (fluent := sys.modules.get(_FLUENT)) is not None and not getattr(fluent.__spec__, "_initializing", False):
        act(fluent)
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher(act))


class _Watcher(MetaPathFinder):
    """Finds nothing itself, but sees one module of MLflow once it has been executed."""

    def __init__(self, act: Callable[[ModuleType], None]) -> None:
        self._act = act

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        """Find the module as others do, and have it executed under watch."""
        if name != _FLUENT or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_act(module: ModuleType) -> None:
                execute(module)
                self._act(module)

            spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]
        return spec
