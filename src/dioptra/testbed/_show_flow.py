"""Looking at the flow of an entry point: its script builds it, and ends before a task runs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from dioptra.errors import InvalidProjectError
from dioptra.flow.graphs import Description
from dioptra.tracking import Tracking
from dioptra.worker import BuiltEnv, Ending, Plan, job_environment, run_command

__all__ = ["first_flow"]

_SECONDS = 120.0  # in which the script must come to its first flow
_GRACE = 2.0
_TAIL = 4_000  # bytes of the output


def first_flow(
    plan: Plan, env: BuiltEnv | None, on_output: Callable[[bytes], object], cancel: threading.Event
) -> Description:
    """Start an entry point, and return the first flow that it would run.

    Nothing is stored: the script has a home, a tracking store and a folder for its files that are removed afterwards.

    Raises:
        InvalidProjectError: It ended, or took longer than two minutes, before it ran a flow; `on_output` has been given
            the end of what it printed.
        KeyboardInterrupt: It was cancelled.
    """
    with TemporaryDirectory(prefix="dioptra-flow-") as name:
        folder = Path(name)
        log_file, flow_file = folder / "log.txt", folder / "flow.json"
        ending = run_command(
            plan.argv,
            cwd=plan.project.folder,
            environment=_environment(folder, flow_file, env),
            log_file=log_file,
            on_output=lambda chunk: None,
            cancel=cancel,
            grace=_GRACE,
            timeout=_SECONDS,
        )
        if ending.cancelled:
            raise KeyboardInterrupt
        if flow_file.exists():
            return Description.from_dict(json.loads(flow_file.read_bytes()))
        tail = log_file.read_bytes()[-_TAIL:]
    on_output(tail)
    raise InvalidProjectError(
        f"the script {_what_happened(ending, tail)}",
        where=plan.entry_point.where,
        hint="it is run up to its first `flow.run`",
    )


def _environment(folder: Path, flow_file: Path, env: BuiltEnv | None) -> dict[str, str]:
    """Return the environment of a job that belongs to no job, with stores that nobody will look into."""
    output_dir = folder / "outputs"
    output_dir.mkdir()
    tracking = Tracking(database=folder / "mlflow.db", artifacts=folder / "artifacts")
    additions = {
        **tracking.environment(),
        "DIOPTRA_HOME": str(folder / "home"),
        "DIOPTRA_OUTPUT_DIR": str(output_dir),
        "DIOPTRA_SHOW_FLOW": str(flow_file),
        "PYTHONDONTWRITEBYTECODE": "1",  # the script runs in the user's own folder
    }
    base = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return job_environment(additions, base, env)


def _what_happened(ending: Ending, tail: bytes) -> str:
    if ending.timed_out:
        return f"ran no flow within {ending.timed_out:g} s"
    if not ending.reason:
        return "ended without running a flow"
    lines = tail.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"ended before it ran a flow ({ending.reason}{f': {last[:300]}' if last else ''})"
