"""Running a flow: order, failures, parameters, and what others learn of it."""

from __future__ import annotations

import logging
import signal
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from dioptra.errors import FlowParameterError
from dioptra.flow import (
    Context,
    Event,
    Failed,
    Flow,
    FlowFailed,
    FlowSettled,
    FlowStarted,
    Parameter,
    Pending,
    Retrying,
    Running,
    Skipped,
    State,
    Success,
    Task,
    TaskSettled,
    TimedOut,
    TriggerFailed,
    context,
    listen,
    task,
)


@task
def plus_one(x: int) -> int:
    return x + 1


@task
def fail(x: Any = None, error: BaseException | None = None) -> Any:
    raise error or ValueError("no way")


@task
def echo(value: Any = None) -> Any:
    return value


def chain(length: int) -> tuple[Flow, Task]:
    with Flow("chain") as flow:
        last: Task = plus_one(0)
        for _ in range(length - 1):
            last = plus_one(last)
    return flow, last


class TestStates:
    @pytest.mark.parametrize(
        ("kind", "true"),
        [
            (Pending, {"is_pending"}),
            (Retrying, {"is_pending", "is_retrying"}),
            (Running, {"is_running"}),
            (Success, {"is_finished", "is_successful"}),
            (Skipped, {"is_finished", "is_successful", "is_skipped"}),
            (Failed, {"is_finished", "is_failed"}),
            (TimedOut, {"is_finished", "is_failed"}),
            (TriggerFailed, {"is_finished", "is_failed"}),
        ],
    )
    def test_questions(self, kind: type[State], true: set[str]) -> None:
        questions = [name for name in dir(State) if name.startswith("is_")]
        assert {question for question in questions if getattr(kind(), question)()} == true

    def test_they_say_what_they_are(self) -> None:
        assert repr(Failed("no", result=1)) == "<Failed: 'no'>"


class TestOrder:
    @pytest.mark.parametrize("length", [1, 5_000, 100_000])
    def test_long_chains_need_no_recursion(self, length: int) -> None:
        flow, last = chain(length)
        assert flow.run().result[last].result == length

    def test_tasks_run_in_the_order_they_were_made_where_they_may(self) -> None:
        ran: list[int] = []
        note = task(lambda number: ran.append(number), name="note")
        with Flow("order") as flow:
            tasks = [note(number) for number in range(6)]
            tasks[1].set_upstream(tasks[4])
            tasks[0].set_upstream(tasks[5])
        flow.run()
        assert ran == [2, 3, 4, 1, 5, 0]

    def test_tasks_cost_little_memory(self) -> None:
        chain(10)  # what is made once
        tracemalloc.start()
        flow, _ = chain(2_000)
        state = flow.run()
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert state.is_successful()
        assert used / 2_000 < 2_000

    def test_a_flow_runs_again_with_other_parameters_and_more_tasks(self) -> None:
        with Flow("again") as flow:
            made = plus_one(Parameter("x"))
        assert [flow.run(x=x).result[made].result for x in (1, 2)] == [2, 3]
        with flow:
            more = plus_one(made)
        assert flow.run(x=3).result[more].result == 5
        bare = flow.add_task(task(list))
        assert flow.run(x=3).result[bare].result == []

    def test_an_empty_flow_succeeds(self) -> None:
        assert Flow("empty").run().is_successful()


class TestFailure:
    def test_only_what_is_downstream_is_not_run(self) -> None:
        ran: list[str] = []
        note = task(lambda word, x=None: ran.append(word), name="note")
        with Flow("part") as flow:
            failed = fail()
            direct = note("direct", failed)
            ordered = note("ordered", upstream_tasks=[failed])
            far = note("far", direct)
            free = note("free")
        state = flow.run(raise_on_failure=False)
        assert ran == ["free"]
        assert [type(state.result[found]) for found in (failed, direct, ordered, far, free)] == [
            Failed,
            TriggerFailed,
            TriggerFailed,
            TriggerFailed,
            Success,
        ]
        assert {state.result[found].message for found in (direct, ordered, far)} == {
            "not run, because task 'fail-1' failed"
        }
        assert state.message == "1 of 5 tasks failed, 3 were not run"

    def test_a_failed_state_holds_the_exception(self) -> None:
        error = KeyError("k")
        with Flow("held") as flow:
            made = fail(error=error)
        state = flow.run(raise_on_failure=False)
        assert state.result[made].result is error
        assert state.result[made].message == "KeyError: 'k'"

    def test_it_raises_when_all_have_settled(self) -> None:
        ran: list[int] = []
        with Flow("raises") as flow:
            made = fail(error=ValueError("first line\nsecond line"))
            task(lambda: ran.append(1), name="later")()
        with pytest.raises(FlowFailed) as caught:
            flow.run()
        assert ran == [1]
        assert str(caught.value) == "flow 'raises' failed: 1 of 2 tasks failed\n  fail-1: ValueError: first line"
        assert caught.value.state.result[made].is_failed()
        assert caught.value.__cause__ is caught.value.state.result[made].result

    def test_the_message_is_bounded(self) -> None:
        with Flow("many") as flow:
            for _ in range(9):
                fail(error=ValueError("x" * 5_000))
        with pytest.raises(FlowFailed, match=r"and 4 more$") as caught:
            flow.run()
        assert str(caught.value).count("\n") == 6
        assert len(str(caught.value)) < 2_000

    def test_an_exception_that_cannot_be_shown(self) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        with Flow("mute") as flow:
            fail(error=Mute())
        with pytest.raises(FlowFailed, match="Mute: \\(its message cannot be shown\\)"):
            flow.run()

    def test_the_traceback_begins_in_the_task(self, caplog: pytest.LogCaptureFixture) -> None:
        with Flow("traced") as flow:
            fail()
        flow.run(raise_on_failure=False)
        (record,) = caplog.records
        assert record.name == "dioptra.flow"
        assert record.getMessage().startswith("task 'fail-1' failed after")
        assert "no way" in caplog.text
        assert "in fail\n" in caplog.text
        assert "/flow/_run.py" not in caplog.text

    def test_reference_tasks_decide(self) -> None:
        with Flow("decided") as flow:
            good = echo(1)
            fail()
        flow.set_reference_tasks([good])
        assert flow.run().is_successful()
        flow.set_reference_tasks([])
        assert flow.run(raise_on_failure=False).is_failed()

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
    def test_interruptions_end_the_run_at_once(self, kind: type[BaseException]) -> None:
        ran: list[int] = []
        events: list[Event] = []
        with Flow("interrupted") as flow:
            echo()
            fail(error=kind())
            task(lambda: ran.append(1), name="later")()
        with listen(events.append), pytest.raises(kind):
            flow.run()
        assert ran == []
        assert isinstance(events[-1], FlowSettled)
        assert events[-1].state.message == f"interrupted in task 'fail-1' by {kind.__name__}"
        assert events[-1].state.is_failed()

    def test_a_task_that_exits_has_failed_and_the_others_go_on(self) -> None:
        with Flow("exits") as flow:
            failed = fail(error=SystemExit(0))
            not_run, other = echo(failed), plus_one(1)
        state = flow.run(raise_on_failure=False)
        assert (type(state.result[failed]), state.result[failed].message) == (Failed, "SystemExit: 0")
        assert (type(state.result[not_run]), state.result[other].result) == (TriggerFailed, 2)
        with pytest.raises(FlowFailed, match="fail-1: SystemExit: 0"):
            flow.run()

    def test_a_handler_of_signals_that_exits_ends_the_run(self) -> None:
        def leave(*_: object) -> None:
            sys.exit(5)

        with Flow("ended") as flow:
            task(signal.raise_signal)(signal.SIGUSR1)
        before = signal.signal(signal.SIGUSR1, leave)
        try:
            with pytest.raises(SystemExit):
                flow.run()
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_a_trigger_that_exits_fails_its_task(self) -> None:
        def leave(_: object) -> bool:
            raise SystemExit(0)

        with Flow("exits") as flow:
            made = echo(task_args={"trigger": leave})
        state = flow.run(raise_on_failure=False).result[made]
        assert (type(state), state.message) == (TriggerFailed, "not run, because its trigger raised SystemExit: 0")


class TestParameters:
    @pytest.mark.parametrize("given", [[1], [], "x", 5])
    def test_what_is_no_dictionary_is_refused(self, given: Any) -> None:
        with pytest.raises(
            FlowParameterError, match=r"takes its parameters as a dictionary, not as .*; write flow\.run\("
        ):
            self.flow()[0].run(given)

    def flow(self) -> tuple[Flow, Task]:
        with Flow("parameters") as flow:
            made = echo([Parameter("epsilon"), Parameter("seed", default=7), Parameter("note", required=False)])
        return flow, made

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"parameters": {"epsilon": 1}}, [1, 7, None]),
            ({"epsilon": 1, "seed": None}, [1, None, None]),
            ({"parameters": {"epsilon": 1}, "seed": 2, "note": "n"}, [1, 2, "n"]),
        ],
    )
    def test_values(self, given: dict[str, Any], expected: list[Any]) -> None:
        flow, made = self.flow()
        assert flow.run(**given).result[made].result == expected

    def test_any_object_is_a_value(self) -> None:
        value = object()
        with Flow("objects") as flow:
            made = echo(Parameter("x"))
        assert flow.run(x=value).result[made].result is value

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            (
                {},
                "Flow.run did not receive the following required parameters: epsilon; "
                "write flow.run(parameters={'epsilon': ...})",
            ),
            (
                {"epsilom": 1},
                "Flow.run did not receive the following required parameters: epsilon; epsilom was given; "
                "did you mean 'epsilon' by 'epsilom'? "
                "(have: epsilon; a Parameter counts once a task of the flow uses it)",
            ),
            (
                {"epsilon": 1, "sed": 1, "zzz": 2},
                "Flow.run received the following unexpected parameters: sed, zzz; did you mean 'seed' by 'sed'? "
                "(have: epsilon, note, seed; a Parameter counts once a task of the flow uses it)",
            ),
        ],
    )
    def test_mistakes_are_named_and_nothing_runs(self, given: dict[str, Any], text: str) -> None:
        events: list[Event] = []
        flow, _ = self.flow()
        with listen(events.append), pytest.raises(FlowParameterError) as caught:
            flow.run(given)
        assert str(caught.value) == text
        assert isinstance(caught.value, ValueError)
        assert events == []

    def test_a_value_given_twice_is_refused(self) -> None:
        flow, _ = self.flow()
        with pytest.raises(FlowParameterError, match="a parameter twice: epsilon"):
            flow.run({"epsilon": 1}, epsilon=1)


class TestEvents:
    def test_listeners_hear_of_everything_in_order(self) -> None:
        events: list[Event] = []
        with Flow("heard") as flow:
            made = plus_one(Parameter("x"))
        with listen(events.append):
            state = flow.run(x=1)
        flow.run(x=2)
        assert events[0] == FlowStarted("heard", 2, flow)
        assert [event.slug for event in events if isinstance(event, TaskSettled)] == ["x", "plus_one-1"]
        settled = events[2]
        assert isinstance(settled, TaskSettled)
        assert (settled.task, settled.state) == (made, state.result[made])
        assert settled.seconds >= 0
        assert events[3:] == [FlowSettled("heard", state, events[3].seconds)]  # type: ignore[union-attr]

    def test_one_that_raises_is_left_out_and_the_flow_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        heard: list[Event] = []

        def broken(event: Event) -> None:
            raise OSError("deaf")

        flow, last = chain(3)
        with listen(broken), listen(heard.append):
            assert flow.run().result[last].result == 3
        assert len(heard) == 5
        assert caplog.text.count("is left out") == 1

    def test_the_running_task_is_known(self) -> None:
        where = task(lambda: context(), name="where")
        with Flow("known") as flow:
            made = where()
        assert flow.run().result[made].result == Context("known", "where", "where-1")
        assert context() is None

    def test_a_flow_may_run_inside_a_task(self) -> None:
        inner, last = chain(2)

        def run() -> tuple[Any, Context | None]:
            return inner.run().result[last].result, context()

        with Flow("outer") as outer:
            made = task(run)()
        assert outer.run().result[made].result == (2, Context("outer", "run", "run-1"))


class TestLog:
    def text(self, caplog: pytest.LogCaptureFixture, build: Callable[[], object]) -> list[tuple[str, str]]:
        caplog.set_level(logging.DEBUG, logger="dioptra.flow")
        with Flow("logged") as flow:
            build()
        flow.run({"x": 1} if flow.parameters() else {}, raise_on_failure=False)
        return [(record.levelname, record.getMessage().partition(" after")[0]) for record in caplog.records]

    def test_it_says_what_happened(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.text(caplog, lambda: plus_one(fail(Parameter("x")))) == [
            ("INFO", "flow 'logged' starts with 3 tasks"),
            ("DEBUG", "task 'x' succeeded"),
            ("ERROR", "task 'fail-1' failed"),
            ("INFO", "task 'plus_one-1' was not run, because task 'fail-1' failed"),
            ("INFO", "flow 'logged' failed"),
        ]

    def test_it_says_that_all_went_well(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.text(caplog, lambda: echo([plus_one(1) + 1]))[1:] == [
            ("INFO", "task 'plus_one-1' succeeded"),
            ("DEBUG", "task 'Add-1' succeeded"),
            ("DEBUG", "task 'List-1' succeeded"),
            ("INFO", "task 'echo-1' succeeded"),
            ("INFO", "flow 'logged' succeeded"),
        ]


def test_an_interruption_while_the_last_task_is_announced_names_it() -> None:
    seen: list[str] = []

    def interrupt(event: object) -> None:
        seen.append(type(event).__name__)
        if seen == ["FlowStarted", "TaskSettled"]:
            raise KeyboardInterrupt

    @task
    def only() -> None:
        return None

    with Flow("one") as flow:
        only()
    with pytest.raises(KeyboardInterrupt), listen(interrupt):
        flow.run()

    assert seen == ["FlowStarted", "TaskSettled", "FlowSettled"]


def test_an_order_after_something_that_is_no_task_is_refused() -> None:
    with Flow("odd"), pytest.raises(TypeError, match="unsupported operand"):
        task(lambda: 1)() | 5  # type: ignore[operator]
