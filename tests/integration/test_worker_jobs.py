"""A worker and its jobs in this process: what could lose a job, run it twice, or leave somebody waiting."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dioptra.database import Database, _queue, _store
from dioptra.database._jobs import Jobs
from dioptra.errors import RefusedError, StoreUnreachableError, UsageError
from dioptra.records import Job, JobStatus
from dioptra.testbed import Submission, Testbed
from dioptra.worker import Worker

MLPROJECT = """\
name: toys
entry_points:
  main: {command: "true"}
  fail: {command: "false"}
  take: {parameters: {of: {type: string}}, command: "test {of}"}
"""


@pytest.fixture
def testbed(tmp_path: Path, made_store: Path, monkeypatch: pytest.MonkeyPatch) -> Testbed:
    monkeypatch.delenv("DIOPTRA_DATABASE_URL", raising=False)
    (tmp_path / "home").mkdir()
    shutil.copy(made_store, tmp_path / "home" / "mlflow.db")
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "MLproject").write_text(MLPROJECT)
    return Testbed(tmp_path / "home")


def submit(testbed: Testbed, entry_point: str = "main", **how: Any) -> Job:
    return testbed.submit(testbed.home.path.parent / "toys", entry_point, submission=Submission(**how))


def statuses(testbed: Testbed) -> list[str]:
    return [job.status for job in testbed.jobs()]


def failing(real: Callable[..., Any], times: int) -> Callable[..., Any]:
    """Return a call that does not reach the database for so many times."""
    left = [times]

    def call(*args: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise StoreUnreachableError("it is away")
        return real(*args, **options)

    return call


def test_a_burst_ends_when_nothing_is_left_also_when_a_job_ends_during_its_look(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        submit(testbed)
    real = Worker._claim_all

    def slow(worker: Worker) -> int:
        claimed = real(worker)
        for slot in worker._slots_now():
            slot.join()
        return claimed

    monkeypatch.setattr(Worker, "_claim_all", slow)
    testbed.worker(burst=True).run()

    assert statuses(testbed) == ["finished"] * 3


def test_a_listener_that_fails_stops_no_worker(testbed: Testbed) -> None:
    submit(testbed), submit(testbed)

    def full(sentence: str) -> None:
        raise OSError(28, "No space left on device")

    testbed.worker(burst=True, on_event=full).run()

    assert statuses(testbed) == ["finished"] * 2


def test_a_database_that_is_away_at_the_start_of_an_attempt_is_asked_again(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(testbed)
    monkeypatch.setattr(_queue.Queue, "started", failing(_queue.Queue.started, 2))

    testbed.worker(burst=True).run()

    assert statuses(testbed) == ["finished"]


def test_a_beat_that_comes_after_the_end_takes_nothing_back(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(testbed)
    said: list[str] = []
    worker = testbed.worker(burst=True, on_event=said.append)
    real = _queue.Queue.finish

    def finish(*args: Any, **options: Any) -> bool:
        done = real(*args, **options)
        worker._beat_jobs()  # before the slot knows that its word was taken
        return done

    monkeypatch.setattr(_queue.Queue, "finish", finish)
    worker.run()

    assert statuses(testbed) == ["finished"]
    assert said[-1].endswith("finished"), said


def test_a_burst_does_not_take_an_outage_for_an_empty_queue(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(testbed)
    monkeypatch.setattr(_queue.Queue, "claim", failing(_queue.Queue.claim, 1))

    with pytest.raises(StoreUnreachableError):
        testbed.worker(burst=True).run()
    testbed.worker(burst=True).run()

    assert statuses(testbed) == ["finished"]


def test_stopping_and_cancelling_wait_for_no_lock(testbed: Testbed) -> None:
    worker = testbed.worker()
    with worker._lock:  # as when a signal comes while it is held
        for act in (worker.stop, worker.cancel):
            thread = threading.Thread(target=act, daemon=True)
            thread.start()
            thread.join(5)
            assert not thread.is_alive()


def test_an_interrupt_after_a_submit_was_stored_takes_nothing_away(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_store, "ring", interrupt)
        with pytest.raises(KeyboardInterrupt):
            submit(testbed)
    assert statuses(testbed) == ["queued"]
    testbed.worker(burst=True).run()

    (job,) = testbed.jobs()
    assert job.status == testbed.home.job(job.id).status == "finished"


def test_a_run_whose_end_could_not_be_told_has_ended_all_the_same(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Jobs.put

    def put(jobs: Jobs, job: Job, output_dir: str = "") -> None:
        if job.status.is_final:
            raise StoreUnreachableError("it is locked")
        real(jobs, job, output_dir)

    with monkeypatch.context() as patch:
        patch.setattr(Jobs, "put", put)
        with pytest.raises(StoreUnreachableError):
            testbed.run(testbed.home.path.parent / "toys")

    assert statuses(testbed) == ["finished"]
    assert testbed.tracking.run(str(testbed.jobs()[0].run_id)).status == "FINISHED"


def test_a_job_that_runs_elsewhere_is_not_taken_for_lost(testbed: Testbed) -> None:
    here = testbed.run(testbed.home.path.parent / "toys")
    elsewhere = here.changed(id="e" * 8, status=JobStatus.STARTED, ended_at=None)  # it has no folder in this home
    testbed.database.jobs.put(elsewhere)

    assert testbed.job("eeee").status is JobStatus.STARTED


def test_a_job_that_never_ran_waits_again_when_it_is_repeated(testbed: Testbed) -> None:
    first = submit(testbed, "fail")
    second = submit(testbed, "take", takes={"of": f"{first.id}.id"})
    testbed.worker(burst=True).run()

    again = testbed.retry(testbed.job(second.id))

    assert (again.status, again.retry_of) == ("cancelled", second.id)
    assert again.reason == f"job {first.id}, which it waited for, failed"


def test_a_home_keeps_to_its_server(testbed: Testbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    monkeypatch.setenv("DIOPTRA_DATABASE_URL", url)
    job = submit(testbed)
    monkeypatch.delenv("DIOPTRA_DATABASE_URL")

    with pytest.raises(UsageError, match=f"the jobs of {testbed.home.path} are in {tmp_path}/elsewhere.db"):
        Testbed(testbed.home.path).jobs()
    assert not testbed.home.database_file.exists()
    assert Database(url).jobs.find(job.id) == job


def test_who_waits_for_nobody_is_named_through_others(testbed: Testbed) -> None:
    testbed.database.queues.add("gpu")
    first = submit(testbed, queue="gpu")
    second = submit(testbed, depends_on=[first.id])

    assert testbed.unheard([second]) == ["default", "gpu"]
    assert testbed.unheard([testbed.cancel(first)]) == []


@pytest.mark.parametrize("how", [{"tags": ["x" * 201]}, {"name": "x" * 201}, {"key": "x" * 201}, {"key": "\udcff"}])
def test_words_that_no_index_takes_are_refused(testbed: Testbed, how: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="has 201 characters; 200 at most|holds half of a character"):
        submit(testbed, **how)
    assert testbed.jobs() == []


def test_queues_with_names_that_are_no_text(testbed: Testbed) -> None:
    for act in (testbed.database.queues.lock, testbed.database.queues.remove):
        with pytest.raises(UsageError, match="holds half of a character"):
            act("\udcff")


def test_a_job_that_a_command_runs_is_not_cancelled_from_elsewhere(testbed: Testbed) -> None:
    here = testbed.run(testbed.home.path.parent / "toys")

    with pytest.raises(RefusedError, match="is run by a `dioptra run`"):
        testbed.cancel(here.changed(status=JobStatus.STARTED))
