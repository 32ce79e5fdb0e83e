"""Submitting to queues, running by workers, and what becomes of jobs, with the real command line."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from dioptra.records import JobStatus
from tests.acceptance.workbench import Workbench

MLPROJECT = """\
name: toys
entry_points:
  main:
    parameters: {text: {type: string, default: hello}}
    command: python toy.py {text}
  take:
    parameters: {run: string, place: path, n: {type: int, default: 1}}
    command: python toy.py {run} {place} {n}
  slow: {command: python slow.py}
  fail: {command: python -c "import sys; sys.exit(3)"}
"""
TOY = "import sys, os, pathlib; print(sys.argv[1:]); pathlib.Path(os.environ['DIOPTRA_OUTPUT_DIR'], 'a').touch()"
SLOW = "import time\nfor n in range(600):\n    print(n, flush=True)\n    time.sleep(0.1)"


@pytest.fixture
def bench(tmp_path: Path, made_store: Path) -> Workbench:
    (tmp_path / "home").mkdir()
    (tmp_path / "projects").mkdir()
    shutil.copy(made_store, tmp_path / "home" / "mlflow.db")
    return Workbench(tmp_path / "home", tmp_path / "projects")


@pytest.fixture
def toys(bench: Workbench) -> Path:
    return bench.project("toys", MLproject=MLPROJECT, toy_py=TOY, slow_py=SLOW)


def submit(bench: Workbench, *args: str) -> str:
    said = bench.dioptra("submit", "toys", *args)
    assert said.code == 0, said
    return said.out.strip()


def work(bench: Workbench) -> None:
    """Run what waits, from this process, which has imported MLflow already."""
    bench.testbed.worker(burst=True).run()


def shown(bench: Workbench, *args: str) -> Any:
    said = bench.dioptra(*args, "--json")
    assert said.code == 0, said
    return json.loads(said.out.splitlines()[-1])


def test_a_job_is_submitted_and_run(bench: Workbench, toys: Path) -> None:
    said = bench.dioptra("submit", "toys", "-P", "text=later", "--name", "first", "--tag", "a", "--tag", "b")
    job = bench.testbed.job(said.out.strip())
    assert (job.status, job.attempt, job.name, job.tags) == ("queued", 0, "first", ("a", "b"))
    assert f"job {job.id[:8]} queued in default: main of toys" in said.err
    assert "Warning: no worker listens to 'default'; start one: dioptra worker --queue default" in said.err
    (toys / "toy.py").write_text("print('changed since')")

    worked = bench.dioptra("worker", "--burst", "--name", "ada")

    assert worked.code == 0, worked
    assert f"job {job.id[:8]}: main of toys from queue default\njob {job.id[:8]} finished\n" in worked.err
    job = bench.testbed.job(job.id)
    assert (job.status, job.attempt, job.worker, job.exit_code) == ("finished", 1, "ada", 0)
    assert bench.dioptra("job", "logs", job.id).out == "['later']\n"
    log = {"job": job.id, "attempt": 1, "status": "finished", "log": "['later']\n"}
    assert bench.dioptra("job", "logs", job.id, "--json").json == log
    run = bench.testbed.tracking.run(str(job.run_id))
    assert (run.status, run.parameters, run.tags["dioptra.queue"]) == ("FINISHED", {"text": "later"}, "default")
    assert bench.dioptra("snapshot", "show", job.id).code == 0


def test_a_job_takes_what_others_gave(bench: Workbench, toys: Path) -> None:
    first, other = submit(bench), submit(bench, "-P", "text=other")
    taking = submit(bench, "-e", "take", "--from", f"run={first[:8]}.run_id", "--from", f"place={first}.output_dir",
                    "--depends-on", other)  # fmt: skip
    assert bench.testbed.job(taking).status is JobStatus.DEFERRED
    assert f"run={first[:8]}.run_id" in bench.dioptra("job", "show", taking).out

    work(bench)

    found, gave = bench.testbed.job(taking), bench.testbed.job(first)
    assert found.status is JobStatus.FINISHED, found.reason
    assert found.parameters == {
        "run": gave.run_id,
        "place": str(bench.testbed.paths(gave).output_dir),
        "n": "1",
    }
    assert Path(found.parameters["place"], "a").exists()


def test_what_waits_for_a_job_that_fails_is_cancelled_with_the_reason(bench: Workbench, toys: Path) -> None:
    failing = submit(bench, "-e", "fail")
    waiting = submit(bench, "--depends-on", failing)
    after = submit(bench, "--depends-on", waiting)

    work(bench)

    assert [bench.testbed.job(each).status for each in (failing, waiting, after)] == [
        "failed",
        "cancelled",
        "cancelled",
    ]
    assert bench.testbed.job(failing).reason == "exit code 3"
    assert failing[:8] in bench.testbed.job(waiting).reason
    late = bench.dioptra("submit", "toys", "--depends-on", failing)
    assert bench.testbed.job(late.out.strip()).status is JobStatus.CANCELLED
    assert f"cancelled (job {failing}, which it waited for, failed) in default" in late.err


def test_priority_and_age_decide(bench: Workbench, toys: Path) -> None:
    bench.testbed.database.queues.add("fast")
    ids = [submit(bench, *args) for args in ((), ("--priority", "5"), ("--queue", "fast"), ("--priority", "5"))]

    bench.testbed.worker(burst=True, queues=("fast", "default")).run()

    order = sorted(bench.testbed.jobs(), key=lambda job: job.started_at or job.created_at)
    assert [job.id for job in order] == [ids[2], ids[1], ids[3], ids[0]]


def test_queues(bench: Workbench, toys: Path) -> None:
    assert bench.dioptra("queue", "add", "gpu").code == 0
    assert bench.dioptra("queue", "lock", "gpu").code == 0
    refused = bench.dioptra("submit", "toys", "--queue", "gpu")
    assert (refused.code, refused.err) == (
        4,
        "Error: queue 'gpu' is locked and takes no new jobs; `dioptra queue unlock gpu`\n",
    )
    assert bench.testbed.home.jobs() == []
    assert bench.dioptra("submit", "toys", "--queue", "gpus").code == 3
    assert bench.dioptra("queue", "unlock", "gpu").code == 0
    submit(bench, "--queue", "gpu")
    listed = bench.dioptra("queue", "list")
    assert "gpu      0        1       0" in listed.out
    assert "no worker listens to 'gpu'" in listed.err
    assert shown(bench, "queue", "list")["queues"][0]["name"] == "default"
    assert bench.dioptra("queue", "rm", "gpu").code == 4


def test_a_running_job_is_followed_and_cancelled(bench: Workbench, toys: Path) -> None:
    job = submit(bench, "-e", "slow")
    worker = bench.start("worker", "--burst")
    following = bench.start("job", "logs", "-f", job)
    try:
        assert following.stdout is not None
        assert [following.stdout.readline() for _ in range(3)] == ["0\n", "1\n", "2\n"]
        asked_at = time.monotonic()
        said = bench.dioptra("job", "cancel", job)
        waited = bench.dioptra("job", "wait", job, "--timeout", "60s")
        seconds = time.monotonic() - asked_at
        assert following.wait(30) == 0
        assert worker.wait(30) == 0
    finally:
        for process in (worker, following):
            process.kill()
            process.communicate()

    assert "is being cancelled by its worker" in said.err
    assert (waited.code, waited.err) == (1, f"job {job[:8]} cancelled\n")
    assert seconds < 5  # sooner than the next beat
    assert bench.testbed.tracking.run(str(bench.testbed.job(job).run_id)).status == "KILLED"


def test_waiting_says_how_it_ended(bench: Workbench, toys: Path) -> None:
    good, bad = submit(bench), submit(bench, "-e", "fail")
    assert bench.dioptra("job", "wait", good, "--timeout", "0.2s").code == 8
    work(bench)
    assert bench.dioptra("job", "wait", good).code == 0
    assert bench.dioptra("job", "wait", good, bad).code == 1


def test_a_job_that_waits_is_cancelled_at_once_and_can_be_removed(bench: Workbench, toys: Path) -> None:
    job = submit(bench)
    assert bench.dioptra("job", "rm", job).code == 4
    assert shown(bench, "job", "cancel", job)["status"] == "cancelled"
    assert bench.dioptra("job", "cancel", job).code in (0, 4)
    running = submit(bench)
    assert bench.dioptra("job", "rm", job, running).code == 4  # and nothing of it is done
    assert shown(bench, "job", "rm", job) == {"removed": [job]}
    assert bench.dioptra("job", "show", job).code == 3
    assert [each.id for each in bench.testbed.home.jobs()] == [running]


def test_a_job_is_repeated_as_a_new_one(bench: Workbench, toys: Path) -> None:
    queued = submit(bench, "-P", "text=again", "--tag", "t")
    assert bench.dioptra("job", "retry", queued).code == 4
    work(bench)
    (toys / "toy.py").write_text("print('changed since')")
    at_once = bench.run(toys, text="here")

    repeated = [shown(bench, "job", "retry", each)["id"] for each in (queued, at_once.id)]
    work(bench)

    logs = [bench.dioptra("job", "logs", each).out for each in repeated]
    assert logs == ["['again']\n", "changed since\n"]
    assert [bench.testbed.job(each).retry_of for each in repeated] == [queued, at_once.id]
    assert bench.testbed.job(repeated[0]).tags == ("t",)


def test_lists_are_filtered(bench: Workbench, toys: Path) -> None:
    first = submit(bench, "-P", "text=a", "--tag", "one")
    second = submit(bench, "-P", "text=b", "--tag", "one", "--tag", "two")
    assert shown(bench, "job", "cancel", first)["status"] == "cancelled"

    def listed(*args: str) -> list[str]:
        return [job["id"] for job in shown(bench, "job", "list", *args)["jobs"]]

    assert listed() == [second, first]
    assert listed("--limit", "1") == [second]
    assert listed("--status", "queued") == [second]
    assert listed("--tag", "one") == [second, first]
    assert listed("--tag", "one", "--tag", "two") == [second]
    assert listed("-P", "text=a") == [first]
    assert listed("--queue", "default", "--experiment", "toys") == [second, first]
    assert listed("--experiment", "others") == []


def test_an_archive_is_a_project(bench: Workbench, toys: Path) -> None:
    archive = shutil.make_archive(str(bench.folder / "packed"), "gztar", bench.folder, "toys")
    said = bench.dioptra("submit", archive, "-P", "text=packed")
    shutil.rmtree(toys)

    work(bench)

    assert bench.dioptra("job", "logs", said.out.strip()).out == "['packed']\n"


def test_the_same_key_is_one_job(bench: Workbench, toys: Path) -> None:
    first = submit(bench, "--key", "monday")

    assert submit(bench, "--key", "monday") == first
    other = bench.dioptra("submit", "toys", "--key", "monday", "-P", "text=other")
    assert (other.code, f"the key 'monday' is that of job {first[:8]}, which has other code" in other.err) == (4, True)
    assert [job.id for job in bench.testbed.jobs()] == [job.id for job in bench.testbed.home.jobs()] == [first]


def test_plugins_are_those_of_the_submission(bench: Workbench) -> None:
    plugins = bench.folder / "plugins" / "mine"
    plugins.mkdir(parents=True)
    (plugins / "__init__.py").touch()
    (plugins / "word.py").write_text("WORD = 'then'")
    use = "from dioptra.sdk.utilities.contexts import plugin_dirs\nwith plugin_dirs():\n    from mine.word import WORD"
    bench.project("toys", MLproject=MLPROJECT, toy_py=f"{use}\nprint(WORD)")
    said = bench.dioptra("submit", "toys", DIOPTRA_PLUGIN_DIR=str(plugins.parent))
    (plugins / "word.py").write_text("WORD = 'now'")

    assert bench.dioptra("worker", "--burst", DIOPTRA_PLUGIN_DIR=str(plugins.parent)).code == 0

    assert bench.dioptra("job", "logs", said.out.strip()).out == "then\n"


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("--timeout", "soon"), 2, "'soon' is no span of time"),
        (("--depends-on", "ffff"), 3, "no job 'ffff'"),
        (("--from", "text=ffff"), 2, "is no outcome of a job"),
        (("--from", "text"), 2, "--from 'text' is not a parameter"),
        (("-e", "take"), 7, "missing parameters 'run' (string), 'place' (path)"),
        (("--queue", "no/queue"), 3, "no queue 'no/queue'"),
    ],
)
def test_what_is_refused_leaves_nothing(
    bench: Workbench, toys: Path, args: tuple[str, ...], code: int, sentence: str
) -> None:
    said = bench.dioptra("submit", "toys", *args)

    assert (said.code, sentence in said.err, said.err.count("\n")) == (code, True, 1), said
    assert bench.testbed.jobs() == []
    assert bench.testbed.home.jobs() == []


def test_a_request_that_does_not_fit_any_more_is_a_failed_job(bench: Workbench, toys: Path) -> None:
    data = bench.folder / "data"
    data.mkdir()
    job = submit(bench, "-e", "take", "-P", "run=x", "-P", f"place={data}")
    data.rmdir()

    work(bench)

    found = bench.testbed.job(job)
    assert (found.status, found.attempt) == ("failed", 1)
    assert "'place'" in found.reason


def test_a_worker_that_is_stopped_finishes_what_runs_and_then_cancels(bench: Workbench, toys: Path) -> None:
    bench.project("toys", slow_py="import time\nprint('on', flush=True)\ntime.sleep(2)")
    first, second = submit(bench, "-e", "slow"), submit(bench, "-e", "slow")
    worker = bench.start("worker")
    _wait_for_output(bench, first)
    worker.send_signal(signal.SIGTERM)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    assert [bench.testbed.job(each).status for each in (first, second)] == ["finished", "queued"]

    worker = bench.start("worker")
    _wait_for_output(bench, second)
    for _ in range(2):
        worker.send_signal(signal.SIGINT)
        time.sleep(0.2)
    worker.communicate(timeout=60)
    assert worker.returncode == 130
    assert bench.testbed.job(second).status is JobStatus.CANCELLED


def _wait_for_output(bench: Workbench, job: str, seconds: float = 30) -> None:
    over = time.monotonic() + seconds
    while not bench.testbed.paths(bench.testbed.job(job)).log_file.exists():
        assert time.monotonic() < over
        time.sleep(0.05)
