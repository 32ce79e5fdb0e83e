"""Pictures of the flows that an attempt ran: in its folder, and as artifacts of its run. They never fail a job."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from dioptra.storage import AttemptPaths
from dioptra.tracking import Tracking

__all__ = ["draw_flows", "keep_drawings"]

logger = logging.getLogger("dioptra.worker")

_MOST = 20  # flows of an attempt that are drawn
_ARTIFACTS = "flow"  # the folder of the artifacts


def draw_flows(paths: AttemptPaths) -> list[Path]:
    """Draw the flows in an attempt's journal as they ended, or as far as they came, and return the files."""
    if not paths.flow_file.is_file():
        return []
    files: list[Path] = []
    try:
        from dioptra.flow.graphs import read_journal  # only an attempt with a flow pays for it

        for graph in read_journal(paths.flow_file, limit=_MOST):
            if graph.can_be_drawn:
                file = paths.drawing_file(len(files) + 1)
                graph.drawing().save(file)
                files.append(file)
    except Exception as error:  # a script may write into its journal and its folder what it likes
        logger.warning("the flows in %s cannot be drawn: %s", paths.flow_file, error)
    return files


def keep_drawings(files: Sequence[Path], tracking: Tracking, run_id: str) -> None:
    """Log pictures as artifacts of a run that has been ended: one store that is down is waited for only once."""
    try:
        for file in files:
            tracking.log_file(run_id, file, _ARTIFACTS)
    except Exception as error:  # whatever the store's client raises
        logger.warning("the pictures of flows are not among the artifacts of run %s: %s", run_id, error)
