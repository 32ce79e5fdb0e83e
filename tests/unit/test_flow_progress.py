"""The line in a terminal that says how far a long flow is."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import time

import pytest

LINE = re.compile(r"\r\x1b\[Kflow '(\w+)': (\d) of (\d) tasks")
BEGIN = """\
import contextlib, io, logging, os, signal, sys, threading, time
from dioptra import Flow, task
sleep = task(lambda seconds: time.sleep(seconds), name="sleep")

def in_tasks(*functions):
    with Flow("long") as flow:
        for each in functions:
            task(each, name="call")()
    return flow
"""


def _in_a_terminal(body: str, seconds: float = 30) -> str:
    import pty

    def child() -> None:
        os.environ["TERM"] = "xterm"
        code = BEGIN + textwrap.dedent(body)
        os.execv(sys.executable, [sys.executable, "-c", code])  # noqa: S606

    pid, master = pty.fork()
    if pid == 0:
        child()
    shown, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(master)
    os.waitpid(pid, 0)
    return shown.decode()


def rows(shown: str) -> list[str]:
    """Return what stands in the terminal at the end."""
    found, column = [""], 0
    for part in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+", shown):
        if part == "\r":
            column = 0
        elif part == "\n":
            found.append("")
        elif part == "\x1b[K":
            found[-1] = found[-1][:column]
        else:
            found[-1] = found[-1][:column] + part + found[-1][column + len(part) :]
            column += len(part)
    return [row for row in found if row]


@pytest.mark.parametrize("executor", ["sequential", "threads:2"])
def test_a_long_flow_has_one_line_in_a_terminal(executor: str) -> None:
    shown = _in_a_terminal(f"""
        with Flow("long") as flow:
            task(lambda: 1 / 0, name="fail")()
            for _ in range(3):
                sleep(0.9)
            slow = sleep(2.6)
        flow.run(executor={executor!r}, raise_on_failure=False)
        print("over")
    """)
    assert "\r\x1b[Kflow 'long': " in shown
    assert "of 5 tasks, 1 failed, " in shown
    assert shown.endswith("\r\x1b[Kover\r\n")


def test_a_short_flow_and_a_log_need_none() -> None:
    shown = _in_a_terminal("""
        with Flow("short") as flow:
            sleep(0.1)
        flow.run()
        logging.basicConfig(level=logging.INFO)
        with Flow("told") as flow:
            sleep(2.5)
        flow.run()
    """)
    assert "\x1b[K" not in shown
    assert "task 'sleep-1' succeeded" in shown


@pytest.mark.parametrize("executor", ["sequential", "threads:2"])
def test_it_makes_way_for_whatever_is_written(executor: str) -> None:
    """Also by a log that was set up before, and by what a script puts in the place of a stream."""
    shown = _in_a_terminal(f"""
        class Tee:
            def __init__(self, stream): self.stream = stream
            def write(self, text): return self.stream.write(text)
            def flush(self): self.stream.flush()

        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        def talk():
            time.sleep(2.2)
            print("epoch", 1, "done")
            time.sleep(0.6)
            logging.getLogger("mine").warning("a word")
            time.sleep(0.6)
            with contextlib.redirect_stdout(Tee(sys.stdout)):
                print("epoch", 2, "done")
            time.sleep(0.6)
            with contextlib.redirect_stderr(io.StringIO()):
                print("unseen", file=sys.stderr)
            sys.stderr.writelines(["the ", "end\\n"])
            time.sleep(0.6)
        in_tasks(talk).run(executor={executor!r})
        assert not any("write" in vars(each) for each in (sys.stdout, sys.stderr))
        print("over")
    """)
    assert len(LINE.findall(shown)) >= 4
    assert rows(shown) == ["epoch 1 done", "a word", "epoch 2 done", "the end", "over"]


def test_it_makes_way_in_many_threads_and_in_handlers_of_signals() -> None:
    shown = _in_a_terminal("""
        signal.signal(signal.SIGALRM, lambda *_: print("x" * 20))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        def talk():
            end = time.monotonic() + 3
            while time.monotonic() < end:
                sys.stdout.write("x" * 20 + "\\n")
                time.sleep(0.02)
        in_tasks(talk, talk, talk).run(executor="threads:3")
        signal.setitimer(signal.ITIMER_REAL, 0)
    """)
    assert LINE.search(shown)
    assert "flow" not in "".join(rows(shown))


def test_it_waits_until_a_row_is_complete() -> None:
    shown = _in_a_terminal("""
        def talk():
            print("epoch ", end="", flush=True)
            time.sleep(3.2)
            print("done")
            time.sleep(0.8)
        in_tasks(talk).run()
    """)
    assert LINE.search(shown)
    assert shown.startswith("epoch done\r\n")
    assert rows(shown) == ["epoch done"]


def test_what_another_script_put_on_a_stream_is_left_there() -> None:
    shown = _in_a_terminal("""
        def loud(text): return type(sys.stdout).write(sys.stdout, text.upper())
        def louder(text): return type(sys.stderr).write(sys.stderr, text.upper())
        sys.stdout.write = loud
        in_tasks(lambda: setattr(sys.stderr, "write", louder)).run()
        print(sys.stdout.write is loud, sys.stderr.write is louder)
    """)
    assert rows(shown) == ["TRUE TRUE"]


def test_a_forked_process_does_not_wait_for_the_lock_of_another() -> None:
    shown = _in_a_terminal("""
        from dioptra.flow._progress import _Line
        line = _Line(sys.stderr)
        threading.Thread(target=line._lock.acquire).start()
        if (pid := os.fork()) == 0:
            signal.alarm(5)
            print("child", flush=True)
            os._exit(0)
        os._exit(0 if os.waitpid(pid, 0)[1] == 0 else 1)
    """)
    assert rows(shown) == ["child"]


@pytest.mark.parametrize("stream", ["None", "object()", "io.StringIO()"])
def test_a_stream_that_is_no_terminal(stream: str) -> None:
    shown = _in_a_terminal(f"""
        sys.stderr = {stream}
        in_tasks(lambda: time.sleep(2.3)).run()
        print("over")
    """)
    assert shown == "over\r\n"


def test_of_flows_inside_one_another_the_outermost_has_the_line() -> None:
    shown = _in_a_terminal("""
        def inner():
            with Flow("inner") as flow:
                sleep(2.7)
            flow.run()
        in_tasks(inner, lambda: time.sleep(0.6)).run()
        in_tasks(lambda: time.sleep(2.3)).run()
    """)
    assert {(flow, tasks) for flow, _, tasks in LINE.findall(shown)} == {("long", "2"), ("long", "1")}
    assert rows(shown) == []


def test_of_flows_at_the_same_time_the_first_has_the_line() -> None:
    shown = _in_a_terminal("""
        def other():
            with Flow("other") as flow:
                sleep(2.7)
            flow.run()
        second = threading.Timer(0.2, other)
        second.start()
        in_tasks(lambda: time.sleep(3)).run()
        second.join()
    """)
    assert {flow for flow, _, _ in LINE.findall(shown)} == {"long"}
    assert rows(shown) == []
