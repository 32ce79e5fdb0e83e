"""Whether a task runs: triggers, skipping, and the signals that tasks raise."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dioptra.errors import FlowError, FlowParameterError, TaskDefinitionError
from dioptra.flow import (
    Failed,
    Flow,
    FlowFailed,
    Parameter,
    Pending,
    Skipped,
    State,
    Success,
    Task,
    TriggerFailed,
    signals,
    task,
    triggers,
)
from dioptra.flow.signals import ENDRUN, FAIL, SKIP, SUCCESS, TRIGGERFAIL
from dioptra.flow.triggers import Edge, Trigger, UpstreamStates


@task
def good(x: Any = None, y: Any = None) -> Any:
    return x


@task
def bad() -> None:
    raise ValueError("no way")


@task
def skipped(words: str | None = None) -> None:
    raise SKIP(words)


SOURCES = {"G": good, "B": bad, "S": skipped}


def state_of(trigger: Trigger, upstream: str, **options: Any) -> State:
    """The state of a task that waits for others: good, bad, skipped."""
    with Flow("triggered") as flow:
        sources = [SOURCES[letter]() for letter in upstream]
        made = good(0, upstream_tasks=sources, task_args={"trigger": trigger, "skip_on_upstream_skip": False} | options)
        if trigger is triggers.all_failed:  # a plain argument would count as a success
            made = good(upstream_tasks=sources, task_args={"trigger": trigger, "skip_on_upstream_skip": False})
    found: State = flow.run(raise_on_failure=False).result[made]
    return found


@pytest.mark.parametrize(
    ("trigger", "runs", "runs_not"),
    [
        (triggers.all_successful, ["", "G", "GG", "GS"], ["B", "GB", "SB"]),
        (triggers.all_failed, ["", "B", "BB"], ["G", "GB", "S", "BS"]),
        (triggers.any_successful, ["", "G", "GB", "SB", "B"], []),  # its plain argument is a success
        (triggers.any_failed, ["B", "GB", "BB"], ["", "G", "S"]),
        (triggers.all_finished, ["", "G", "B", "S", "GBS"], []),
        (triggers.not_all_skipped, ["", "G", "S", "GS"], ["B", "GB"]),
        (triggers.some_failed(at_least=2), ["BB", "BBG"], ["", "B", "GG"]),
        (triggers.some_failed(at_least=0.5), ["BB", "B"], ["", "GGB"]),
        (triggers.some_failed(at_most=1), ["", "B", "G"], ["BB"]),
        (triggers.some_successful(at_least=2), ["G", "S", "GGB"], ["", "B"]),
        (triggers.some_successful(at_most=0.5), ["B", "BBG"], ["", "G"]),
    ],
)
def test_whether_a_task_runs(trigger: Trigger, runs: list[str], runs_not: list[str]) -> None:
    assert [type(state_of(trigger, upstream)) for upstream in runs] == [Success] * len(runs)
    assert [type(state_of(trigger, upstream)) for upstream in runs_not] == [TriggerFailed] * len(runs_not)


def test_a_name_of_its_own() -> None:
    assert triggers.always_run is triggers.all_finished
    assert all(hasattr(triggers, name) for name in triggers.__all__)
    assert all(hasattr(signals, name) for name in signals.__all__)


class TestPlainValues:
    """They count as tasks that succeeded, as they did in Prefect 1."""

    def run(self, trigger: Trigger, *args: Any, after: list[Any]) -> type[State]:
        with Flow("plain") as flow:
            made = good(*args, upstream_tasks=[bad(), *after], task_args={"trigger": trigger})
        return type(flow.run(raise_on_failure=False).result[made])

    def test_as_arguments(self) -> None:
        assert self.run(triggers.all_failed, after=[]) is Success
        assert self.run(triggers.all_failed, 1, after=[]) is TriggerFailed
        assert self.run(triggers.any_successful, after=[]) is TriggerFailed
        assert self.run(triggers.any_successful, [1], after=[]) is Success

    def test_in_upstream_tasks(self) -> None:
        assert self.run(triggers.all_failed, after=[1]) is TriggerFailed
        assert self.run(triggers.any_successful, after=[[1, 2]]) is Success

    def test_each_counts(self) -> None:
        assert self.run(triggers.some_successful(at_least=3), 1, 2, after=[3]) is Success
        assert self.run(triggers.some_successful(at_least=3), 1, after=[3]) is TriggerFailed

    def test_also_when_they_come_later(self) -> None:
        with Flow("later") as flow:
            made = good(upstream_tasks=[1], task_args={"trigger": triggers.some_successful(at_least=2)})
            flow.set_dependencies(made, upstream_tasks=[2])
        assert flow.run().is_successful()


class TestWhatATriggerIsAsked:
    def asked(self, trigger: Trigger) -> tuple[State, dict[str, Task]]:
        with Flow("asked") as flow:
            tasks: dict[str, Task] = {"first": good(1), "second": bad()}
            tasks["made"] = good(tasks["first"], 2, upstream_tasks=[tasks["second"]], task_args={"trigger": trigger})
        return flow.run(raise_on_failure=False).result[tasks["made"]], tasks

    def test_edges_and_states(self) -> None:
        seen: list[dict[Edge, State]] = []

        def trigger(states: UpstreamStates) -> bool:
            seen.append(dict(states))
            return True

        state, tasks = self.asked(trigger)
        assert state.result == 1
        ((first, one), (constant, two), (second, three)) = seen[0].items()
        assert first == Edge(tasks["first"], tasks["made"], "x")
        assert second == (tasks["second"], tasks["made"], None)
        assert (constant.key, constant.upstream_task.name) == ("y", "Constant")
        assert (one.result, two.result, type(three)) == (1, 2, Failed)

    def test_one_that_says_no(self) -> None:
        state, _ = self.asked(lambda states: False)
        assert type(state) is TriggerFailed
        assert state.message == "not run, because its trigger said so"
        assert isinstance(state.result, TRIGGERFAIL)

    def test_one_that_raises(self) -> None:
        state, _ = self.asked(lambda states: bool(1 // 0))
        assert type(state) is TriggerFailed
        assert (
            state.message == "not run, because its trigger raised ZeroDivisionError: integer division or modulo by zero"
        )
        assert isinstance(state.result, ZeroDivisionError)

    @pytest.mark.parametrize(("signal", "kind"), [(SKIP, Skipped), (SUCCESS, Success), (FAIL, Failed)])
    def test_one_that_raises_a_signal(self, signal: type[signals.Signal], kind: type[State]) -> None:
        def trigger(states: UpstreamStates) -> bool:
            raise signal("words", result=3)

        state, _ = self.asked(trigger)
        assert (type(state), state.message, state.result) == (kind, "words", 3)

    def test_manual_only_is_refused_in_words(self) -> None:
        with pytest.raises(TaskDefinitionError, match="cannot have trigger=.*use one of dioptra.flow.triggers"):
            task(trigger=triggers.manual_only)(len)
        with pytest.raises(FlowError, match="no person is asked"):
            triggers.manual_only({})


class TestAfterAFailure:
    def test_what_cleans_up_runs_and_the_flow_ends_as_its_reference_tasks(self) -> None:
        with Flow("cleaned") as flow:
            failed = bad()
            clean = good(task_args={"trigger": triggers.always_run}, upstream_tasks=[failed])
        assert flow.run().result[clean].is_successful()
        flow.set_reference_tasks([failed])
        with pytest.raises(FlowFailed, match=r"1 of 2 tasks failed\n  bad-1: ValueError: no way$"):
            flow.run()

    def test_it_is_given_the_exception(self) -> None:
        with Flow("given") as flow:
            direct = good(bad(), task_args={"trigger": triggers.always_run})
            far = good(good(bad()), task_args={"trigger": triggers.always_run})
        result = flow.run().result
        assert isinstance(result[direct].result, ValueError)
        assert isinstance(result[far].result, TRIGGERFAIL)

    def test_what_is_not_run_names_its_cause(self) -> None:
        with Flow("named") as flow:
            failed = bad()
            far = good(good(failed))
            lonely = good(task_args={"trigger": triggers.any_failed}, upstream_tasks=[good()])
            after = good(lonely)
        result = flow.run(raise_on_failure=False).result
        assert result[far].message == "not run, because task 'bad-1' failed"
        assert result[lonely].message == "not run, because nothing upstream failed"
        assert result[after].message == f"not run, because task {flow.slugs[lonely]!r} was not run"

    def test_a_flow_in_which_nothing_failed_itself(self) -> None:
        with Flow("quiet") as flow:
            good(task_args={"trigger": triggers.any_failed}, upstream_tasks=[good()])
        with pytest.raises(FlowFailed, match=r"0 of 2 tasks failed, 1 were not run\n  good-2: not run, because noth"):
            flow.run()


class TestSkipping:
    def test_what_depends_on_it_is_skipped_too(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="dioptra.flow")
        with Flow("skipping") as flow:
            first = skipped("no images")
            second = good(first)
            third = good([second])
            stubborn = good(first, task_args={"skip_on_upstream_skip": False})
            both = good(bad(), first, task_args={"trigger": triggers.always_run})
        flow.set_reference_tasks([third])
        state = flow.run()
        assert [type(state.result[made]) for made in (first, second, third, stubborn, both)] == [
            Skipped,
            Skipped,
            Skipped,
            Success,
            Skipped,
        ]
        assert isinstance(state.result[stubborn].result, SKIP)
        assert state.result[second].result is None
        assert state.result[first].is_skipped()
        assert state.result[third].is_successful()
        assert "task 'skipped-1' was skipped: no images" in caplog.messages
        assert "task 'good-1' was skipped, because task 'skipped-1' was skipped" in caplog.messages

    def test_not_all_skipped(self) -> None:
        def run(*upstream: Task) -> type[State]:
            with Flow("not all") as flow:
                made = good(
                    upstream_tasks=[source() for source in upstream],
                    task_args={"trigger": triggers.not_all_skipped, "skip_on_upstream_skip": False},
                )
            return type(flow.run(raise_on_failure=False).result[made])

        assert run(good, skipped) is Success
        assert run(skipped, skipped) is Skipped
        assert run(bad, skipped) is TriggerFailed
        assert run() is Skipped  # as in Prefect 1


class TestSignals:
    @pytest.mark.parametrize(
        ("signal", "kind", "message", "result"),
        [
            (lambda: SUCCESS("found", result=3), Success, "found", 3),
            (lambda: SKIP("none"), Skipped, "none", SKIP),
            (lambda: FAIL("bad data"), Failed, "bad data", FAIL),
            (lambda: FAIL("bad data", result=None), Failed, "bad data", None),
            (lambda: TRIGGERFAIL(), TriggerFailed, "", TRIGGERFAIL),
            (lambda: ENDRUN(Skipped("over", 4)), Skipped, "over", 4),
        ],
    )
    def test_they_say_how_a_task_ends(self, signal: Any, kind: type[State], message: str, result: Any) -> None:
        raised: list[signals.Signal] = []

        def plugin() -> None:
            try:
                raised.append(signal())
                raise raised[0]
            except Exception:
                raise AssertionError("it must pass") from None

        with Flow("signalled") as flow:
            made = task(plugin)()
        state = flow.run(raise_on_failure=False).result[made]
        assert (type(state), state.message) == (kind, message)
        assert state.result is (raised[0] if isinstance(result, type) else result)

    def test_a_failed_flow_names_them(self, caplog: pytest.LogCaptureFixture) -> None:
        @task
        def give_up(result: Any) -> None:
            raise FAIL("bad data", result=result)

        with Flow("signalled") as flow:
            give_up(3)
        with pytest.raises(FlowFailed, match="give_up-1: bad data") as caught:
            flow.run()
        assert caught.value.__cause__ is None
        assert "NoneType: None" not in caplog.text

    @pytest.mark.parametrize(
        ("signal", "words"),
        [
            (signals.LOOP, "write the loop inside the task"),
            (signals.PAUSE, "split the flow"),
            (signals.RETRY, "give the task max_retries"),
        ],
    )
    def test_some_are_refused_in_words(self, signal: type[signals.Signal], words: str) -> None:
        with pytest.raises(FlowError, match=f"signal {signal.__name__} means nothing here; .*{words}"):
            signal("again", result=1)


def test_a_task_cannot_end_in_a_state_that_is_no_end() -> None:
    with pytest.raises(FlowError, match="signal ENDRUN cannot end a task as Pending; give it a finished state"):
        ENDRUN(Pending())


def test_a_parameter_cannot_wait() -> None:
    with Flow("waiting"):
        parameter = Parameter("p")
        with pytest.raises(FlowParameterError, match="parameter 'p' cannot wait for a task"):
            parameter.set_upstream(good())
        with pytest.raises(FlowParameterError, match="cannot wait"):
            _ = good() | parameter
