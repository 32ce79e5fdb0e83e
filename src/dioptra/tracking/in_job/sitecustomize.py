"""Runs first in every Python process of a job: when MLflow is imported there, its runs become the job's.

It stands on the path of the job's processes and does nothing before MLflow is imported; another `sitecustomize` that
stands behind it on the path has its turn as well. It must never keep an interpreter from starting.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_WATCHED = "mlflow.tracking.fluent"


class _Watcher(importlib.abc.MetaPathFinder):
    """Finds nothing itself, but lets Dioptra see one module of MLflow once it has been executed."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != _WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_join(module: ModuleType) -> None:
                execute(module)
                _join(module)

            spec.loader.exec_module = execute_and_join  # type: ignore[method-assign]
        return spec


def _join(module: ModuleType) -> None:
    try:
        from dioptra.tracking import join_job
    except ImportError:  # an interpreter that has MLflow but not Dioptra
        return
    join_job(module)


def _next_in_line() -> None:
    """Run the `sitecustomize` that this one stands before."""
    here = Path(__file__).parent
    rest = [entry for entry in sys.path if Path(entry).absolute() != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _Watcher())
_next_in_line()
