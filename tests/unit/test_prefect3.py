"""What of Prefect 3 can be told without it: the options of a call, and the words of a log record."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dioptra import pyplugs
from dioptra.errors import FlowError, NoActiveFlowError, TaskDefinitionError
from dioptra.flow import Flow, task, triggers
from dioptra.prefect import in_prefect_3, task_kinds
from dioptra.prefect._prefect3 import _listed, _options, submit
from dioptra.prefect._prefect3_log import _Words


@pytest.mark.parametrize(
    ("task_args", "options"),
    [
        ({}, {}),
        ({"name": "train", "tags": ["a", "b"]}, {"name": "train", "tags": ["a", "b"]}),
        ({"max_retries": 0}, {"retries": 0}),
        ({"max_retries": 2, "retry_delay": 1.5}, {"retries": 2, "retry_delay_seconds": 1.5}),
        ({"max_retries": 1, "retry_delay": timedelta(minutes=1)}, {"retries": 1, "retry_delay_seconds": 60}),
        (
            {"max_retries": 3, "retry_delay": 1, "retry_backoff": 2},
            {"retries": 3, "retry_delay_seconds": [1, 2, 4]},
        ),
        (
            {"max_retries": 60, "retry_delay": 1, "retry_backoff": 1.01},
            {"retries": 60, "retry_delay_seconds": [1.01**attempt for attempt in range(50)]},
        ),
        ({"timeout": 2}, {"timeout_seconds": 2}),
        ({"timeout": timedelta(milliseconds=500)}, {"timeout_seconds": 0.5}),
        ({"timeout": None, "max_retries": None, "retry_delay": None, "tags": None}, {}),
    ],
)
def test_what_task_args_are_for_prefect_3(task_args: dict[str, Any], options: dict[str, Any]) -> None:
    assert _options("train", task_args) == options


def test_which_failures_are_retried() -> None:
    retried = _options("train", {"max_retries": 1, "retry_on": (KeyError, OSError)})["retry_condition_fn"]

    assert [retried(None, None, SimpleNamespace(data=each)) for each in (KeyError(), ValueError())] == [True, False]


@pytest.mark.parametrize(
    ("task_args", "error", "sentence"),
    [
        ({"trigger": triggers.all_failed}, TaskDefinitionError, "'train' cannot have trigger in a flow of Prefect 3"),
        ({"skip_on_upstream_skip": False}, TaskDefinitionError, "cannot have skip_on_upstream_skip"),
        ({"resources": {"GPU": 1}}, TaskDefinitionError, "cannot have resources"),
        ({"slug": "x"}, TaskDefinitionError, "cannot have slug"),
        ({"tags": "x"}, TaskDefinitionError, r"has tags='x'; write tags=\['x'\]"),
        ({"timeout": -1}, TaskDefinitionError, "cannot have timeout=-1; it is a number of seconds"),
        ({"retry_delay": 1}, TaskDefinitionError, "has a retry_delay and no max_retries"),
        ({"retires": 1}, AttributeError, "no attribute 'retires' that task_args could set"),
        ({"max_retry": 1}, AttributeError, "did you mean 'max_retries'?"),
    ],
)
def test_what_has_no_meaning_there(task_args: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        _options("train", task_args)


class PrefectFuture:
    """Stands for a future: Prefect 3 is imported as far as these modules say so."""


@pytest.fixture
def prefect_3(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, contents in (
        ("prefect", {"__version__": "3.8.0"}),
        ("prefect.futures", {"PrefectFuture": PrefectFuture}),
    ):
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)


def test_what_a_call_waits_for(prefect_3: None) -> None:
    future = PrefectFuture()

    assert _listed(None) is None
    assert _listed(future) == _listed([future]) == _listed(iter([future])) == [future]


@pytest.mark.parametrize("upstream", [5, "first", b"first", {"a": 1}, PrefectFuture])
def test_what_a_call_cannot_wait_for(upstream: object) -> None:
    with pytest.raises(
        FlowError, match=r"^upstream_tasks=.* is not a list of tasks; write upstream_tasks=\[first, sec"
    ):
        submit(sum, "", ([1],), {"upstream_tasks": upstream})


@pytest.mark.parametrize("task_args", [3, "name", ["name"]])
def test_task_args_that_are_no_dictionary(task_args: object) -> None:
    with pytest.raises(
        TaskDefinitionError, match=r"^task 'sum' has task_args=.*; write task_args={\"name\": \"train\"}$"
    ):
        submit(sum, "", ([1],), {"task_args": task_args})


def add_up(numbers: list[int]) -> int:
    return sum(numbers)


def test_outside_of_any_flow_threads_are_spoken_of(prefect_3: None) -> None:
    pyplugs.register(add_up)
    with pytest.raises(
        NoActiveFlowError, match="; in a flow of Prefect 3, call it in the flow's own thread or in a task"
    ):
        pyplugs.call_task("tests.unit", "test_prefect3", numbers=PrefectFuture())


def test_outside_of_any_flow_without_prefect_they_are_not() -> None:
    pyplugs.register(add_up)
    with pytest.raises(NoActiveFlowError, match="or use pyplugs.call to run it now$"):
        pyplugs.call_task("tests.unit", "test_prefect3", numbers=[1])


@pytest.mark.parametrize(
    ("message", "args", "words"),
    [
        ("%s of %s", (1, 2), "1 of 2"),
        ({"event": "measured", "level": "info", "logger": "x", "timestamp": "t", "size": [1]}, (), "measured size=[1]"),
        ({"event": "broken", "exception": "Traceback"}, (), "broken\nTraceback"),
    ],
)
def test_the_words_of_a_record(message: Any, args: Any, words: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "file", 1, message, args, None)

    assert _Words().format(record) == words
    assert record.msg == message


def test_without_prefect_nothing_is_different() -> None:
    assert not in_prefect_3()
    assert task_kinds() == ()
    with Flow("plain") as flow:
        assert task(sum)([1, 2]) in flow.tasks
