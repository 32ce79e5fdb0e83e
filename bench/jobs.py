"""Measures workers beside a bare loop and RQ, and submitting beside `mlflow run`, and prints Markdown tables.

make bench            or            python bench/jobs.py [JOBS [TURNS]]

The jobs run a script that does nothing: `python noop.py`. The bare loop starts the same process with the same
environment and does nothing else. RQ's worker forks for each job and starts no interpreter; it needs Debian's
redis-server.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
MLPROJECT = 'name: noop\nentry_points:\n  main: {command: "python noop.py"}\n  first: {command: "python first.py"}\n'
FIRST = "import sys, time; open('{folder}/first', 'w').write(repr(time.time()))"
RQ = "rq==2.12"


def make_project(folder: Path) -> Path:
    """Return a project with a script that does nothing, and one that says when it began."""
    project = folder / "noop"
    project.mkdir()
    (project / "MLproject").write_text(MLPROJECT)
    (project / "noop.py").write_text("pass\n")
    (project / "first.py").write_text(FIRST.format(folder=folder))
    return project


def bare_loop(project: Path, count: int) -> float:
    """Return the seconds that it takes to start the script so often."""
    from dioptra.worker import job_environment

    environment = job_environment({})
    start = time.perf_counter()
    for _ in range(count):
        subprocess.run(["python", "noop.py"], cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def our_worker(project: Path, home: Path, count: int) -> float:
    """Return the seconds that a worker takes for so many jobs that wait, without its own start."""
    from dioptra.testbed import Testbed

    testbed = Testbed(home)
    testbed.run(project)  # the store is made, and MLflow imported
    for _ in range(count):
        testbed.submit(project)
    start = time.perf_counter()
    testbed.worker(burst=True).run()
    taken = time.perf_counter() - start
    if {job.status for job in testbed.jobs()} != {"finished"}:
        raise SystemExit("not all jobs have finished")
    return taken


@contextmanager
def redis() -> Iterator[int]:
    """Run a Redis server, and give its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def rq_worker(folder: Path, port: int, count: int) -> float:
    """Return the seconds that RQ's worker takes for so many jobs that wait, without its own start."""
    from tests.environments import python_with

    python = python_with((RQ,))
    fill = (
        "import redis, rq, sys\n"
        "queue = rq.Queue(connection=redis.Redis(port=int(sys.argv[1])))\n"
        "for _ in range(int(sys.argv[2])): queue.enqueue('builtins.len', ())\n"
    )
    work = (
        "import logging, redis, rq, sys, time\n"
        "connection = redis.Redis(port=int(sys.argv[1]))\n"
        "worker = rq.Worker([rq.Queue(connection=connection)], connection=connection)\n"
        "start = time.perf_counter()\n"
        "worker.work(burst=True, logging_level='ERROR')\n"
        "print(time.perf_counter() - start)\n"
    )
    subprocess.run([python, "-c", fill, str(port), str(count)], check=True, cwd=folder)
    done = subprocess.run(
        [python, "-c", work, str(port)], check=True, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return float(done.stdout.splitlines()[-1])


def until_first_line(argv: Sequence[str], folder: Path, environment: dict[str, str]) -> float:
    """Return the seconds from the start of a command to the first line of the script that it leads to."""
    (folder / "first").unlink(missing_ok=True)
    started = time.time()
    subprocess.run(argv, check=True, env=environment, cwd=folder, capture_output=True)
    while not (folder / "first").exists() or not (folder / "first").read_text():
        time.sleep(0.005)
    return float((folder / "first").read_text()) - started


def measure_throughput(count: int, turns: int) -> None:
    """Print how long many small jobs take."""
    results: dict[str, list[float]] = {"bare loop": [], "dioptra worker": [], "RQ, a fork for each": []}
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            project = make_project(folder)
            results["bare loop"].append(bare_loop(project, count))
            results["dioptra worker"].append(our_worker(project, folder / "home", count))
            if shutil.which("redis-server"):
                with redis() as port:
                    results["RQ, a fork for each"].append(rq_worker(folder, port, count))
    print(f"\n**{count} jobs that do nothing, one worker** (goal: within twice the bare loop)\n")
    print("| | a job | jobs a second | of the bare loop |\n|---|---|---|---|")
    for name, times in results.items():
        if times:
            middle = statistics.median(times)
            ratio = statistics.median(a / b for a, b in zip(times, results["bare loop"], strict=True))
            print(f"| {name} | {middle / count * 1000:.1f} ms | {count / middle:.0f} | {ratio:.2f} |")


def measure_start(turns: int) -> None:
    """Print how long it takes from a command to the first line of a script."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = make_project(folder)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DIOPTRA_", "MLFLOW_"))},
            "DIOPTRA_HOME": str(folder / "home"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",  # the same store for both
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        commands = {
            "dioptra submit": [str(BIN / "dioptra"), "submit", str(project), "-e", "first"],
            "mlflow run": [str(BIN / "mlflow"), "run", "--env-manager", "local", "-e", "first", str(project)],
        }
        found: dict[str, list[float]] = {each: [] for each in commands}
        with subprocess.Popen([str(BIN / "dioptra"), "worker"], env=environment, stderr=subprocess.DEVNULL) as worker:
            try:
                for turn in range(turns + 1):
                    for each, argv in commands.items():
                        seconds = until_first_line(argv, folder, environment)
                        if turn:  # the first one warms up
                            found[each].append(seconds)
            finally:
                worker.terminate()
    print("\n**From the command to the first line of the script**, a worker listens\n")
    print("| | median | range | dioptra takes |\n|---|---|---|---|")
    for each, times in found.items():
        ratio = statistics.median(a / b for a, b in zip(found["dioptra submit"], times, strict=True))
        span = f"{min(times) * 1000:.0f}-{max(times) * 1000:.0f} ms"
        print(f"| `{each}` | {statistics.median(times) * 1000:.0f} ms | {span} | {ratio:.2f} of it |")


def main() -> None:
    """Measure everything."""
    sys.path.insert(0, str(ROOT))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(f"{turns} turns; {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}")
    measure_throughput(count, turns)
    measure_start(max(turns, 5))


if __name__ == "__main__":
    main()
