"""Processes of a cluster that was started for one run end when the process that started them has ended."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any

from distributed import NannyPlugin, WorkerPlugin

__all__ = ["EndWithParent", "EndWithScript"]

_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class EndWithScript(NannyPlugin):  # type: ignore[misc]  # Dask has no types
    """Asks the kernel to end the process that looks after a worker when the script's process ends, in whatever way."""

    name = "dioptra-end-with-script"
    restart = False

    def setup(self, nanny: Any) -> None:
        """Ask for it, in the process that looks after a worker."""
        _end_with_parent()


class EndWithParent(WorkerPlugin):  # type: ignore[misc]  # as above
    """Asks the kernel to end a worker when the process that looks after it ends."""

    name = "dioptra-end-with-parent"

    def setup(self, worker: Any) -> None:
        """Ask for it, in the worker's process."""
        _end_with_parent()
