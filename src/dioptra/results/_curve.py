"""What a model does under attack, as points of a curve: accuracy for each strength of the attack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from dioptra.errors import UsageError

__all__ = ["TABLE_HEADER", "CurvePoint", "RobustnessCurve", "monotone", "rises", "table_rows", "wilson_interval"]

TABLE_HEADER = ("Epsilon", "Clean accuracy", "Robust accuracy", "Mean L2", "Mean Linf")


def wilson_interval(accuracy: float, samples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval that the true accuracy lies in, by the score test, as a share of 1.

    Args:
        accuracy: Share of samples that were right, 0 to 1.
        samples: Number of samples, at least 1.
        confidence: How often such an interval holds the true accuracy.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the
        American Statistical Association 22, 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    if samples < 1 or not 0 <= accuracy <= 1 or not 0 < confidence < 1:
        raise UsageError(f"no interval for accuracy {accuracy}, {samples} samples and confidence {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z**2 / samples
    middle = (accuracy + z**2 / (2 * samples)) / scale
    reach = z / scale * math.sqrt(accuracy * (1 - accuracy) / samples + z**2 / (4 * samples**2))
    # Rounding may put an end a hair inside the accuracy, which it equals at 0 and 1.
    return max(0.0, min(middle - reach, accuracy)), min(1.0, max(middle + reach, accuracy))


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What was measured at one strength of an attack."""

    epsilon: float
    clean_accuracy: float
    robust_accuracy: float
    samples: int
    mean_l2: float = math.nan
    mean_linf: float = math.nan
    run_id: str = ""
    job_id: str = ""

    @property
    def clean_interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy on clean samples."""
        return wilson_interval(self.clean_accuracy, self.samples)

    @property
    def robust_interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy on adversarial samples."""
        return wilson_interval(self.robust_accuracy, self.samples)


@dataclass(frozen=True, kw_only=True)
class RobustnessCurve:
    """The points of one model under one attack, in the order of epsilon."""

    points: tuple[CurvePoint, ...]
    model_name: str = ""
    model_version: str = ""
    dataset: str = ""
    attack: str = "Fast gradient method"
    norm: str = "inf"
    classes: int = 10

    def __post_init__(self) -> None:
        if not self.points:
            raise UsageError("a curve needs at least one point")
        object.__setattr__(self, "points", tuple(sorted(self.points, key=lambda point: point.epsilon)))

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return 1 / self.classes

    @property
    def clean_accuracy(self) -> float:
        """The accuracy on clean samples."""
        return self.points[0].clean_accuracy


def rises(curve: RobustnessCurve) -> tuple[tuple[CurvePoint, CurvePoint], ...]:
    """Return each point where accuracy is above the interval of a weaker attack, after that weaker one."""
    found = []
    lowest = curve.points[0]
    for point in curve.points[1:]:
        if point.robust_accuracy > lowest.robust_interval[1]:
            found.append((lowest, point))
        lowest = min(lowest, point, key=lambda candidate: candidate.robust_accuracy)
    return tuple(found)


def monotone(curve: RobustnessCurve) -> bool:
    """Tell whether robust accuracy never rises with epsilon by more than its interval, as it should not."""
    return not rises(curve)


def table_rows(curve: RobustnessCurve) -> list[tuple[str, ...]]:
    """Return the curve as text for a table, a row for each point under `TABLE_HEADER`."""
    return [
        (
            f"{point.epsilon:g}",
            _accuracy(point.clean_accuracy, point.clean_interval),
            _accuracy(point.robust_accuracy, point.robust_interval),
            _length(point.mean_l2),
            _length(point.mean_linf),
        )
        for point in curve.points
    ]


def _accuracy(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{share:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def _length(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
