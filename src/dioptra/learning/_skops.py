"""Fitted estimators as skops files: no pickle, and no types but those that are known to be harmless."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dioptra.errors import RefusedError, UsageError

__all__ = ["dump", "load"]

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


def _unknown(content: bytes, trusted: Collection[str]) -> str:
    import skops.io

    return ", ".join(sorted(set(skops.io.get_untrusted_types(data=content)) - _PARTS - set(trusted)))
