"""What scripts of Dioptra 0.x rely on in flows: a row for each sentence of the reference, section 1.4."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Tuple  # noqa: UP035 - the annotation that scripts of 0.x use

import pytest

from dioptra import Flow, Parameter, task
from dioptra.flow import FlowFailed, State


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
def same(x: Any) -> Any:
    return x


@task
def keywords(**given: Any) -> Any:
    return sorted(given.items())


@task(nout=2)
def pair() -> Any:
    return 1, 2


@task
def fail() -> None:
    raise ValueError("no")


def annotated() -> Tuple[int, str]:  # noqa: UP006
    return 1, "a"


def plain() -> tuple:  # type: ignore[type-arg]
    return (1,)


def many() -> Tuple[int, ...]:  # noqa: UP006
    return (1,)


# What `from __future__ import annotations` hides from Prefect: real annotations.
annotated.__annotations__, plain.__annotations__ = {"return": Tuple[int, str]}, {"return": tuple}  # noqa: UP006
many.__annotations__ = {"return": Tuple[int, ...]}  # noqa: UP006


def value(build: Callable[[], Any], **parameters: Any) -> Any:
    """Build a flow that returns one task, run it, and return that task's result."""
    with Flow("one") as flow:
        made = build()
    return flow.run(parameters=parameters).result[made].result


def run(build: Callable[[], Any], **parameters: Any) -> tuple[Any, State, Flow]:
    """Build and run a flow without raising; return what was built, the state and the flow."""
    with Flow("one") as flow:
        made = build()
    return made, flow.run(parameters=parameters, raise_on_failure=False), flow


def number_of_tasks(build: Callable[[], Any]) -> int:
    with Flow("one") as flow:
        build()
    return len(flow.tasks)


def unpacked() -> Any:
    first, second = pair()
    return add(first, second)


def ordered() -> tuple[Any, Any]:
    first, second = same("first"), same("second")
    first.set_upstream(second)
    return first, second


VALUES: list[tuple[str, Callable[[], Any], Any]] = [
    ("a task as an argument is an edge", lambda: add(add(1)), 3),
    ("positional and keyword arguments are bound as Python binds them", lambda: add(1, y=5), 6),
    ("a function with **kwargs accepts any keyword", lambda: keywords(a=add(1), b=2), [("a", 2), ("b", 2)]),
    ("a list with tasks inside becomes their results", lambda: same([add(1), 5]), [2, 5]),
    ("a tuple", lambda: same((add(1), 5)), (2, 5)),
    ("a set", lambda: same({add(1), add(1, 5)}), {2, 6}),
    ("a dictionary", lambda: same({"a": add(1), "b": 2}), {"a": 2, "b": 2}),
    ("nested", lambda: same({"a": [add(1), (add(2), {"b": add(3)})]}), {"a": [2, (3, {"b": 4})]}),
    ("the docs' dirs=[adv_data_dir]", lambda: same([same(Path("x"))]), [Path("x")]),
    ("a known nout unpacks", unpacked, 3),
    ("a real annotation tells nout", lambda: same(list(task(annotated)())), [1, "a"]),
    ("indexing always works", lambda: same(["a", "b"])[1], "b"),
    ("also with a task as the index", lambda: same(["a", "b"])[add(0, 0)], "a"),
    ("dataset_seed + 1", lambda: same(1) + 1, 2),
    ("1 + dataset_seed", lambda: 1 + same(1), 2),
    ("-", lambda: 5 - same(1), 4),
    ("*", lambda: same(3) * same(2), 6),
    ("/", lambda: same(3) / 2, 1.5),
    ("//", lambda: 7 // same(2), 3),
    ("%", lambda: same(7) % 4, 3),
    ("**", lambda: 2 ** same(3), 8),
    ("&", lambda: same(1) & same(0), 0),
    (">", lambda: same(1) > 0, True),
    (">=", lambda: same(1) >= 1, True),
    ("<", lambda: same(1) < 0, False),
    ("<=", lambda: same(1) <= 1, True),
    ("is_equal", lambda: same(1).is_equal(1), True),
    ("is_not_equal", lambda: same(1).is_not_equal(1), False),
    ("not_", lambda: same(1).not_(), False),
    ("or_", lambda: same(0).or_(5), 5),
    ("a call may be given other attributes", lambda: add(1, task_args={"name": "other"}), 2),
]


@pytest.mark.parametrize(("sentence", "build", "expected"), VALUES, ids=[row[0] for row in VALUES])
def test_values(sentence: str, build: Callable[[], Any], expected: Any) -> None:
    assert value(build) == expected, sentence


def reserved(upstream_tasks: Any) -> None: ...
def starred(*args: Any) -> None: ...


def build_in_flow(build: Callable[[], Any]) -> Callable[[], Any]:
    def build_it() -> None:
        with Flow("one"):
            build()

    return build_it


def two_parameters() -> None:
    add(Parameter("x"))
    add(Parameter("x"))


REFUSED: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("an unknown attribute", build_in_flow(lambda: add(1, task_args={"nmae": 1})), AttributeError, "nmae"),
    ("a reserved argument name", lambda: task(reserved), ValueError, "upstream_tasks"),
    ("a missing argument, when the graph is built", build_in_flow(lambda: add()), TypeError, "missing"),
    ("an unknown argument, when the graph is built", build_in_flow(lambda: add(1, z=2)), TypeError, "z"),
    ("*args in a task function", lambda: task(starred), ValueError, r"\*args"),
    ("a call outside of a flow", lambda: add(1), ValueError, "outside of any flow"),
    ("unpacking without nout", build_in_flow(lambda: list(add(1))), TypeError, "is not iterable"),
    ("a bare tuple annotation tells nothing", build_in_flow(lambda: list(task(plain)())), TypeError, "not iterable"),
    ("neither does one of any length", build_in_flow(lambda: list(task(many)())), TypeError, "not iterable"),
    ("two Parameters of one name", build_in_flow(two_parameters), ValueError, "two Parameters named 'x'"),
    ("a missing parameter", lambda: value(lambda: add(Parameter("x"))), ValueError,
     "Flow.run did not receive the following required parameters: x"),
    ("an unknown parameter", lambda: value(lambda: add(Parameter("x")), x=1, z=2), ValueError,
     "Flow.run received the following unexpected parameters: z"),
    ("a value for a parameter that no task uses", lambda: value(lambda: (Parameter("z"), add(1))[1], z=2), ValueError,
     "unexpected parameters: z"),
    ("a failed task (0.x went on; here the flow raises)", lambda: value(fail), FlowFailed, "fail-1: ValueError: no"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "act", "error", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refusals(sentence: str, act: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()


def test_the_copy_has_the_attributes_and_the_task_keeps_its_own() -> None:
    with Flow("one"):
        made = add(1, task_args={"name": "other", "tags": {"t"}})

    assert (made.name, set(made.tags), add.name) == ("other", {"t"}, "add")
    assert made is not add


def test_constants_and_collections_of_them_are_no_tasks() -> None:
    assert number_of_tasks(lambda: keywords(a=1, b=[1, 2], c={"d": (1,)}, e=print)) == 1


def test_a_function_as_a_value_stays_a_value() -> None:
    assert value(lambda: same(len)) is len


def test_equality_is_identity() -> None:
    with Flow("one"):
        first, second = same(1), same(1)

    assert first == first
    assert first != second


def test_a_bar_orders_and_returns_the_right_side() -> None:
    made, state, flow = run(lambda: (lambda a, b: (a, b, a | b))(fail(), same(1)))

    assert made[2] is made[1]
    assert flow.upstream_tasks(made[1]) == {made[0]}
    assert type(state.result[made[1]]).__name__ == "TriggerFailed"


@pytest.mark.parametrize("upstream", [[], [1, "a"]])
def test_upstream_tasks_accepts_nothing_and_constants(upstream: list[Any]) -> None:
    assert value(lambda: add(1, upstream_tasks=upstream)) == 2


def test_upstream_tasks_orders_without_passing_anything_on() -> None:
    first, state, flow = run(lambda: ordered())
    _, _, with_parameter = run(lambda: add(1, upstream_tasks=[Parameter("p", default=0)]))

    assert [found.result for found in state.result.values()] == ["second", "first"]
    assert flow.upstream_tasks(first[0]) == {first[1]}
    assert {parameter.name for parameter in with_parameter.parameters()} == {"p"}


def test_nothing_downstream_of_a_failure_runs() -> None:
    made, state, _ = run(lambda: (lambda a: (a, add(a), same(7)))(fail()))

    assert [type(state.result[each]).__name__ for each in made] == ["Failed", "TriggerFailed", "Success"]
    assert state.is_failed()
    assert not state.is_successful()
    assert "fail-1" in state.result[made[1]].message


def test_a_parameter_joins_when_it_is_used_or_called() -> None:
    with Flow("one") as flow:
        Parameter("unused")
        add(Parameter("used"))
        Parameter("called")()

    assert {parameter.name for parameter in flow.parameters()} == {"used", "called"}


def test_values_of_parameters_are_any_objects_by_dictionary_or_keyword() -> None:
    thing = object()
    with Flow("one") as flow:
        made = same(Parameter("x"))

    assert flow.run(parameters={"x": thing}).result[made].result is thing
    assert flow.run(x=thing).result[made].result is thing


def test_a_default_makes_a_parameter_optional() -> None:
    assert value(lambda: add(Parameter("x", default=4))) == 5
    assert value(lambda: add(Parameter("x", default=4)), x=1) == 2
