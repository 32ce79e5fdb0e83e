"""Attempts under their supervisor: how they end, what they leave, and what they may print."""

from __future__ import annotations

import errno
import os
import signal
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dioptra.worker import Ending, Lease, Supervised, _supervisor_process, run_command, sweep
from tests.integration.attempts import STUBBORN, clean_up, is_alive, marked, wait_until

SLEEP = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def marker() -> Iterator[str]:
    marker = f"{uuid.uuid4()}/1"
    yield marker
    clean_up(marker)


@pytest.fixture
def start(tmp_path: Path, marker: str) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def call(code: str, **more: Any) -> Supervised:
        options: dict[str, Any] = {
            "cwd": tmp_path,
            "environment": dict(os.environ),
            "log_file": tmp_path / "log.txt",
            "on_output": lambda chunk: None,
            "grace": 0.3,
            "marker": marker,
        }
        attempt = Supervised([sys.executable, "-c", textwrap.dedent(code)], **options | more)
        started.append(attempt)
        return attempt

    yield call
    for attempt in started:
        attempt.close()


def ended(attempt: Supervised) -> Ending:
    ending = attempt.follow(20)
    assert ending is not None
    return ending


def until_ready(attempt: Supervised, log: Path) -> None:
    assert wait_until(lambda: attempt.follow(0.01) is not None or b"ready" in log.read_bytes())


@pytest.mark.parametrize(
    ("code", "exit_code", "reason"),
    [
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("import os; os._exit(0)", 0, ""),
        ("import os; os.abort()", -signal.SIGABRT, "ended by SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, "ended by SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), 9)", -signal.SIGKILL, "ended by SIGKILL (out of memory?)"),
    ],
)
def test_the_end_of_the_entry_point_is_said(
    start: Callable[..., Supervised], code: str, exit_code: int, reason: str
) -> None:
    ending = ended(start(code))

    assert (ending.exit_code, ending.reason) == (exit_code, reason)


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_cancel_ends_everything(start: Callable[..., Supervised], tmp_path: Path, marker: str, code: str) -> None:
    attempt = start(code)
    until_ready(attempt, tmp_path / "log.txt")
    asked = time.monotonic()

    attempt.cancel()

    assert ended(attempt).reason == "cancelled"
    assert time.monotonic() - asked < 4  # the supervisor did it: the worker waits for five seconds
    assert marked(marker) <= {attempt.supervisor_pid}  # which has said its last word
    attempt.close()
    assert not marked(marker)


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_all_is_over_before_the_lease_is(
    start: Callable[..., Supervised], tmp_path: Path, marker: str, code: str
) -> None:
    lease = Lease(3.0)
    attempt = start(code, lease=lease)

    ending = ended(attempt)

    assert lease.left() > 0
    assert marked(marker) <= {attempt.supervisor_pid}
    assert ending.lapsed
    assert ending.reason == "ended because its lease was not renewed"


def test_a_renewed_lease_keeps_an_attempt_alive(start: Callable[..., Supervised], tmp_path: Path) -> None:
    lease = Lease(2.0)
    started = time.monotonic()
    attempt = start("import time; time.sleep(3)", lease=lease)

    while (ending := attempt.follow(0.1)) is None:
        lease.renew(2.0)

    assert ending.reason == ""
    assert time.monotonic() - started > 2.9


def test_a_lease_counts_from_the_moment_when_it_was_asked_for(start: Callable[..., Supervised], tmp_path: Path) -> None:
    attempt = start("open('started', 'w').close()", lease=Lease(5.0, since=time.monotonic() - 6.0))

    ending = ended(attempt)

    assert ending.lapsed
    assert ending.exit_code == -signal.SIGTERM  # the supervisor has not even started it
    assert not (tmp_path / "started").exists()


def test_a_time_limit(start: Callable[..., Supervised], marker: str) -> None:
    attempt = start(STUBBORN["has grandchildren"], timeout=0.5)

    ending = ended(attempt)

    assert (ending.timed_out, ending.cancelled) == (0.5, False)
    assert ending.reason == "timed out after 0.5 s"
    assert marked(marker) <= {attempt.supervisor_pid}


def test_the_grace_is_granted_and_cancel_may_be_said_again(start: Callable[..., Supervised], tmp_path: Path) -> None:
    code = """
        import signal, sys, time
        def end(*_): time.sleep(0.4); print("cleaned up", flush=True); sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(60)
    """
    attempt = start(code, grace=5.0)
    until_ready(attempt, tmp_path / "log.txt")

    attempt.cancel()
    attempt.cancel()

    assert ended(attempt) == Ending(0, cancelled=True)
    assert b"cleaned up" in (tmp_path / "log.txt").read_bytes()


def test_kill_does_not_wait_for_the_grace(start: Callable[..., Supervised], tmp_path: Path) -> None:
    attempt = start(STUBBORN["ignores TERM"], grace=30.0)
    until_ready(attempt, tmp_path / "log.txt")
    asked = time.monotonic()

    attempt.cancel()
    attempt.kill()

    assert ended(attempt) == Ending(-signal.SIGKILL, cancelled=True)
    assert time.monotonic() - asked < 5


def test_a_stopped_entry_point_is_ended_too(start: Callable[..., Supervised], tmp_path: Path) -> None:
    attempt = start(SLEEP, grace=30.0)
    until_ready(attempt, tmp_path / "log.txt")
    assert attempt.pid is not None
    os.kill(attempt.pid, signal.SIGSTOP)

    attempt.cancel()

    assert ended(attempt) == Ending(-signal.SIGTERM, cancelled=True)  # it was woken to take it


@pytest.mark.parametrize("reaper", [True, False], ids=["as subreaper", "with the group alone"])
def test_what_is_left_behind_is_ended_before_the_end_is_said(
    start: Callable[..., Supervised], marker: str, reaper: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not reaper:
        program = "import _supervisor; _supervisor.prctl = lambda *_: False;"
        changed = _supervisor_process._PROGRAM.replace("import _supervisor;", program)
        monkeypatch.setattr(_supervisor_process, "_PROGRAM", changed)
    daemon = textwrap.dedent(STUBBORN["daemonizes"]).replace("\ntime.sleep(60)", "")
    child = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"

    attempt = start(child + daemon)

    assert ended(attempt).reason == ""
    assert marked(marker) <= {attempt.supervisor_pid}


def test_a_daemon_that_hides_its_marker_is_found(start: Callable[..., Supervised], tmp_path: Path) -> None:
    code = """
        import os, subprocess, sys
        sleep = "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'there'); time.sleep(60)"
        subprocess.Popen([sys.executable, "-c", sleep], env={}, start_new_session=True)
        while not os.path.exists("there"): pass
    """

    assert ended(start(code)).reason == ""
    assert not is_alive(int((tmp_path / "there").read_text()))


def test_the_entry_point_gets_a_plain_process(start: Callable[..., Supervised], tmp_path: Path, marker: str) -> None:
    code = """
        import os, signal
        from pathlib import Path
        status = dict(line.split(":\\t") for line in Path("/proc/self/status").read_text().splitlines())
        given = Path("/proc/self/environ").read_bytes().split(b"\\0")
        by_python = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
        by_libc = 0b11 << 31  # its own two signals, which whoever starts a process by posix_spawn ignores, as make does
        print(int(status["SigBlk"], 16), int(status["SigIgn"], 16) & ~(by_python | by_libc))
        print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
        print(os.environ["DIOPTRA_WORKER_PID"] == str(os.getppid()), os.environ["DIOPTRA_ATTEMPT"])
        print(any(entry.startswith(b"LC_CTYPE") for entry in given))
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        attempt = start(code, environment={})
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    assert ended(attempt).reason == ""
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines == ["0 0", "[0, 1, 2]", f"True {marker}", "False"]


def test_a_broken_pipe_ends_a_program_as_in_a_shell(tmp_path: Path) -> None:
    ending = run_command(
        ["sh", "-c", "yes | head -n 1; kill -PIPE $$"],
        cwd=tmp_path,
        environment=dict(os.environ),
        log_file=tmp_path / "log.txt",
        on_output=lambda chunk: None,
    )

    assert ending.reason == "ended by SIGPIPE"
    assert (tmp_path / "log.txt").read_bytes() == b"y\n"


def test_bytes_in_arguments_and_values_arrive_as_they_are(tmp_path: Path) -> None:
    odd = b"\xff \xc3\xa4 $HOME"
    run_command(
        ["sh", "-c", 'printf "%s|%s" "$1" "$ODD"', "sh", os.fsdecode(odd)],
        cwd=tmp_path,
        environment={"ODD": os.fsdecode(odd), "PATH": os.environ["PATH"]},
        log_file=tmp_path / "log.txt",
        on_output=lambda chunk: None,
    )

    assert (tmp_path / "log.txt").read_bytes() == odd + b"|" + odd


def test_a_program_that_is_not_there(tmp_path: Path, marker: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        run_command(
            ["no-such-program"],
            cwd=tmp_path,
            environment=dict(os.environ),
            log_file=tmp_path / "log.txt",
            on_output=lambda chunk: None,
            marker=marker,
        )

    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "no-such-program")
    assert not marked(marker)


def test_the_log_ends_at_its_limit_and_the_job_goes_on(start: Callable[..., Supervised], tmp_path: Path) -> None:
    code = """
        import os
        for _ in range(1000): os.write(1, b"x" * 100_000)
        open("done", "w").close()
    """
    streamed: list[bytes] = []
    attempt = start(code, log_limit=1_000_000, on_output=streamed.append)

    assert ended(attempt).reason == ""
    note = b"\n... the log ends here: it has reached its limit of 1 MB; the job goes on\n"
    assert (tmp_path / "done").exists()
    assert (tmp_path / "log.txt").read_bytes() == b"x" * 1_000_000 + note == b"".join(streamed)


def test_a_full_disk_ends_the_attempt_with_a_sentence(start: Callable[..., Supervised], marker: str) -> None:
    ending = ended(start(SLEEP, log_file=Path("/dev/full")))

    assert ending.reason == "the log could not be written (No space left on device)"
    assert not ending.cancelled
    assert ending.exit_code == -signal.SIGTERM


def test_a_fault_of_the_listener_ends_the_attempt(tmp_path: Path, marker: str) -> None:
    def fail(chunk: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_command(
            [sys.executable, "-c", SLEEP],
            cwd=tmp_path,
            environment=dict(os.environ),
            log_file=tmp_path / "log.txt",
            on_output=fail,
            marker=marker,
        )

    assert not marked(marker)


def test_many_attempts_at_once_leave_nothing_open(tmp_path: Path) -> None:
    def run(number: int) -> None:
        reasons[number] = run_command(
            [sys.executable, "-c", f"import sys; print({number}); sys.exit({number})"],
            cwd=tmp_path,
            environment=dict(os.environ),
            log_file=tmp_path / f"log-{number}.txt",
            on_output=lambda chunk: None,
        ).reason

    reasons: dict[int, str] = {}
    before = len(list(Path("/proc/self/fd").iterdir()))
    threads = [threading.Thread(target=run, args=[number]) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert reasons == {number: f"exit code {number}" if number else "" for number in range(12)}
    assert all((tmp_path / f"log-{number}.txt").read_text() == f"{number}\n" for number in range(12))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_sweep_ends_those_with_the_very_marker(start: Callable[..., Supervised], tmp_path: Path, marker: str) -> None:
    attempt, other = start(SLEEP), start(SLEEP, marker=marker + "1", log_file=tmp_path / "other.txt")
    until_ready(attempt, tmp_path / "log.txt")
    until_ready(other, tmp_path / "other.txt")
    assert attempt.pid is not None

    assert sweep(marker, spare=marked(marker)) == 0
    assert sweep(marker, spare=[attempt.supervisor_pid]) == 1
    assert ended(attempt).exit_code == -signal.SIGKILL
    assert sweep(marker) <= 1
    assert sweep(marker) == 0
    assert marked(marker + "1") == {other.supervisor_pid, other.pid}
