"""Measures what a task of a flow costs beside Prefect 1.4.1, in turn, and prints medians and ratios as Markdown tables.

make bench            or            python bench/flows.py [RUNS]

Each figure comes from a process of its own, which builds a flow of tasks that add 1 and runs it; both times count.
Prefect runs in an environment that is made once, in `.test-envs/`, with its log switched off.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHAPES = {"chain": "each after the one before", "independent": "independent of each other"}
TASKS = 1_000


@dataclass(frozen=True)
class Engine:
    """Whose flows are measured, and the interpreter that has them."""

    name: str
    python: str
    module: str
    in_job: bool = False  # a job's flows write a log and a journal

    def seconds(self, shape: str, tasks: int) -> float:
        """Return how long it takes to build and run a flow."""
        return self._ask("time", shape, tasks)

    def bytes_a_task(self, shape: str, tasks: int) -> float:
        """Return how much memory a task takes, with its state, once the flow has run."""
        return self._ask("memory", shape, tasks) / tasks

    def _ask(self, what: str, shape: str, tasks: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            quiet = {"PREFECT__HOME_DIR": folder, "PREFECT__LOGGING__LEVEL": "CRITICAL"}
            kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIOPTRA_", "PREFECT"))}
            quiet |= {"DIOPTRA_ATTEMPT_DIR": folder} if self.in_job else {}
            argv = [self.python, __file__, "--measure", what, self.module, shape, str(tasks)]
            done = subprocess.run(argv, env=kept | quiet, cwd=folder, check=True, capture_output=True)
        return float(json.loads(done.stdout))


def measure(what: str, module: str, shape: str, number: str) -> float:
    """Measure one flow in this process: seconds, or bytes."""
    engine, tasks = importlib.import_module(module), int(number)
    build(engine, shape, 10).run()  # what is made once
    if what == "memory":
        tracemalloc.start()
    start = time.perf_counter()
    flow = build(engine, shape, tasks)
    state = flow.run()
    seconds = time.perf_counter() - start
    if len(state.result) != tasks or not state.is_successful():
        raise RuntimeError(f"the flow ended as {state!r}")
    return tracemalloc.get_traced_memory()[0] if what == "memory" else seconds


def build(engine: Any, shape: str, tasks: int) -> Any:
    """Return a flow of tasks that add 1."""

    def add_1(x: int) -> int:
        return x + 1

    plus_one = engine.task(add_1)
    with engine.Flow(shape) as flow:
        last: Any = 0
        for _ in range(tasks):
            last = plus_one(last if shape == "chain" else 0)
    return flow


def compare(ours: Engine, peer: Engine, runs: int) -> None:
    """Print what a task costs on either side; a ratio is the median over the pairs of one turn."""
    print("\n**A task of a flow** (goal: a twentieth of Prefect's, under 50 µs)\n")
    print(f"| {TASKS:,} tasks | {ours.name} | {peer.name} | dioptra takes |\n|---|---|---|---|")
    for shape, words in SHAPES.items():
        pairs = [(ours.seconds(shape, TASKS), peer.seconds(shape, TASKS)) for _ in range(runs)]
        ratio = statistics.median(a / b for a, b in pairs)
        mine, theirs = (span([seconds / TASKS for seconds in times]) for times in zip(*pairs, strict=True))
        print(f"| {words} | {mine} | {theirs} | {ratio:.4f} of it |")
    print(f"| memory, {SHAPES['chain']} | {memory(ours, TASKS)} | {memory(peer, TASKS)} | |")


def extend(ours: Engine, runs: int) -> None:
    """Print what large flows cost."""
    print("\n**Large flows** (goal: under 50 µs and under 2 kB a task)\n")
    print("| flow | whole | a task | memory a task |\n|---|---|---|---|")
    in_job = replace(ours, in_job=True)
    flows = [(ours, 5_000, "chain"), (ours, 100_000, "chain"), (ours, 100_000, "independent"), (in_job, 1_000, "chain")]
    for engine, tasks, shape in flows:
        times = [engine.seconds(shape, tasks) for _ in range(runs)]
        whole, each = f"{statistics.median(times):.2f} s", span([seconds / tasks for seconds in times])
        words = f"{tasks:,} tasks, {SHAPES[shape]}" + (", in a job with log and journal" if engine.in_job else "")
        print(f"| {words} | {whole} | {each} | {memory(engine, tasks, shape)} |")


def span(seconds: Sequence[float]) -> str:
    """Say a median and a range in microseconds."""
    middle, least, most = (found * 1e6 for found in (statistics.median(seconds), min(seconds), max(seconds)))
    return f"{middle:,.1f} µs ({least:,.1f}-{most:,.1f})"


def memory(engine: Engine, tasks: int, shape: str = "chain") -> str:
    """Say what a task takes."""
    return f"{engine.bytes_a_task(shape, tasks) / 1000:.2f} kB"


def main() -> None:
    """Measure everything."""
    sys.path.insert(0, str(ROOT))
    from tests.environments import PREFECT_1, python_with

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ours = Engine("dioptra", sys.executable, "dioptra.flow")
    peer = Engine("Prefect 1.4.1", str(python_with(PREFECT_1)), "prefect")
    print(f"{runs} runs each; {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}")
    compare(ours, peer, runs)
    extend(ours, runs)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
    else:
        main()
