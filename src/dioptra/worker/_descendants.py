"""The processes of an attempt whose supervisor is gone, found by the mark that all of them carry."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator

from dioptra.worker._supervisor import processes, read

__all__ = ["ATTEMPT_VARIABLE", "sweep"]

ATTEMPT_VARIABLE = "DIOPTRA_ATTEMPT"
_PATIENCE = 10.0  # seconds for a process that does not die at once: the system holds it
_AGAIN = 0.005


def sweep(marker: str, *, spare: Collection[int] = ()) -> int:
    """End every process of this machine that carries the marker `<job id>/<number>` of an attempt.

    Args:
        marker: The value of `DIOPTRA_ATTEMPT` in the environment of the attempt's processes.
        spare: Ids of processes that are left alone; this process always is.

    Returns:
        How many processes were ended. Those of other users, which cannot be ended, do not count.
    """
    spared = {os.getpid(), *spare}
    ended: set[int] = set()
    give_up_at = time.monotonic() + _PATIENCE
    while found := _stop_all(marker, spared):
        for pid in found:
            _signal(pid, signal.SIGKILL)
        ended |= found
        if time.monotonic() > give_up_at:
            break
        time.sleep(_AGAIN)
    return len(ended)


def _stop_all(marker: str, spared: set[int]) -> set[int]:
    """Stop all that carry the marker, so that none starts another while the others die, and return them."""
    stopped: set[int] = set()
    while True:
        before = len(stopped)
        for pid in _marked(marker):
            if pid in spared or pid in stopped:
                continue
            if _signal(pid, signal.SIGSTOP):
                stopped.add(pid)
            else:
                spared.add(pid)
        if len(stopped) == before:
            return stopped


def _marked(marker: str) -> Iterator[int]:
    """Find the processes that carry the marker; one that has ended has no environment any more."""
    entry = f"{ATTEMPT_VARIABLE}={marker}".encode()
    for pid in processes():
        environment = read(f"/proc/{pid}/environ")
        if entry in environment and entry in environment.split(b"\0"):
            yield pid


def _signal(pid: int, number: int) -> bool:
    """Send a signal; tell whether the process could take it: it may be gone, or of another user."""
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True
