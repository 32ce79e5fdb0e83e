"""What can go wrong with metrics."""

from __future__ import annotations

from dioptra.errors import BaseTaskPluginError

__all__ = ["UnknownDistanceMetricError", "UnknownPerformanceMetricError"]


class UnknownDistanceMetricError(BaseTaskPluginError):
    """There is no distance metric of that name."""

    code = "unknown-distance-metric"


class UnknownPerformanceMetricError(BaseTaskPluginError):
    """There is no performance metric of that name."""

    code = "unknown-performance-metric"
