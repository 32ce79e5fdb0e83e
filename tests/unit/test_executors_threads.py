"""Tasks at the same time, in threads."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra.errors import FlowError, FlowFailed
from dioptra.executors import Threads
from dioptra.flow import (
    Context,
    Event,
    Failed,
    Flow,
    FlowSettled,
    Parameter,
    Sequential,
    State,
    Success,
    Task,
    TaskRetrying,
    TaskSettled,
    TimedOut,
    TriggerFailed,
    context,
    listen,
    signals,
    task,
    triggers,
)


@task
def plus_one(x: int) -> int:
    return x + 1


@task
def sleep(seconds: float) -> None:
    time.sleep(seconds)


def names(flow: Flow, state: State) -> dict[str, tuple[str, Any]]:
    return {flow.node(each).slug: (type(found).__name__, found.result) for each, found in state.result.items()}


def spinning() -> tuple[Callable[[], None], threading.Event, threading.Event]:
    """Return what runs until it is interrupted, and events that tell when it has begun and ended."""
    begun, left = threading.Event(), threading.Event()

    def spin() -> None:
        try:
            while True:
                begun.set()
                time.sleep(0.001)
        finally:
            left.set()

    return spin, begun, left


class TestAtTheSameTime:
    def test_tasks_that_do_not_depend_on_each_other(self) -> None:
        meeting = threading.Barrier(3)
        meet = task(lambda: meeting.wait(10), name="meet")
        with Flow("meeting") as flow:
            for _ in range(3):
                meet()
        assert flow.run(executor=Threads(3)).is_successful()

    def test_no_more_than_there_are_threads(self) -> None:
        lock, now, most = threading.Lock(), [0], [0]

        def count() -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with lock:
                now[0] -= 1

        with Flow("counted") as flow:
            for _ in range(12):
                task(count)()
        flow.run(executor="threads:2")
        assert most == [2]

    def test_each_after_what_it_depends_on(self) -> None:
        with Flow("chain") as flow:
            last: Task = plus_one(0)
            for _ in range(500):
                last = plus_one(last)
        assert flow.run(executor="threads").result[last].result == 501

    def test_one_thread_a_core_by_default(self) -> None:
        assert repr(Threads()) == f"Threads({len(os.sched_getaffinity(0))})"

    def test_the_wait_for_a_thread_does_not_count_as_time_that_a_task_takes(self) -> None:
        with Flow("timed") as flow:
            made = [sleep(0.3) for _ in range(3)]
        state = flow.run(executor=Threads(1))
        taken = [state.result[each].seconds or 0 for each in made]
        assert min(taken) >= 0.3
        assert sum(taken) <= (state.seconds or 0)

    def test_the_setting_chooses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIOPTRA_EXECUTOR", "threads:1")
        found = task(threading.current_thread)
        with Flow("where") as flow:
            where = found()
        assert flow.run().result[where].result is not threading.current_thread()
        assert flow.run(executor="sequential").result[where].result is threading.current_thread()
        assert flow.run(executor=Sequential()).result[where].result is threading.current_thread()

    def test_threads_end_with_the_flow(self) -> None:
        with Flow("over") as flow:
            for _ in range(4):
                sleep(0.01)
        flow.run(executor=Threads(4))
        deadline = time.monotonic() + 5
        while (left := [each for each in threading.enumerate() if each.name == "tasks of a flow"]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.01)
        assert not left

    def test_a_flow_inside_a_task(self) -> None:
        def inner(x: int) -> int:
            with Flow("inner") as flow:
                made = plus_one(plus_one(x))
            return int(flow.run(executor="threads:2").result[made].result)

        with Flow("outer") as flow:
            made = [task(inner)(x) for x in range(4)]
        state = flow.run(executor="threads:2")
        assert [state.result[each].result for each in made] == [2, 3, 4, 5]

    def test_the_context_of_the_script_and_of_the_task(self) -> None:
        word = contextvars.ContextVar("word", default="none")
        word.set("said")
        look = task(lambda: (word.get(), context()), name="look")
        with Flow("seen") as flow:
            seen = look(upstream_tasks=[Parameter("x")])
        found, where = flow.run(x=3, executor="threads").result[seen].result
        assert found == "said"
        assert where == Context("seen", "look", "look-1", 1, {"x": 3})
        assert context() is None


class TestResults:
    """They do not depend on which task was quicker."""

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_are_those_of_one_after_the_other(self, data: st.DataObject) -> None:
        """Random graphs with random waits, failures, skips and triggers."""
        size = data.draw(st.integers(1, 12))
        kinds = data.draw(st.lists(st.sampled_from(["ok", "ok", "ok", "fail", "skip"]), min_size=size, max_size=size))
        waits = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
        rules = [triggers.all_successful, triggers.any_failed, triggers.all_finished, triggers.any_successful]

        def work(kind: str, wait: int, taken: list[Any]) -> Any:
            time.sleep(wait / 1000)
            if kind == "fail":
                raise ValueError("no")
            if kind == "skip":
                raise signals.SKIP("no need", result=None)
            return (kind, [item for item in taken if not isinstance(item, BaseException)])

        with Flow("random") as flow:
            made: list[Task] = []
            for index in range(size):
                taken = data.draw(st.lists(st.sampled_from(made), max_size=3)) if made else []
                rule = data.draw(st.sampled_from(rules))
                made.append(task(work, trigger=rule)(kinds[index], waits[index], taken))

        ended = [flow.run(executor=each, raise_on_failure=False) for each in ("sequential", "threads:3")]
        first, second = ({k: (v[0], str(v[1])) for k, v in names(flow, state).items()} for state in ended)
        assert first == second
        assert list(first) == list(second)
        assert [type(state) for state in ended] in ([Success] * 2, [Failed] * 2)
        assert ended[0].message == ended[1].message

    def test_the_first_cause_of_a_failure_is_that_of_the_first_task(self) -> None:
        heard: list[Event] = []
        second_has_settled = threading.Event()

        def fail(number: int) -> None:
            if number == 1:
                second_has_settled.wait(20)
            raise ValueError(f"of task {number}")

        def hear(event: Event) -> None:
            heard.append(event)
            if isinstance(event, TaskSettled):
                second_has_settled.set()

        with Flow("fails") as flow:
            task(fail)(1)
            task(fail)(2)
        with listen(hear), pytest.raises(FlowFailed) as caught:
            flow.run(executor="threads:2")
        assert [event.slug for event in heard if isinstance(event, TaskSettled)] == ["fail-2", "fail-1"]
        assert str(caught.value.__cause__) == "of task 1"


class TestRetriesAndTimeouts:
    def test_others_run_while_a_task_waits_to_be_tried_again(self) -> None:
        heard: list[Event] = []
        left = [ValueError("once more")] * 2

        def flaky() -> str:
            if left:
                raise left.pop()
            return "done"

        with Flow("again") as flow:
            again = task(flaky, max_retries=2, retry_delay=0.2, retry_backoff=2)()
            task(lambda: None, name="other")()
        with listen(heard.append):
            state = flow.run(executor=Threads(1))
        assert state.result[again].result == "done"
        assert [event.slug for event in heard if isinstance(event, TaskSettled)] == ["other-1", "flaky-1"]
        assert state.result[again].seconds is not None
        assert 0.6 <= state.result[again].seconds < 5
        assert [event.attempt for event in heard if isinstance(event, TaskRetrying)] == [1, 2]
        assert [event.attempts for event in heard if isinstance(event, TaskSettled)] == [1, 3]

    def test_what_takes_too_long_is_interrupted(self) -> None:
        spin, _, left = spinning()

        with Flow("late") as flow:
            late = task(spin, timeout=0.1)()
            after = task(lambda x: x, trigger=triggers.any_failed)(late)
        state = flow.run(executor="threads", raise_on_failure=False)
        assert type(state.result[late]) is TimedOut
        assert isinstance(state.result[after].result, TimeoutError)
        assert left.wait(5)

    def test_a_task_that_runs_a_flow_ends_alone_and_with_all_of_it(self) -> None:
        spin, _, left = spinning()

        def inner() -> None:
            with Flow("inner") as flow:
                task(spin)()
            flow.run(executor="threads:2")

        with Flow("outer") as flow:
            late = task(inner, timeout=0.5)()
            other = task(lambda: left.wait(20), name="other")()
        state = flow.run(executor="threads:2", raise_on_failure=False)
        assert type(state.result[late]) is TimedOut
        assert state.result[other].result is True

    def test_a_flow_inside_a_task_runs_in_its_thread_unless_it_says_otherwise(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DIOPTRA_EXECUTOR", "threads:2")

        def inner() -> bool:
            with Flow("inner") as flow:
                where = task(lambda: threading.current_thread(), name="where")()
            return flow.run().result[where].result is threading.current_thread()

        with Flow("outer") as flow:
            made = task(inner)()
        assert flow.run().result[made].result is True

    def test_what_is_not_to_be_run(self) -> None:
        with Flow("stops") as flow:
            skipped = task(lambda: (_ for _ in ()).throw(signals.SKIP("none")), name="skip")()
            behind = plus_one(skipped)
            fails = task(lambda: 1 / 0, name="fail")()
            never = plus_one(fails)
        state = flow.run(executor="threads", raise_on_failure=False)
        assert state.result[behind].is_skipped()
        assert type(state.result[never]) is TriggerFailed


class TestInterruptions:
    def run(self, body: str, *, number: signal.Signals, tmp_path: Any) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(body))
        process = subprocess.Popen(
            [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        return subprocess.CompletedProcess(process.args, process.returncode, first + out, err)

    BODY = """
        import signal, sys, threading, time
        from dioptra import Flow, task

        meeting = threading.Barrier(2)

        def spin(name):
            try:
                if meeting.wait() == 0:
                    print("ready", flush=True)
                while True:
                    time.sleep(0.001)
            finally:
                print(name, "cleaned up", flush=True)

        with Flow("endless") as flow:
            for name in "ab":
                task(spin)(name)
            after = task(lambda: print("went on"))(upstream_tasks=flow.get_tasks())
        flow.run(executor="threads:2")
    """

    def test_ctrl_c_ends_the_tasks_that_run(self, tmp_path: Any) -> None:
        done = self.run(self.BODY, number=signal.SIGINT, tmp_path=tmp_path)
        assert done.returncode == -signal.SIGINT
        assert "KeyboardInterrupt" in done.stderr
        assert "a cleaned up" in done.stdout
        assert "b cleaned up" in done.stdout
        assert "went on" not in done.stdout

    def test_a_handler_that_ends_the_script(self, tmp_path: Any) -> None:
        handler = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        done = self.run(handler + textwrap.dedent(self.BODY), number=signal.SIGTERM, tmp_path=tmp_path)
        assert done.returncode == 7
        assert "a cleaned up" in done.stdout

    def test_what_cannot_be_interrupted_does_not_hold_up_the_end(self, tmp_path: Any) -> None:
        body = """
            import time
            from dioptra import Flow, task
            with Flow("asleep") as flow:
                task(lambda: print("ready", flush=True) or time.sleep(60), name="sleep")()
            flow.run(executor="threads:2")
        """
        start = time.monotonic()
        done = self.run(body, number=signal.SIGINT, tmp_path=tmp_path)
        assert done.returncode == -signal.SIGINT
        assert time.monotonic() - start < 15

    def test_an_interruption_is_announced_and_raised_on(self) -> None:
        heard: list[Event] = []

        def interrupt() -> None:
            raise KeyboardInterrupt

        with Flow("interrupted") as flow:
            task(interrupt)()
        with listen(heard.append), pytest.raises(KeyboardInterrupt):
            flow.run(executor="threads")
        assert isinstance(heard[-1], FlowSettled)
        assert heard[-1].state.message == "interrupted by KeyboardInterrupt"

    def test_it_ends_the_tasks_of_a_flow_inside_a_task(self) -> None:
        spin, begun, left = spinning()

        def inner() -> None:
            with Flow("inner") as flow:
                task(spin)()
            flow.run(executor="threads:2")

        def interrupt() -> None:
            begun.wait(20)
            raise KeyboardInterrupt

        with Flow("outer") as flow:
            task(inner)()
            task(interrupt)()
        with pytest.raises(KeyboardInterrupt):
            flow.run(executor="threads:2")
        assert left.wait(5)


class TestRefusals:
    @pytest.mark.parametrize("number", [0, -1, True, 1.5, "2"])
    def test_a_number_of_threads(self, number: Any) -> None:
        with pytest.raises(FlowError, match="is not a number of threads; write Threads"):
            Threads(number)

    @pytest.mark.parametrize(
        ("chosen", "words"),
        [
            ("thread", "there is no executor 'thread'; did you mean 'threads'"),
            ("", r"there is no executor '' \(have: sequential, threads, dask, the address"),
            ("threads:", "executor 'threads:' has no number behind its colon; write threads:4, or threads"),
            ("threads:0", "has no number"),
            ("dask:x", "executor 'dask:x' has no number behind its colon; write dask:4, or dask"),
            (3, "there is no executor 3"),
            (Threads, "there is no executor <class"),
        ],
    )
    def test_what_is_no_executor(self, chosen: Any, words: str) -> None:
        ran: list[int] = []
        with Flow("none") as flow:
            task(ran.append)(1)
        with pytest.raises(FlowError, match=words):
            flow.run(executor=chosen)
        assert not ran

    def test_a_setting_that_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIOPTRA_EXECUTOR", "slow")
        with Flow("none") as flow:
            plus_one(1)
        with pytest.raises(FlowError, match="there is no executor 'slow'"):
            flow.run()


def test_an_executor_of_ones_own() -> None:
    class Backwards:
        def drive(self, run: Any) -> None:
            for each in run.order:
                run.settle_here(each)

    with Flow("own") as flow:
        made = plus_one(1)
    assert flow.run(executor=Backwards()).result[made].result == 2
