"""The generic functions."""

from __future__ import annotations

from typing import Any

from dioptra.errors import BaseGenericsRegistryError
from dioptra.sdk.generics._dispatch import Generic

__all__ = ["estimator_predict", "fit_estimator"]


@Generic
def fit_estimator(estimator: Any, x: Any, y: Any = None, **kwargs: Any) -> Any:
    """Fit an estimator to data and return what its library returns; by default `estimator.fit(x, y, **kwargs)`.

    Args:
        estimator: The estimator.
        x: The data, of whatever kind the estimator takes.
        y: The targets, if they are not part of `x`.
        **kwargs: Options of the function that is chosen.

    Raises:
        BaseGenericsRegistryError: No function fits, and the estimator has no method `fit`.
    """
    return _method(estimator, "fit", "fit_estimator")(x, y, **kwargs)


@Generic
def estimator_predict(estimator: Any, x: Any, **kwargs: Any) -> Any:
    """Return what an estimator says about data; by default `estimator.predict(x, **kwargs)`.

    Args:
        estimator: The estimator.
        x: The data, of whatever kind the estimator takes.
        **kwargs: Options of the function that is chosen.

    Raises:
        BaseGenericsRegistryError: No function fits, and the estimator has no method `predict`.
    """
    return _method(estimator, "predict", "estimator_predict")(x, **kwargs)


def _method(estimator: Any, name: str, generic: str) -> Any:
    method = getattr(estimator, name, None)
    if not callable(method):
        raise BaseGenericsRegistryError(
            f"{generic} does not know a {type(estimator).__name__}, which has no method {name!r}",
            hint=f"write @{generic}.register above a function whose first argument has this type",
        )
    return method
