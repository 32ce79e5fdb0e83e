"""One attempt, run from its start to its end by one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dioptra.worker._endings import Ending
from dioptra.worker._lease import Lease
from dioptra.worker._log_file import LOG_LIMIT
from dioptra.worker._supervised import Supervised
from dioptra.worker._supervisor_process import SupervisorProcess

__all__ = ["run_command"]

_TICK = 0.05  # seconds between two looks at `cancel`


def run_command(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log_file: Path,
    on_output: Callable[[bytes], object],
    cancel: threading.Event | None = None,
    grace: float = 10.0,
    timeout: float | None = None,
    lease: Lease | None = None,
    marker: str | None = None,
    log_limit: int = LOG_LIMIT,
    supervisor: SupervisorProcess | None = None,
) -> Ending:
    """Run a command under a supervisor until it has ended, and end whatever it leaves behind.

    What it prints, to either stream, goes to the log file and to `on_output` in the order printed. A
    `KeyboardInterrupt` or a set `cancel` ends it: TERM, after `grace` seconds KILL; a second interrupt kills at once.
    The other arguments are those of `Supervised`. When this process is killed, the supervisor ends all of it.

    Raises:
        OSError: The command cannot be started.
    """
    with Supervised(
        argv,
        cwd=cwd,
        environment=environment,
        log_file=log_file,
        on_output=on_output,
        grace=grace,
        timeout=timeout,
        lease=lease,
        marker=marker,
        log_limit=log_limit,
        supervisor=supervisor,
    ) as attempt:
        return _followed(attempt, cancel or threading.Event())


def _followed(attempt: Supervised, cancel: threading.Event) -> Ending:
    while True:
        try:
            ending = attempt.follow(_TICK)
            if ending is not None:
                return ending
            if cancel.is_set():
                attempt.cancel()
        except KeyboardInterrupt:
            if attempt.asked_to_end:
                attempt.kill()
            else:
                attempt.cancel()
