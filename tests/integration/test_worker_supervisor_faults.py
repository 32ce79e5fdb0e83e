"""Worker, supervisor and entry point are killed and stopped: nothing of the attempt is left, whoever is gone."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dioptra.worker import sweep
from tests.integration.attempts import STUBBORN, Worker, clean_up, marked, wait_until


@pytest.fixture
def marker() -> Iterator[str]:
    marker = f"{uuid.uuid4()}/1"
    yield marker
    clean_up(marker)


@pytest.fixture
def worker(tmp_path: Path, marker: str) -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def call(code: str, **more: Any) -> Worker:
        started.append(Worker(tmp_path, marker, code, **more))
        return started[-1]

    yield call
    for process in started:
        process.end()


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_the_worker_is_killed(worker: Callable[..., Worker], marker: str, code: str) -> None:
    process = worker(code)

    os.kill(process.pid, signal.SIGKILL)

    assert wait_until(lambda: not marked(marker))


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_the_supervisor_is_killed(worker: Callable[..., Worker], marker: str, code: str) -> None:
    process = worker(code)

    os.kill(process.supervisor, signal.SIGKILL)

    assert process.line() == "the supervisor of the attempt was ended"
    assert not marked(marker)


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_the_entry_point_is_killed(worker: Callable[..., Worker], marker: str, code: str) -> None:
    process = worker(code)

    os.kill(process.child, signal.SIGKILL)

    assert process.line() == "ended by SIGKILL (out of memory?)"
    assert wait_until(lambda: not marked(marker))


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_all_three_are_killed_and_another_worker_sweeps(worker: Callable[..., Worker], marker: str, code: str) -> None:
    process = worker(code)

    for pid in (process.supervisor, process.pid, process.child):
        os.kill(pid, signal.SIGKILL)

    sweep(marker)
    assert not marked(marker)


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_the_worker_is_stopped_past_the_lease(worker: Callable[..., Worker], marker: str, code: str) -> None:
    process = worker(code, lease=4.0)

    os.kill(process.pid, signal.SIGSTOP)

    assert wait_until(lambda: not marked(marker))
    assert time.monotonic() < process.leased_at + 4.0
    os.kill(process.pid, signal.SIGCONT)
    assert process.line() == "ended because its lease was not renewed"


def test_worker_and_supervisor_are_killed(worker: Callable[..., Worker], marker: str) -> None:
    process = worker(STUBBORN["ignores TERM"])

    os.kill(process.pid, signal.SIGKILL)
    os.kill(process.supervisor, signal.SIGKILL)

    assert wait_until(lambda: not marked(marker))  # the system does it: nobody sweeps


def test_the_supervisor_is_stopped(worker: Callable[..., Worker], marker: str) -> None:
    process = worker(STUBBORN["daemonizes"])

    os.kill(process.supervisor, signal.SIGSTOP)

    assert process.line() == "the supervisor of the attempt was ended"
    assert not marked(marker)


def test_the_supervisor_is_stopped_and_the_lease_lapses(worker: Callable[..., Worker], marker: str) -> None:
    process = worker(STUBBORN["daemonizes"], lease=1.0)

    os.kill(process.supervisor, signal.SIGSTOP)

    assert process.line() == "ended because its lease was not renewed"
    assert not marked(marker)


def test_the_supervisor_is_stopped_and_the_worker_killed(worker: Callable[..., Worker], marker: str) -> None:
    process = worker(STUBBORN["daemonizes"])

    os.kill(process.supervisor, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)

    assert sweep(marker) == 3  # supervisor, entry point, daemon
    assert not marked(marker)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_supervisor_changes_nothing(
    worker: Callable[..., Worker], marker: str, number: signal.Signals
) -> None:
    code = "import time\nprint('ready', flush=True)\ntime.sleep(0.5)\nraise SystemExit(4)"
    process = worker(code)

    os.kill(process.supervisor, number)

    assert process.line() == "exit code 4"
