"""Bridges to Prefect: task plugins in its flows, and `from prefect import Flow, Parameter` in every job, as in 0.x.

A job's process has `STAND_IN_DIR` on its path, and so the module there is imported first as `prefect`. When there is a
real Prefect it gives way to that; else it is a thin Prefect 1 made of `dioptra.flow`.
"""

from dioptra.prefect._bridge import (
    active_flow,
    bridge,
    in_prefect_3,
    is_flow,
    prefect_1,
    submit,
    task_kinds,
    task_of,
    task_of_3,
)
from dioptra.prefect._ended import failed_flow
from dioptra.prefect._stand_in import STAND_IN_DIR

__all__ = [
    "STAND_IN_DIR",
    "active_flow",
    "bridge",
    "failed_flow",
    "in_prefect_3",
    "is_flow",
    "prefect_1",
    "submit",
    "task_kinds",
    "task_of",
    "task_of_3",
]
