"""Fitted estimators as skops files: no pickle, and no types but those that are known to be harmless."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from dioptra.errors import RefusedError, UsageError
from dioptra.storage import with_member

__all__ = ["dump", "load", "renamed"]

# Parts of scikit-learn's own models that skops leaves to its user: arrays with a shell of C, settings, plain functions.
# A forged one can crash the process, but the manifest's hash is checked before.
_PARTS = frozenset(
    {
        "numpy.dtype",
        "numpy.mean",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)


def dump(estimator: Any, trusted: Collection[str]) -> bytes:
    """Return an estimator as a skops file.

    Args:
        estimator: Fitted or not.
        trusted: Types that it may hold besides those that are known.

    Raises:
        UsageError: It could not be loaded again.

    Source: https://skops.readthedocs.io/en/stable/persistence.html
    """
    import skops.io

    name = type(estimator).__name__
    try:
        content: bytes = skops.io.dumps(estimator)
    except Exception as error:  # what a class of one's own can raise, nobody lists
        raise UsageError(f"{name} cannot be kept as a skops file ({error})", hint="take another estimator") from error
    if unknown := _unknown(content, trusted):
        hint = "see what they do when they are loaded, then name them in `trusted_types`"
        raise UsageError(f"{name} holds types that are not known to be harmless ({unknown})", hint=hint)
    return content


def load(content: bytes, trusted: Collection[str]) -> Any:
    """Return the estimator of a skops file.

    Raises:
        RefusedError: It holds types that are neither known nor trusted.
        Exception: It is no skops file, or one of another version.
    """
    import skops.io

    if unknown := _unknown(content, trusted):
        raise RefusedError(f"it holds types that are not known to be harmless ({unknown})")
    return skops.io.loads(content, trusted=[*_PARTS, *trusted])


def renamed(content: bytes, name_of: Callable[[str], str | None]) -> bytes:
    """Return a skops file whose types lie in modules of other names.

    Args:
        content: The file.
        name_of: Gives another name of a module, or None to leave it.

    Raises:
        Exception: It is no skops file.
    """
    return with_member(content, "schema.json", lambda text: json.dumps(_with_modules(json.loads(text), name_of)))


def _with_modules(node: Any, name_of: Callable[[str], str | None]) -> Any:
    if isinstance(node, list):
        return [_with_modules(part, name_of) for part in node]
    if not isinstance(node, dict):
        return node
    module = node.get("__module__")
    own = {"__module__": name_of(module) or module} if isinstance(module, str) else {}
    return {name: _with_modules(part, name_of) for name, part in node.items()} | own


def _unknown(content: bytes, trusted: Collection[str]) -> str:
    import skops.io

    return ", ".join(sorted(set(skops.io.get_untrusted_types(data=content)) - _PARTS - set(trusted)))
