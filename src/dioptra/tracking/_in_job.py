"""MLflow inside a job's processes: whatever thread or process logs, it logs to the job's run, and never ends it.

MLflow keeps the active run of each thread by itself, and forgets the run of its environment once one thread has joined
it. What another thread or a child process then logs would make runs of its own. A few functions are wrapped to mend
that; what a script starts explicitly stays its own.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from dioptra import settings
from dioptra.errors import RefusedError

__all__ = ["IN_JOB_DIR", "join_job"]

IN_JOB_DIR = Path(__file__).parent / "in_job"
_JOB_TAG = "dioptra.jobId"
_LOCK = threading.RLock()  # held while the environment may not name the job's run


def join_job(fluent: ModuleType) -> None:
    """Wrap what logs without naming a run, what chooses an experiment, and what makes a run.

    Args:
        fluent: MLflow's module `mlflow.tracking.fluent`, just imported in a process of a job.
    """
    if not settings.get("run_id"):
        return
    module: Any = fluent
    module._get_or_start_run = _shared(module._get_or_start_run, module)
    module.active_run = _seen(module.active_run, module)
    module.start_run = _own(module.start_run)
    module.end_run = _own(module.end_run)
    module.set_experiment = _explained(module.set_experiment)
    module.MlflowClient.create_run = _tagged(module.MlflowClient.create_run)


def _shared(original: Callable[[], Any], fluent: Any) -> Callable[[], Any]:
    """Log to the run that the script has active, else to the job's, which only the script itself joins."""

    @functools.wraps(original)
    def get_or_start_run() -> Any:
        if fluent._active_run_stack.get():
            return original()
        if _in_main_thread():
            if os.environ.get("MLFLOW_RUN_ID") and _is_the_script():
                return original()
        elif active := _active_in_main_thread(fluent):
            return active[-1]
        return fluent.ActiveRun(fluent.MlflowClient().get_run(settings.get("run_id")))

    return get_or_start_run


def _seen(original: Callable[[], Any], fluent: Any) -> Callable[[], Any]:
    """Let what looks for the active run find that too: models that are logged belong to it."""

    @functools.wraps(original)
    def active_run() -> Any:
        if fluent._active_run_stack.get() or (_in_main_thread() and _is_the_script()):
            return original()
        return fluent._get_or_start_run()

    return active_run


def _is_the_script() -> bool:
    """Tell whether this is the process that the job has started, not one that its script has."""
    return str(os.getppid()) == settings.get("worker_pid")


def _active_in_main_thread(fluent: Any) -> Any:
    return fluent._active_run_stack.get_all_thread_values().get(threading.main_thread().ident)


def _own(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a run that another thread than the script's starts and ends be its own, and leave the job's alone."""

    @functools.wraps(original)
    def in_this_thread(*args: Any, **more: Any) -> Any:
        with _LOCK:
            joins = None if _in_main_thread() else os.environ.pop("MLFLOW_RUN_ID", None)
            try:
                return original(*args, **more)
            finally:
                if joins is not None:
                    os.environ["MLFLOW_RUN_ID"] = joins

    return in_this_thread


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _explained(original: Callable[..., Any]) -> Callable[..., Any]:
    """Say why the job's run cannot move to another experiment; later runs of the script may be in any."""

    @functools.wraps(original)
    def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None, **more: Any) -> Any:
        own_name, own_id = settings.get("experiment"), os.environ.get("MLFLOW_EXPERIMENT_ID")
        elsewhere = experiment_name not in (None, own_name) or experiment_id not in (None, own_id)
        if elsewhere and os.environ.get("MLFLOW_RUN_ID"):
            wanted = experiment_name or f"with id {experiment_id}"
            raise RefusedError(
                f"the script asks for experiment {wanted!r}, but the job's run is in {own_name!r}",
                hint=f"run it with --experiment {wanted!r}, or take set_experiment out of the script",
            )
        return original(experiment_name, experiment_id, **more)

    return set_experiment


def _tagged(original: Callable[..., Any]) -> Callable[..., Any]:
    """Put the job's id on every run."""

    @functools.wraps(original)
    def create_run(
        self: Any,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        *args: Any,
        **more: Any,
    ) -> Any:
        return original(
            self, experiment_id, start_time, {_JOB_TAG: settings.get("job_id"), **(tags or {})}, *args, **more
        )

    return create_run
