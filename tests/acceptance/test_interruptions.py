"""Whenever a command is interrupted, nothing is broken afterwards and the interruption is not lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra.errors import RefusedError
from dioptra.records import JobStatus
from dioptra.testbed import Testbed
from tests.conftest import Command, clean_environment

SLEEPER = "name: sleeper\nentry_points: {main: {command: 'sleep 30'}, noop: {command: 'true'}}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("delay", [0.5, 0.9, 1.2, 1.7])
def test_at_any_moment_of_the_very_first_run(
    dioptra: Command, project: Callable[..., Path], tmp_path: Path, number: int, delay: float
) -> None:
    folder, home = project(SLEEPER), tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-m", "dioptra", "run", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(DIOPTRA_HOME=str(home)),
    )
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=25)
    was_python_starting = process.returncode == -number and not home.exists()  # as on a busy machine

    assert was_python_starting or process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), err
    assert was_python_starting or "Traceback" not in err
    again = dioptra("run", str(folder), "-e", "noop", "--json", home=home)
    assert again.code == 0, again.err
    ended = "lost" if number == signal.SIGKILL else "cancelled"
    assert {job.status for job in Testbed(home).jobs()} <= {ended, "finished"}


def test_a_job_whose_command_was_killed_is_lost(project: Callable[..., Path], shared_home: Path) -> None:
    folder, testbed = project(SLEEPER), Testbed(shared_home)
    process = subprocess.Popen(
        [sys.executable, "-m", "dioptra", "run", str(folder), "--experiment", "killed"],
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(DIOPTRA_HOME=str(shared_home)),
    )
    assert process.stderr is not None
    process.stderr.readline()  # it has started
    (before,) = testbed.jobs(experiment="killed")
    process.kill()
    process.communicate(timeout=25)
    (after,) = testbed.jobs(experiment="killed")

    assert before.status == "started"
    assert (after.status, after.reason) == ("lost", "the process that ran it is gone")
    assert after.ended_at is not None
    assert testbed.tracking.run(str(after.run_id)).status == "KILLED"
    assert testbed.home.job(after.id) == testbed.job(after.id) == after
    with pytest.raises(RefusedError, match="already ended: lost"):
        testbed.database.jobs.put(before.changed(status=JobStatus.FINISHED))


def test_the_second_interrupt_does_not_wait(project: Callable[..., Path], shared_home: Path) -> None:
    stubborn = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(60)"
    folder = project("entry_points: {main: {command: python stubborn.py}}", stubborn=stubborn)
    process = subprocess.Popen(
        [sys.executable, "-m", "dioptra", "run", str(folder), "--experiment", "stubborn", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(DIOPTRA_HOME=str(shared_home)),
    )
    assert process.stdout is not None
    process.stdout.readline()
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=25)

    assert time.monotonic() - started < 8  # the grace of ten seconds is not waited for
    assert json.loads(out.splitlines()[-1])["status"] == "cancelled"
    assert process.returncode == 130
