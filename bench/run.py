"""Measures whole commands beside their peers, in turn, and prints medians and ratios as a Markdown table.

make bench            or            python bench/run.py [RUNS]
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
NOOP = 'name: noop\nentry_points:\n  main:\n    command: "true"\n'


@dataclass(frozen=True)
class Contest:
    """One of our commands, with the peers that do the same and the goal that the issue set."""

    title: str
    commands: Mapping[str, Sequence[str]]  # ours first
    goal: str


def contests(folder: Path) -> list[Contest]:
    """Return what is measured; projects and stores lie in the folder."""
    project = folder / "noop"
    project.mkdir()
    (project / "MLproject").write_text(NOOP)
    dioptra, mlflow = str(BIN / "dioptra"), str(BIN / "mlflow")
    return [
        Contest(
            "Help",
            {
                "dioptra --help": [dioptra, "--help"],
                "mlflow --help": [mlflow, "--help"],
                "python -c pass": [sys.executable, "-c", "pass"],
            },
            "a tenth of mlflow's, under 150 ms",
        ),
        Contest(
            "An entry point that does nothing",
            {
                "dioptra run": [dioptra, "run", str(project)],
                "mlflow run": [mlflow, "run", "--env-manager", "local", str(project)],
            },
            "three quarters of mlflow's or less",
        ),
    ]


def measure(contest: Contest, runs: int, environment: Mapping[str, str]) -> dict[str, list[float]]:
    """Run the commands in turn, A B A B, after one warm-up of each, and return their times in seconds."""
    times: dict[str, list[float]] = {name: [] for name in contest.commands}
    for turn in range(runs + 1):
        for name, argv in contest.commands.items():
            started = time.perf_counter()
            subprocess.run(argv, env=environment, check=True, capture_output=True)
            if turn:
                times[name].append(time.perf_counter() - started)
    return times


def show(contest: Contest, times: Mapping[str, Sequence[float]]) -> None:
    """Print one contest; a ratio is the median over the pairs of one turn."""
    ours = next(iter(times.values()))
    print(f"\n**{contest.title}** (goal: {contest.goal})\n")
    print("| command | median | range | dioptra takes |\n|---|---|---|---|")
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(ours, values, strict=True))
        share = "" if values is ours else f"{ratio:.2f} of it"
        span = f"{min(values) * 1000:.0f}-{max(values) * 1000:.0f} ms"
        print(f"| `{name}` | {statistics.median(values) * 1000:.0f} ms | {span} | {share} |")


def main() -> None:
    """Measure everything."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(
        f"{runs} runs each; {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"mlflow {version('mlflow')}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DIOPTRA_", "MLFLOW_"))},
            "DIOPTRA_HOME": str(folder / "home"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",  # the same store for both
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        for contest in contests(folder):
            show(contest, measure(contest, runs, environment))


if __name__ == "__main__":
    main()
