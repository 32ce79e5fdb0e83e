"""Whole models in one script: trained, tested, evaluated and served; each run kept with its exact code.

    from dioptra.learning import PytorchTask, SklearnTask

Names are fetched when they are first used: torch and scikit-learn are loaded only by those who use them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dioptra.learning._client import PredictClient
    from dioptra.learning._life import Life, LifeState
    from dioptra.learning._model_files import ModelFiles
    from dioptra.learning._record import NoRecord, Record
    from dioptra.learning._sklearn import SklearnTask
    from dioptra.learning._task import BaseTask
    from dioptra.learning._torch import PytorchTask, Task

__all__ = [
    "BaseTask",
    "Life",
    "LifeState",
    "ModelFiles",
    "NoRecord",
    "PredictClient",
    "PytorchTask",
    "Record",
    "SklearnTask",
    "Task",
]

_PLACES = {
    "BaseTask": "_task",
    "Life": "_life",
    "LifeState": "_life",
    "ModelFiles": "_model_files",
    "NoRecord": "_record",
    "PredictClient": "_client",
    "PytorchTask": "_torch",
    "Record": "_record",
    "SklearnTask": "_sklearn",
    "Task": "_torch",
}

if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> Any:
        """Fetch a public name on its first use."""
        if name not in _PLACES:
            raise AttributeError(f"module 'dioptra.learning' has no attribute {name!r}")
        value = getattr(import_module(f"dioptra.learning.{_PLACES[name]}"), name)
        globals()[name] = value
        return value
