"""Measures where tasks run: what each costs beside Dask and Prefect, in turn, and what threads gain in NumPy.

make bench            or            python bench/executors.py [RUNS]

Each figure comes from a process of its own, which builds a flow and runs it; both times count. What is started once,
such as a Dask cluster of two processes or the server of Prefect 3, stands before the clock starts. The peers run in
environments that are made once, in `.test-envs/`, with their log switched off. Prefect 3 takes part in the first turn
only. It prints Markdown tables of medians; ratios are medians over the pairs of one turn.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TASKS, BLOCKS = 1_000, 8
WARM = {"chain": 10, "independent": 10, "numpy": 2}
SIDE = 1_700  # of a matrix that takes about 0.3 s to square on one core
QUIET = {
    "DO_NOT_TRACK": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT__LOGGING__LEVEL": "CRITICAL",
}


@dataclass(frozen=True)
class Engine:
    """What runs tasks, how this file asks it to, and the interpreter that has it."""

    name: str
    how: str
    python: str = sys.executable
    turns: int | None = None  # in how many it takes part

    def seconds(self, shape: str, tasks: int) -> float:
        """Return how long it takes to build and run tasks."""
        with tempfile.TemporaryDirectory() as folder:
            kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIOPTRA_", "PREFECT"))}
            homes = {"PREFECT_HOME": folder, "PREFECT__HOME_DIR": folder}
            argv = [self.python, __file__, "--measure", self.how, shape, str(tasks)]
            done = subprocess.run(argv, env=kept | homes | QUIET, cwd=folder, check=True, capture_output=True)
        return float(json.loads(done.stdout.splitlines()[-1]))


def add_1(x: int) -> int:
    """Do next to nothing."""
    return x + 1


def square(_: int) -> float:
    """Multiply matrices, for which NumPy lets other threads go on."""
    numpy: Any = import_module("numpy")
    matrix = numpy.full((SIDE, SIDE), 1 / SIDE)
    return float((matrix @ matrix)[0, 0])


FUNCTIONS = {"chain": add_1, "independent": add_1, "numpy": square}


def calls(made: Callable[[Any], Any], shape: str, tasks: int) -> list[Any]:
    """Call a task again and again, with the result before or with 0, and return what stands for the results."""
    found: list[Any] = []
    for _ in range(tasks):
        found.append(made(found[-1] if found and shape == "chain" else 0))
    return found


Measured = Callable[[Callable[[Any], Any], str, int], Sequence[Any]]


def in_flow(module: str, **options: Any) -> Measured:
    """Return what runs tasks in a flow that is built first."""

    def run(function: Callable[[Any], Any], shape: str, tasks: int) -> Sequence[Any]:
        engine: Any = import_module(module)
        with engine.Flow(shape) as flow:
            made = calls(engine.task(function), shape, tasks)
        state = flow.run(**options)
        return [state.result[each].result for each in made]

    return run


def delayed(function: Callable[[Any], Any], shape: str, tasks: int) -> Sequence[Any]:
    """Run tasks as Dask does by itself in threads."""
    dask: Any = import_module("dask")
    return list(dask.compute(*calls(dask.delayed(function, pure=False), shape, tasks), scheduler="threads"))


def submitted(function: Callable[[Any], Any], shape: str, tasks: int) -> Sequence[Any]:
    """Run tasks in a flow of Prefect 3."""
    prefect: Any = import_module("prefect")

    def flow() -> list[Any]:
        return [future.result() for future in calls(prefect.task(function).submit, shape, tasks)]

    found: list[Any] = prefect.flow(flow, name=shape)()
    return found


@contextmanager
def started(how: str) -> Iterator[Measured]:
    """Start what an engine needs, and give what runs tasks with it."""
    if how == "dask":
        distributed: Any = import_module("distributed")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield in_flow("dioptra.flow", executor=client)
    elif how in ("sequential", "threads"):
        yield in_flow("dioptra.flow", executor=how)
    else:
        yield {"delayed": delayed, "prefect 1": in_flow("prefect"), "prefect 3": submitted}[how]


def measure(how: str, shape: str, number: str) -> float:
    """Measure one engine in this process."""
    tasks, function = int(number), FUNCTIONS[shape]
    with started(how) as run:
        run(function, shape, WARM[shape])  # what is made once
        start = time.perf_counter()
        results = run(function, shape, tasks)
        seconds = time.perf_counter() - start
    expected = range(1, tasks + 1) if shape == "chain" else [function(0)] * tasks
    if list(results) != list(expected):
        raise RuntimeError(f"{how} returned {results!r:.200}")
    return seconds


Times = dict[tuple[str, str], list[float]]


def in_turn(engines: Sequence[Engine], shapes: Sequence[str], tasks: int, runs: int) -> Times:
    """Measure each engine once in each turn."""
    times: Times = defaultdict(list)
    for turn in range(runs):
        for engine in engines:
            for shape in shapes if turn < (engine.turns or runs) else ():
                times[engine.name, shape].append(engine.seconds(shape, tasks))
    return times


def compare(engines: Sequence[Engine], runs: int) -> None:
    """Print what a task costs in each."""
    shapes = ("independent", "chain")
    times = in_turn(engines, shapes, TASKS, runs)
    print(f"\n**{TASKS:,} tasks that add 1**, each\n")
    print("| | independent of each other | each after the one before |\n|---|---|---|")
    for engine in engines:
        print(f"| {engine.name} | " + " | ".join(each(times[engine.name, shape], TASKS) for shape in shapes) + " |")
    threads, dask, prefect = (
        next(x.name for x in engines if x.how == how) for how in ("threads", "delayed", "prefect 3")
    )
    print("\n| goal | independent | chain |\n|---|---|---|")
    for goal, peer in ((f"{threads}: less than {dask}", dask), (f"{threads}: a hundredth of {prefect}", prefect)):
        ratios = [statistics.median(pairs(times, threads, peer, shape)) for shape in shapes]
        print(f"| {goal} | " + " | ".join(f"{ratio:.4f} of it" for ratio in ratios) + " |")


def gain(engines: Sequence[Engine], runs: int) -> None:
    """Print what running at the same time gains where NumPy does the work."""
    times = in_turn(engines, ("numpy",), BLOCKS, runs)
    first = engines[0].name
    print(f"\n**{BLOCKS} tasks that each square a matrix of {SIDE:,} x {SIDE:,}** (goal: threads 1.8 times as fast)\n")
    print(f"| | whole | beside {first} |\n|---|---|---|")
    for engine in engines:
        faster = statistics.median(pairs(times, first, engine.name, "numpy"))
        print(
            f"| {engine.name} | {statistics.median(times[engine.name, 'numpy']):.2f} s | {faster:.2f} times as fast |"
        )


def pairs(times: Times, one: str, other: str, shape: str) -> list[float]:
    """Return the ratios of the turns in which both took part."""
    return [a / b for a, b in zip(times[one, shape], times[other, shape], strict=False)]


def each(seconds: Sequence[float], tasks: int) -> str:
    """Say a median and a range a task, in microseconds."""
    middle, least, most = (found / tasks * 1e6 for found in (statistics.median(seconds), min(seconds), max(seconds)))
    return f"{middle:,.0f} µs ({least:,.0f}-{most:,.0f})"


def main() -> None:
    """Measure everything."""
    sys.path.insert(0, str(ROOT))
    from tests.environments import PREFECT_1, PREFECT_3, python_with

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    has_dask = find_spec("distributed") is not None
    dask = sys.executable if has_dask else str(python_with(("distributed>=2026.3",), beside=True))
    ours = [Engine("dioptra, sequential", "sequential"), Engine("dioptra, threads", "threads")]
    in_cluster = Engine("dioptra, Dask of two processes", "dask", dask)
    by_dask = Engine("dask.delayed, threads", "delayed", dask)
    prefect = [
        Engine("Prefect 1.4.1", "prefect 1", str(python_with(PREFECT_1))),
        Engine("Prefect 3.8.8", "prefect 3", str(python_with(PREFECT_3, beside=True)), turns=1),
    ]
    print(f"{runs} runs each; {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}")
    compare([*ours, in_cluster, by_dask, *prefect], runs)
    gain([*ours, in_cluster, by_dask], runs)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
    else:
        main()
