"""What models consist of, so that they can be hashed: their parameters and what they have learned, without any clock.

Nothing is imported for it: an instance cannot be there unless its package is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["reader_of"]

# What scikit-learn keeps of clocks, and an address.
_PASSING = frozenset({"refit_time_", "_init_prev_time", "_iter_prev_time", "_stop_words_id"})
_TIMES = ("fit_time", "score_time")  # parts of the names under which a search keeps how long it took

Reader = Callable[[Any], dict[Any, Any]]


def reader_of(value: Any) -> Reader | None:
    """Return what tells the parts of a model, None when the value is none that is known.

    Known are scikit-learn's estimators and what they are made of, the wrappers of the Adversarial Robustness Toolbox,
    and modules of torch.
    """
    known: tuple[tuple[str, str, Reader], ...] = (
        ("sklearn.base", "BaseEstimator", _estimator),
        ("art.estimators.estimator", "BaseEstimator", _wrapper),
        ("torch.nn", "Module", _network),
    )
    for module, name, reader in known:
        if isinstance(value, getattr(sys.modules.get(module), name, ())):
            return reader
    return _part if type(value).__module__.startswith("sklearn.") else None


def _estimator(value: Any) -> dict[Any, Any]:
    """Parameters and what was learned; not the version of the package, which `__getstate__` would add."""
    parts = {name: part for name, part in vars(value).items() if name not in _PASSING}
    if isinstance(found := parts.get("cv_results_"), dict):
        parts["cv_results_"] = {name: part for name, part in found.items() if not any(word in name for word in _TIMES)}
    return parts


def _part(value: Any) -> dict[Any, Any]:
    """What an estimator holds of its package: trees, losses, kernels, splitters; some of them are compiled."""
    if isinstance(value, dict):
        return dict(value)
    if hasattr(value, "get_arrays"):  # a KDTree or BallTree, whose state also counts how often it was asked
        return {"arrays": value.get_arrays()}
    try:
        _, *parts = value.__reduce_ex__(2)[:3]
    except Exception:  # it cannot be taken apart: its type has to do
        return {}
    return {"parts": parts}


def _wrapper(value: Any) -> dict[Any, Any]:
    return {"model": value.model, "clip_values": getattr(value, "clip_values", None)}


def _network(value: Any) -> dict[Any, Any]:
    """The kinds of the layers, for some have no weights, and all weights."""
    layers = [(name, type(layer)) for name, layer in value.named_modules()]
    return {"layers": layers, "state": dict(value.state_dict())}
