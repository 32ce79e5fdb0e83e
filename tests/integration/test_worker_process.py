"""Starting, following and ending real processes."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from dioptra.worker import Ending, run_command


class Followed:
    """Collects what a command prints, and can act on it."""

    def __init__(self) -> None:
        self.text = b""
        self.times: list[float] = []
        self.event = threading.Event()

    def __call__(self, chunk: bytes) -> None:
        self.text += chunk
        self.times.append(time.monotonic())
        if b"ready" in self.text:
            self.event.set()


def run(tmp_path: Path, code: str, followed: Followed | None = None, grace: float = 5.0, **more: object) -> Ending:
    return run_command(
        [sys.executable, "-u", "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        environment=dict(os.environ),
        log_file=tmp_path / "log.txt",
        on_output=followed or Followed(),
        grace=grace,
        **more,  # type: ignore[arg-type]
    )


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_until_gone(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def test_both_streams_are_kept_in_the_order_printed(tmp_path: Path) -> None:
    followed = Followed()
    code = "import sys\nfor n in range(50): print(n, file=sys.stderr if n % 2 else sys.stdout)"

    ending = run(tmp_path, code, followed)

    expected = "".join(f"{n}\n" for n in range(50)).encode()
    assert ending == Ending(0, cancelled=False)
    assert ending.reason == ""
    assert followed.text == expected
    assert (tmp_path / "log.txt").read_bytes() == expected


def test_output_arrives_while_the_command_runs(tmp_path: Path) -> None:
    followed = Followed()

    run(tmp_path, "import time\nprint(1)\ntime.sleep(0.5)\nprint(2)", followed)

    assert followed.times[-1] - followed.times[0] > 0.3


def test_bytes_that_are_no_text_and_a_lot_of_them(tmp_path: Path) -> None:
    followed = Followed()

    run(tmp_path, r"import sys; sys.stdout.buffer.write(b'\xff\x00' * 2_000_000)", followed)

    assert followed.text == b"\xff\x00" * 2_000_000


@pytest.mark.parametrize(
    ("code", "exit_code", "reason"),
    [
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("1 / 0", 1, "exit code 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, "ended by SIGSEGV"),
    ],
)
def test_the_reason_of_an_end(tmp_path: Path, code: str, exit_code: int, reason: str) -> None:
    ending = run(tmp_path, code)

    assert (ending.exit_code, ending.reason, ending.cancelled) == (exit_code, reason, False)


def test_the_command_runs_in_a_session_of_its_own_with_no_input(tmp_path: Path) -> None:
    followed = Followed()

    run(
        tmp_path,
        "import os, sys; print(os.getsid(0) == os.getpid() == os.getpgid(0), repr(sys.stdin.read()))",
        followed,
    )

    assert followed.text == b"True ''\n"


def test_a_set_event_ends_the_command(tmp_path: Path) -> None:
    followed = Followed()

    ending = run(tmp_path, "import time\nprint('ready')\ntime.sleep(60)", followed, cancel=followed.event)

    assert ending == Ending(-signal.SIGTERM, cancelled=True)
    assert ending.reason == "cancelled"


def test_a_command_that_ignores_term_is_killed(tmp_path: Path) -> None:
    followed = Followed()
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(60)"
    started = time.monotonic()

    ending = run(tmp_path, code, followed, grace=0.5, cancel=followed.event)

    assert ending == Ending(-signal.SIGKILL, cancelled=True)
    assert time.monotonic() - started < 10


def test_a_command_may_clean_up_when_it_is_asked_to_end(tmp_path: Path) -> None:
    followed = Followed()
    code = """
        import signal, sys, time
        def end(*_): print("cleaned up"); sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("ready")
        time.sleep(60)
    """

    ending = run(tmp_path, code, followed, cancel=followed.event)

    assert ending == Ending(0, cancelled=True)
    assert followed.text.endswith(b"cleaned up\n")


CHILD = """
    import subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid)
"""


def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    followed = Followed()
    started = time.monotonic()

    ending = run(tmp_path, CHILD, followed)

    assert ending.exit_code == 0
    assert time.monotonic() - started < 10  # the child holds the pipe open and is not waited for
    assert wait_until_gone(int(followed.text))


def test_children_are_ended_with_a_cancelled_command(tmp_path: Path) -> None:
    followed = Followed()
    code = textwrap.dedent(CHILD) + "print('ready')\nimport time; time.sleep(60)"

    run(tmp_path, code, followed, cancel=followed.event)

    assert wait_until_gone(int(followed.text.split()[0]))


def test_a_child_that_prints_for_ever_does_not_hold_up_the_end(tmp_path: Path) -> None:
    followed = Followed()
    loop = "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\\nwhile True: print('x', flush=True)"
    code = f'import subprocess, sys\nprint(subprocess.Popen([sys.executable, "-c", "{loop}"]).pid)'
    started = time.monotonic()

    run(tmp_path, code, followed, grace=0.5)

    assert time.monotonic() - started < 15
    assert wait_until_gone(int(followed.text.split()[0]))


def test_a_command_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    code = "import os, time\nos.close(1); os.close(2)\ntime.sleep(0.4)\nopen('done', 'w').close()\nos._exit(7)"

    assert run(tmp_path, code).exit_code == 7
    assert (tmp_path / "done").exists()


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_command(
            ["./gone"], cwd=tmp_path, environment={}, log_file=tmp_path / "log.txt", on_output=lambda chunk: None
        )
