"""The fast gradient method: one step along the gradient of the loss."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import ARTDependencyError, BaseTaskPluginError

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

__all__ = ["create_adversarial_images"]


@pyplugs.register
def create_adversarial_images(
    classifier: ClassifierMixin,
    x: NDArray[np.floating[Any]],
    y: NDArray[np.integer[Any]] | None = None,
    eps: float = 0.3,
    eps_step: float = 0.1,
    minimal: bool = False,
    norm: float | str = np.inf,
    targeted: bool = False,
    batch_size: int = 32,
) -> NDArray[np.floating[Any]]:
    """Change images by one step along the gradient of a scikit-learn classifier's loss, so that it errs.

    Args:
        classifier: Fitted logistic regression or support vector classifier of scikit-learn.
        x: (n, h, w, c) floating point numbers in [0, 1].
        y: (n,) labels 0 to classes - 1: the true ones, or those to reach where the attack is targeted. The
            classifier's own predictions by default.
        eps: Length of the step in the norm, in units of x; 0 gives the images unchanged.
        eps_step: Where `minimal`, the first length tried, and how much is added until the classifier errs or eps is
            reached.
        minimal: Whether to take the shortest step that works.
        norm: `inf`, 1 or 2, as a number or as text.
        targeted: Whether to make the classifier say y instead of anything else.
        batch_size: Number of images changed at once.

    Returns:
        The changed images, of the same shape and type as x, in [0, 1].

    Raises:
        BaseTaskPluginError: An argument is out of its range, or the classifier has no gradient.
        ARTDependencyError: The Adversarial Robustness Toolbox is not installed.

    Source: I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015,
        https://arxiv.org/abs/1412.6572
    """
    _check_images(x)
    eps, eps_step = _number("eps", eps, least=0), _number("eps_step", eps_step, least=math.ulp(0))
    if batch_size < 1:
        raise BaseTaskPluginError(f"batch_size must be at least 1, got {batch_size}")
    if not hasattr(classifier, "classes_"):
        raise BaseTaskPluginError(f"{type(classifier).__name__} has not been fitted", hint="fit it first")
    order = _norm(norm)
    if targeted and y is None:
        raise BaseTaskPluginError("a targeted attack needs y, the labels to reach")
    if y is not None:
        _check_labels(np.asarray(y), len(x), len(classifier.classes_))
    if eps == 0 or len(x) == 0:
        return x.copy()
    method, wrapped = _toolbox(classifier)
    attack = method(
        wrapped,
        norm=order,
        eps=eps,
        eps_step=eps_step,
        minimal=bool(minimal),
        targeted=bool(targeted),
        batch_size=int(batch_size),
    )
    with _quiet("art.attacks.evasion.fast_gradient"):
        changed: NDArray[Any] = attack.generate(x.reshape(len(x), -1), y=None if y is None else np.asarray(y))
    # The toolbox clips before it projects, after which rounding can lead a hair out of the range.
    return np.asarray(np.clip(changed, 0, 1), dtype=x.dtype).reshape(x.shape)


def _toolbox(classifier: ClassifierMixin) -> tuple[Any, Any]:
    """Return the toolbox's attack and its view of the classifier."""
    try:
        with warnings.catch_warnings():  # while it is imported it tells of packages that are of no use here
            warnings.filterwarnings("ignore", message="PyTorch not found")
            from art.attacks.evasion import FastGradientMethod
            from art.estimators.classification import SklearnClassifier
            from art.estimators.estimator import LossGradientsMixin
    except ImportError as error:
        raise ARTDependencyError(
            "the fast gradient method needs the Adversarial Robustness Toolbox, which cannot be imported",
            hint="pip install adversarial-robustness-toolbox packaging",
        ) from error
    wrapped = SklearnClassifier(model=classifier, clip_values=(0.0, 1.0))
    if not isinstance(wrapped, LossGradientsMixin):
        raise BaseTaskPluginError(
            f"a {type(classifier).__name__} has no gradient to follow", hint="use a logistic regression or an SVC"
        )
    return FastGradientMethod, wrapped


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger to warnings: the toolbox reports a success of 0% here, whatever the attack has done."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_images(x: NDArray[Any]) -> None:
    if not isinstance(x, np.ndarray) or not np.issubdtype(x.dtype, np.floating) or x.ndim < 2:
        raise BaseTaskPluginError(
            f"x must be an array of images in floating point numbers, got {getattr(x, 'dtype', type(x).__name__)}",
            hint="scale integers from 0 to 255 by 1/255",
        )
    if np.isnan(x).any():
        raise BaseTaskPluginError("x holds NaN")
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise BaseTaskPluginError(f"x must lie in [0, 1], got {x.min():g} to {x.max():g}")


def _number(name: str, value: float, *, least: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= least):
        raise BaseTaskPluginError(f"{name} must be a number {'above' if least else 'of at least'} 0, got {value!r}")
    return number


def _norm(norm: float | str) -> float:
    try:
        order = float(norm)
    except ValueError:
        order = math.nan
    if order not in (1, 2, math.inf):
        raise BaseTaskPluginError(f"norm must be inf, 1 or 2, got {norm}")
    return order


def _check_labels(y: NDArray[Any], images: int, classes: int) -> None:
    if y.shape != (images,) or not np.issubdtype(y.dtype, np.integer):
        raise BaseTaskPluginError(f"y must be {images} whole numbers, one for each image, got {y.dtype} {y.shape}")
    if y.size and not (y.min() >= 0 and y.max() < classes):
        raise BaseTaskPluginError(f"y must lie between 0 and {classes - 1}, got {y.min()} to {y.max()}")
