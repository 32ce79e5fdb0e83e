"""What can be said of a task: retries, timeouts, tags, and the options of Prefect 1 that mean nothing here."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from dioptra.errors import TaskDefinitionError
from dioptra.flow import (
    Context,
    Event,
    Failed,
    Flow,
    FlowFailed,
    FunctionTask,
    Parameter,
    Retrying,
    State,
    Success,
    Task,
    TaskRetrying,
    TaskSettled,
    TimedOut,
    context,
    listen,
    signals,
    task,
    triggers,
)


def flaky(failures: int, error: BaseException | None = None, **options: Any) -> FunctionTask:
    """A task that fails some times before it succeeds, and then tells where it runs."""
    left = [error or ValueError("once more")] * failures

    def attempt(x: Any = None) -> Context | None:
        if left:
            raise left.pop()
        return context()

    return task(**options)(attempt)


def run(made: Task, **task_args: Any) -> tuple[State, int, list[Event]]:
    """The state of a task that is called in a flow of its own, how often it was tried, and what listeners heard."""
    events: list[Event] = []
    with Flow("tried") as flow:
        called = made(task_args=task_args)
    with listen(events.append):
        state = flow.run(raise_on_failure=False).result[called]
    (attempts,) = [event.attempts for event in events if isinstance(event, TaskSettled)]
    return state, attempts, events


class TestRetries:
    @pytest.mark.parametrize(
        ("failures", "retries", "kind", "attempts"),
        [(0, 2, Success, 1), (1, 2, Success, 2), (2, 2, Success, 3), (3, 2, Failed, 3), (1, 0, Failed, 1)],
    )
    def test_a_task_is_tried_again(self, failures: int, retries: int, kind: type[State], attempts: int) -> None:
        for made, late in ((flaky(failures, max_retries=retries), {}), (flaky(failures), {"max_retries": retries})):
            state, tried, _ = run(made, **late)
            assert (type(state), tried) == (kind, attempts)

    def test_everybody_hears_of_it(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="dioptra.flow")
        state, _, events = run(flaky(1, max_retries=2))
        assert isinstance(state.result, Context)
        assert (state.result.slug, state.result.attempt) == ("attempt-1", 2)
        (retrying,) = [event for event in events if isinstance(event, TaskRetrying)]
        assert (retrying.slug, retrying.attempt, type(retrying.state)) == ("attempt-1", 1, Retrying)
        assert retrying.state.is_retrying()
        assert retrying.state.is_pending()
        assert isinstance(retrying.state.result, ValueError)
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert warning.getMessage() == "task 'attempt-1' failed in attempt 1 of 3, and is tried again"
        assert warning.exc_info is not None
        assert any(message.endswith(" s and 2 attempts") for message in caplog.messages)

    @pytest.mark.parametrize("delay", [0.15, timedelta(milliseconds=150)])
    def test_after_a_delay(self, delay: Any) -> None:
        start = time.monotonic()
        assert run(flaky(2, max_retries=2, retry_delay=delay))[1] == 3
        assert 0.3 <= time.monotonic() - start < 3

    @pytest.mark.parametrize(
        ("retry_on", "attempts"),
        [(ValueError, 2), ([KeyError, ValueError], 2), (Exception, 2), (KeyError, 1), ([KeyError], 1), ([], 2)],
    )
    def test_after_some_exceptions_only(self, retry_on: Any, attempts: int) -> None:
        assert run(flaky(1, max_retries=1, retry_on=retry_on))[1] == attempts

    def test_a_signal_is_final(self) -> None:
        state, attempts, _ = run(flaky(1, signals.FAIL("enough"), max_retries=3))
        assert (type(state), attempts) == (Failed, 1)

    def test_what_was_not_run_is_not_tried_again(self) -> None:
        with Flow("not run") as flow:
            made = flaky(0, max_retries=2)(upstream_tasks=[flaky(1)()])
        events: list[Event] = []
        with listen(events.append):
            assert flow.run(raise_on_failure=False).result[made].is_failed()
        assert not any(isinstance(event, TaskRetrying) for event in events)

    def test_the_arguments_are_the_same_each_time(self) -> None:
        seen: list[Any] = []

        def plugin(x: int, /, y: int) -> None:
            seen.append((x, y))
            raise ValueError

        with Flow("same") as flow:
            task(max_retries=1)(plugin)(1, 2)
        flow.run(raise_on_failure=False)
        assert seen == [(1, 2), (1, 2)]


@pytest.fixture
def no_alarm_is_left() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@pytest.mark.usefixtures("no_alarm_is_left")
class TestTimeout:
    @pytest.mark.parametrize("timeout", [0.1, timedelta(milliseconds=100)])
    def test_what_takes_too_long_is_interrupted(self, timeout: Any, caplog: pytest.LogCaptureFixture) -> None:
        start = time.monotonic()
        with Flow("slow") as flow:
            slow = task(timeout=timeout)(sleep)(30)
            after = task(sleep)(0)
        state = flow.run(raise_on_failure=False)
        assert time.monotonic() - start < 5
        assert type(state.result[slow]) is TimedOut
        assert state.result[slow].is_failed()
        assert state.result[slow].message == "TimeoutError: not done after 0.1 s"
        assert isinstance(state.result[slow].result, TimeoutError)
        assert state.result[after].result == "slept"
        assert "time.sleep(seconds)" in caplog.text
        assert "dioptra/flow" not in caplog.text

    def test_what_does_not_is_left_alone(self) -> None:
        with Flow("quick") as flow:
            quick = task(timeout=30)(sleep)(0)
            fails = flaky(1, timeout=30)()
            skips = flaky(1, signals.SKIP(), timeout=30)()
        result = flow.run(raise_on_failure=False).result
        assert result[quick].result == "slept"
        assert type(result[fails]) is Failed
        assert result[skips].is_skipped()

    def test_it_is_a_failure_that_can_be_tried_again(self) -> None:
        naps = [0, 30.0]

        @task(timeout=0.1, max_retries=1, retry_on=TimeoutError)
        def nap() -> str:
            return sleep(naps.pop())

        state, attempts, _ = run(nap)
        assert (state.result, attempts) == ("slept", 2)

    def test_a_task_that_swallows_everything_has_failed_all_the_same(self) -> None:
        @task(timeout=0.1)
        def stubborn() -> str:
            try:
                return sleep(30)
            except BaseException:
                return "never mind"

        assert type(run(stubborn)[0]) is TimedOut

    def test_one_flow_inside_a_task_of_another(self) -> None:
        inner_states: list[State] = []

        def inner(timeout: float) -> str:
            with Flow("inner") as flow:
                made = task(timeout=timeout)(sleep)(30)
            inner_states.append(flow.run(raise_on_failure=False).result[made])
            return "went on"

        def outer(timeout: float, inner_timeout: float) -> State:
            with Flow("outer") as flow:
                made = task(timeout=timeout)(inner)(inner_timeout)
            found: State = flow.run(raise_on_failure=False).result[made]
            return found

        assert outer(30, 0.1).result == "went on"
        assert type(inner_states.pop()) is TimedOut
        assert type(outer(0.1, 30)) is TimedOut
        assert inner_states == []

    def test_an_alarm_that_a_script_set_is_still_heard(self) -> None:
        heard: list[float] = []
        start = time.monotonic()
        before = signal.signal(signal.SIGALRM, lambda *_: heard.append(time.monotonic() - start))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1, 0.2)  # during the task, and after it
            state, *_ = run(task(timeout=0.2)(lambda: sleep(30)))
            assert type(state) is TimedOut
            assert len(heard) == 1
            assert 0.1 <= heard[0] < 0.2
            time.sleep(0.3)
            assert len(heard) >= 2
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            assert run(task(timeout=30)(lambda: sleep(0)))[0].result == "slept"
            count = len(heard)
            time.sleep(0.5)
            assert len(heard) == count + 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


class TestTimeoutInAThread:
    """Outside of the main thread there is no alarm: an exception is raised in the thread of the task."""

    def states(self, *tasks: Task) -> list[State]:
        with Flow("threaded") as flow:
            made = [each() for each in tasks]
        found: list[State] = []
        thread = threading.Thread(target=lambda: found.append(flow.run(raise_on_failure=False)))
        thread.start()
        thread.join(20)
        return [found[0].result[each] for each in made]

    def test_what_takes_too_long_is_interrupted_once_it_can_be_and_the_flow_goes_on(self) -> None:
        release, left, went_on = threading.Event(), threading.Event(), threading.Event()

        def wait() -> None:
            try:
                release.wait(20)  # compiled code: it is not interrupted before it returns
                went_on.set()
            finally:
                left.set()

        start = time.monotonic()
        late, here = self.states(task(timeout=0.1)(wait), task(timeout=5)(lambda: context()))
        assert time.monotonic() - start < 5
        assert type(late) is TimedOut
        assert here.result.flow == "threaded"
        assert not left.is_set()
        release.set()
        assert left.wait(5)
        assert not went_on.is_set()

    def test_python_code_is_interrupted_at_once(self) -> None:
        left = threading.Event()

        def spin() -> None:
            try:
                while True:
                    time.sleep(0.001)
            finally:
                left.set()

        (late,) = self.states(task(timeout=0.1)(spin))
        assert type(late) is TimedOut
        assert left.wait(5)

    def test_it_does_not_hold_up_the_end_of_the_process(self) -> None:
        script = """
import threading, time
from dioptra import Flow, task
with Flow("left") as flow:
    task(lambda: time.sleep(60), timeout=0.1)()
threading.Thread(target=flow.run, kwargs={"raise_on_failure": False}).start()
"""
        start = time.monotonic()
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=50)
        assert time.monotonic() - start < 30

    def test_failures_and_signals_come_back(self) -> None:
        fails, skips = self.states(flaky(1, timeout=5), flaky(1, signals.SKIP("none"), timeout=5))
        assert (type(fails), fails.message) == (Failed, "ValueError: once more")
        assert skips.is_skipped()


class TestOptions:
    def test_they_can_be_read_and_set(self) -> None:
        made = task(len, max_retries=2, retry_delay=3, timeout=timedelta(minutes=1), trigger=triggers.always_run)
        assert (made.max_retries, made.retry_delay, made.timeout) == (2, timedelta(seconds=3), 60)
        assert made.trigger is triggers.all_finished
        assert made.skip_on_upstream_skip is True
        made.trigger = triggers.any_failed
        assert (made.trigger, made.max_retries) == (triggers.any_failed, 2)
        assert task(len).trigger is triggers.all_successful

    def test_of_a_class(self) -> None:
        class Slow(Task):
            def __init__(self, **options: Any) -> None:
                super().__init__(name="slow", timeout=0.1, **options)

            def run(self) -> None:
                time.sleep(30)

        assert Slow(max_retries=1).max_retries == 1
        assert type(run(Slow())[0]) is TimedOut

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"max_retries": -1}, "max_retries=-1; it is a number of further attempts"),
            ({"max_retries": "3"}, "max_retries='3'"),
            ({"max_retries": 1, "retry_delay": -1}, "retry_delay=-1; it is a number of seconds, or a timedelta"),
            ({"max_retries": 1, "retry_delay": "soon"}, "retry_delay='soon'"),
            ({"retry_delay": 1}, "a retry_delay and no max_retries; write max_retries=3"),
            ({"retry_backoff": 2, "max_retries": 1}, "retry_backoff and no retry_delay; write retry_delay=1"),
            ({"max_retries": 1, "retry_delay": 1, "retry_backoff": 0.5}, "retry_backoff=0.5; it is a factor of"),
            ({"max_retries": 1, "retry_delay": 1, "retry_backoff": "x"}, "retry_backoff='x'"),
            ({"resources": {"GPU": 0}}, "resources=.*; it says how much of each a worker must have free"),
            ({"resources": {"GPU": "one"}}, "resources="),
            ({"resources": 3}, "resources=3"),
            ({"retry_on": ValueError}, "retry_on and no max_retries; write max_retries=3"),
            ({"max_retries": 1, "retry_on": [int]}, "retry_on=.*; it is a class of exceptions, or a list of them"),
            ({"max_retries": 1, "retry_on": ValueError("x")}, "retry_on="),
            ({"timeout": 0}, "timeout=0; it is a number of seconds above 0"),
            ({"timeout": "1h"}, "timeout='1h'"),
            ({"trigger": "all_failed"}, "trigger='all_failed'; use one of dioptra.flow.triggers"),
            ({"tags": "slow"}, r"tags='slow'; write tags=\['slow'\]"),
            ({"cache_for": timedelta(1)}, "cannot have cache_for; results are not kept"),
            ({"target": "{x}.pkl"}, "cannot have target; "),
            ({"state_handlers": [print]}, "cannot have state_handlers; use dioptra.flow.listen"),
            ({"on_failure": print}, "cannot have on_failure; "),
        ],
    )
    def test_what_does_not_fit_is_refused_in_words(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(TaskDefinitionError, match=f"task 'len' .*{words}"):
            task(**options)(len)
        if " and no " not in words:
            with Flow("late"), pytest.raises(TaskDefinitionError, match=words):
                task(len)("abc", task_args=options)

    @pytest.mark.parametrize(
        "options",
        [
            {"checkpoint": True, "log_stdout": True, "result": object(), "task_run_name": "x", "cache_key": "k"},
            {"cache_validator": print, "cache_for": None, "target": None, "state_handlers": None, "on_failure": None},
            {"max_retries": None, "retry_delay": None, "retry_on": None, "timeout": None, "trigger": None},
        ],
    )
    def test_what_means_nothing_is_let_pass(self, options: dict[str, Any]) -> None:
        for made, late in ((task(**options)(len), {}), (task(len), options)):
            with Flow("let pass") as flow:
                length = made("abc", task_args=late)
            assert flow.run().result[length].result == 3

    def test_what_is_not_known_is_named(self) -> None:
        unknown: dict[str, Any] = {"max_retry": 1}
        with pytest.raises(TypeError, match="task 'len' has no option 'max_retry'; did you mean 'max_retries'?"):
            task(**unknown)(len)
        with Flow("late"), pytest.raises(AttributeError, match="'len' has no attribute 'max_retry'"):
            task(len)("abc", task_args=unknown)

    def test_tasks_are_found_by_type(self) -> None:
        with Flow("types") as flow:
            parameter = Parameter("p")
            made = task(len)(parameter)
        assert flow.get_tasks(task_type=Parameter) == [parameter]
        assert flow.get_tasks() == [parameter, made]


def test_the_context_knows_the_parameters() -> None:
    with Flow("known") as flow:
        Parameter("x")()
        Parameter("y", default=2)()
        made = flaky(0)()
    assert flow.run(x=1).result[made].result == Context("known", "attempt", "attempt-1", 1, {"x": 1, "y": 2})


def test_a_failed_flow_names_what_timed_out() -> None:
    slow: Callable[[], Any] = lambda: time.sleep(30)  # noqa: E731
    with Flow("slow") as flow:
        task(slow, name="slow", timeout=0.05)()
    with pytest.raises(FlowFailed, match=r"slow-1: TimeoutError: not done after 0.05 s") as caught:
        flow.run()
    assert isinstance(caught.value.__cause__, TimeoutError)
