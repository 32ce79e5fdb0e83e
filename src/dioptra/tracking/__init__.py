"""MLflow, the tracker: one run for each attempt, in the home's own store or in the one that the user has set."""

from dioptra.tracking._store import Run, TrackedRun, Tracking, check_experiment_name

__all__ = ["Run", "TrackedRun", "Tracking", "check_experiment_name"]
