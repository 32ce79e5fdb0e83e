"""Bridges to Prefect, for the scripts of Dioptra 0.x: `from prefect import Flow, Parameter` works in every job.

A job's process has `STAND_IN_DIR` on its path, and so the module there is imported first as `prefect`. When there is a
real Prefect it gives way to that; else it is a thin Prefect 1 made of `dioptra.flow`.
"""

from dioptra.prefect._bridge import active_flow, bridge, is_flow, is_task, prefect_1, task_of
from dioptra.prefect._ended import failed_flow
from dioptra.prefect._stand_in import STAND_IN_DIR

__all__ = ["STAND_IN_DIR", "active_flow", "bridge", "failed_flow", "is_flow", "is_task", "prefect_1", "task_of"]
