"""MLflow, the tracker: one run for each attempt, in the home's own store or in the one that the user has set."""

from dioptra.tracking._carried import ScriptRuns, joined_elsewhere
from dioptra.tracking._in_job import IN_JOB_DIR, join_job
from dioptra.tracking._store import Run, TrackedRun, Tracking, check_experiment_name

__all__ = [
    "IN_JOB_DIR",
    "Run",
    "ScriptRuns",
    "TrackedRun",
    "Tracking",
    "check_experiment_name",
    "join_job",
    "joined_elsewhere",
]
