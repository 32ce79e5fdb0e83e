"""Building a flow: what a call of a task adds to it, and what is refused there and then."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, Tuple  # noqa: UP035  # scripts of 0.x annotate with it

import pytest

from dioptra import flow as flow_package
from dioptra.errors import FlowError, FlowParameterError, NoActiveFlowError, TaskDefinitionError, TaskNotIterableError
from dioptra.flow import Flow, FunctionTask, Parameter, Task, active_flow, task


@task
def echo(*, value: Any = None, other: Any = None) -> Any:
    return value


@task
def total(x: int, y: int = 10) -> int:
    return x + y


@task
def anything(**kwargs: Any) -> dict[str, Any]:
    return kwargs


@task(nout=2)
def pair(x: Any, y: Any) -> Any:
    return x, y


def outcome(build: Callable[[], Task], **parameters: Any) -> Any:
    """The result of the task that `build` makes in a flow of its own."""
    with Flow("one") as flow:
        last = build()
    return flow.run(parameters).result[last].result


def test_public_names_are_there() -> None:
    assert all(getattr(flow_package, name) is not None for name in flow_package.__all__)
    public = {name for name in vars(flow_package) if not name.startswith("_") and name != "annotations"}
    assert public == set(flow_package.__all__)


class TestBinding:
    @pytest.mark.parametrize(
        ("call", "words"),
        [
            (lambda: total(), "missing a required argument: 'x'"),
            (lambda: total(1, z=2), "unexpected keyword argument 'z'"),
            (lambda: total(1, 2, 3), "too many positional arguments"),
            (lambda: total(1, x=2), "multiple values for argument 'x'"),
        ],
    )
    def test_arguments_are_checked_when_the_graph_is_built(self, call: Callable[[], Task], words: str) -> None:
        with Flow("checked") as flow, pytest.raises(TypeError, match=words) as caught:
            call()
        assert "task 'total'" in str(caught.value)
        assert "(x: 'int', y: 'int' = 10)" in str(caught.value)
        assert flow.tasks == set()

    def test_calling_adds_a_copy_and_leaves_the_task_alone(self) -> None:
        with Flow("copies") as flow:
            first, second = total(1), total(1)
        assert flow.tasks == {first, second}
        assert total not in flow.tasks
        assert isinstance(first, FunctionTask)

    def test_the_function_itself_can_still_be_run(self) -> None:
        assert total.run(1, y=2) == 3

    def test_keyword_arguments_of_a_function_that_takes_any(self) -> None:
        assert outcome(lambda: anything(a=1, b=total(1, 2))) == {"a": 1, "b": 3}

    def test_positional_only_arguments(self) -> None:
        assert outcome(lambda: task(divmod)(total(3, 4), 2)) == (3, 1)

    def test_a_positional_only_name_given_again_is_refused(self) -> None:
        def clash(x: int, /, **kwargs: int) -> int:
            return x

        with Flow("clash"), pytest.raises(TypeError, match="multiple values for argument 'x'"):
            task(clash)(1, x=2)

    def test_defaults_are_the_function_s_own(self) -> None:
        assert outcome(lambda: total(1)) == 11

    def test_methods_and_classes_with_run(self) -> None:
        class Scale(Task):
            def __init__(self, factor: int) -> None:
                super().__init__(name="scale")
                self.factor = factor

            def run(self, x: int) -> int:
                return self.factor * x

        assert outcome(lambda: Scale(3)(total(1, 1))) == 6
        assert outcome(lambda: task("a-b".split)("-")) == ["a", "b"]

    def test_a_function_may_be_both_a_task_and_the_run_of_a_class(self) -> None:
        def run(self: Any, x: int) -> tuple[Any, int]:
            return self, x

        made = task(run)
        both = type("Both", (Task,), {"run": run})()
        assert outcome(lambda: made(1, x=2)) == (1, 2)
        assert outcome(lambda: both(x=2))[1] == 2
        assert outcome(lambda: task(run)(1, x=2)) == (1, 2)

    def test_binding_the_same_task_twice_is_refused(self) -> None:
        with Flow("twice"):
            bound = total(1)
            with pytest.raises(FlowError, match=r"'total-1' already has its argument 'x'"):
                bound.bind(2)

    def test_set_upstream_with_a_key_passes_the_result(self) -> None:
        with Flow("edges") as flow:
            source, target = total(1, 1), echo.copy()
            target.set_upstream(source, key="value")
        assert flow.run().result[target].result == 2
        assert flow.upstream_tasks(target) == {source}
        assert flow.downstream_tasks(source) == {target}


class TestTaskArgs:
    def test_attributes_are_set_on_the_copy(self) -> None:
        tagged = total.copy(tags={"old"})
        with Flow("named") as flow:
            made = tagged(1, task_args={"name": "sum", "tags": ["new"], "nout": 4})
        assert (made.name, made.nout, flow.slugs[made], tagged.name) == ("sum", 4, "sum-1", "total")
        assert made.tags == {"old", "new"}
        assert tagged.tags == {"old"}

    def test_an_unknown_attribute_is_refused(self) -> None:
        with Flow("named"), pytest.raises(AttributeError, match="'total' has no attribute 'nmae'"):
            total(1, task_args={"nmae": "sum"})

    def test_mapping_is_refused_in_words(self) -> None:
        with Flow("mapped"), pytest.raises(TaskDefinitionError, match="cannot be mapped"):
            total([1, 2], mapped=True)
        with Flow("mapped"), pytest.raises(TaskDefinitionError, match="'total' cannot be mapped; call it once"):
            total.map([1, 2])

    def test_slugs_are_unique(self) -> None:
        with Flow("slugs") as flow:
            parameter = Parameter("total-1")
            tasks = [
                total(parameter),
                total(1),
                total(1, task_args={"slug": "mine"}),
                total(1, task_args={"slug": "mine"}),
            ]
        assert [flow.slugs[made] for made in [parameter, *tasks]] == ["total-1", "total-2", "total-3", "mine", "mine-2"]

    def test_tasks_are_found_by_name_slug_and_tags(self) -> None:
        with Flow("found") as flow:
            first = total(1, task_args={"tags": ["slow"]})
            second = total(2)
        assert flow.get_tasks(name="total") == [first, second]
        assert flow.get_tasks(slug="total-2") == [second]
        assert flow.get_tasks(tags=["slow"]) == [first]
        assert flow.get_tasks(name="other") == []


class TestDefinition:
    @pytest.mark.parametrize("reserved", ["mapped", "task_args", "upstream_tasks", "flow"])
    @pytest.mark.parametrize("kind", ["", "*, ", "x, "])
    def test_reserved_names_are_refused(self, reserved: str, kind: str) -> None:
        scope: dict[str, Any] = {}
        exec(f"def plugin({kind}{reserved}=None): pass", scope)  # noqa: S102
        with pytest.raises(TaskDefinitionError, match=f"plugin cannot be a task, because of its argument {reserved}"):
            task(scope["plugin"])

    def test_variable_positional_arguments_are_refused(self) -> None:
        def many(*images: int) -> None: ...

        with pytest.raises(TaskDefinitionError, match=r"takes \*images; .*one argument that takes a list"):
            task(many)

    @pytest.mark.parametrize("thing", [3, "text", None])
    def test_what_cannot_be_called_is_refused(self, thing: Any) -> None:
        with pytest.raises(TaskDefinitionError, match="not a function"):
            FunctionTask(thing)

    def test_what_python_cannot_inspect_is_refused(self) -> None:
        with pytest.raises(TaskDefinitionError, match="type cannot be a task"):
            task(type)

    def test_definition_errors_are_value_errors_as_in_0x(self) -> None:
        assert issubclass(TaskDefinitionError, ValueError)


class TestNout:
    def test_from_the_decorator(self) -> None:
        def build() -> Task:
            first, second = pair(1, 2)
            return total(second, first * 10)

        assert outcome(build) == 12

    @pytest.mark.parametrize(
        ("annotation", "nout"),
        [
            (tuple[int, str], 2),
            (Tuple[int, str, int], 3),  # noqa: UP006
            (tuple[int, ...], None),
            (tuple, None),
            (list[int], None),
            (None, None),
            ("tuple[int, str]", 2),
            ("Tuple[int, np.random.Generator, dict[str, int]]", 3),
            ("typing.Tuple[int]", 1),
            ("Tuple[int, ...]", None),
            ("tuple", None),
            ("list[tuple[int, int]]", None),
            ("tuple[", None),
            ("int", None),
        ],
    )
    def test_from_the_annotation(self, annotation: Any, nout: int | None) -> None:
        def plugin() -> Any: ...

        plugin.__annotations__["return"] = annotation
        assert task(plugin).nout == nout

    def test_from_the_mark_of_a_plugin_which_an_option_overrides(self) -> None:
        def plugin() -> tuple[int, int]:
            return 1, 2

        plugin._task_nout = 3  # type: ignore[attr-defined]
        assert task(plugin).nout == 3
        assert task(nout=4)(plugin).nout == 4

    def test_from_the_run_of_a_class(self) -> None:
        class Both(Task):
            def run(self) -> tuple[int, int]:
                return 1, 2

        assert Both().nout == 2

    def test_unpacking_without_it_says_what_to_do(self) -> None:
        with (
            Flow("unpacked"),
            pytest.raises(TaskNotIterableError, match=r"'total' is not iterable.*nout=2.*result\[0\]"),
        ):
            _a, _b = total(1)

    def test_that_error_is_a_type_error_as_in_0x(self) -> None:
        assert issubclass(TaskNotIterableError, TypeError)

    def test_indexing_works_without_it(self) -> None:
        assert outcome(lambda: echo(value={"a": [5, 6]})["a"][total(1, 0)]) == 6


class TestCollections:
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda x: [x, 1],
            lambda x: (x, (x, "a")),
            lambda x: {x, 1},
            lambda x: {(x, 1), (2, x)},
            lambda x: frozenset({x}),
            lambda x: {"a": x, "b": {"c": [x]}},
            lambda x: {x: "key"},
            lambda x: [],
            lambda x: [[[[x]]]],
        ],
    )
    def test_tasks_inside_are_replaced_by_their_results(self, wrap: Callable[[Any], Any]) -> None:
        result = outcome(lambda: echo(value=wrap(total(3, 4))))
        assert result == wrap(7)
        assert type(result) is type(wrap(7))

    @pytest.mark.parametrize("constant", [[1, [2]], (), {"a": {1, 2}}, "text", None, len, object(), range(3)])
    def test_constants_are_no_tasks_and_are_passed_as_they_are(self, constant: Any) -> None:
        with Flow("constants") as flow:
            made = echo(value=constant)
        assert flow.tasks == {made}
        assert flow.run().result[made].result is constant

    def test_a_list_that_holds_itself(self) -> None:
        ring: list[Any] = [1]
        ring.append(ring)
        assert outcome(lambda: echo(value=ring)) is ring

    def test_the_graph_of_a_set_is_always_the_same(self) -> None:
        def slugs() -> list[tuple[str, list[str]]]:
            with Flow("sets") as flow:
                echo(value={(total(number), number) for number in range(8)})
            return [
                (flow.slugs[made], sorted(flow.slugs[up] for up in flow.upstream_tasks(made)))
                for made in flow.sorted_tasks()
            ]

        assert slugs() == slugs()
        assert slugs()[8:10] == [("Tuple-1", ["total-1"]), ("Tuple-2", ["total-2"])]


class TestUpstreamTasks:
    def test_the_order_is_kept_and_nothing_is_passed(self) -> None:
        ran: list[str] = []
        note = task(lambda word: ran.append(word), name="note")
        with Flow("order") as flow:
            last = note("last")
            first = note("first")
            last.set_upstream(first)
        flow.run()
        assert ran == ["first", "last"]

    @pytest.mark.parametrize(
        "upstream",
        [
            [],
            None,
            [1, "constant"],
            (),
            lambda t: [t],
            lambda t: t,
            lambda t: [[t]],
            lambda t: [t, t],
            lambda t: [Parameter("p", 1)],
        ],
    )
    def test_what_can_be_given(self, upstream: Any) -> None:
        with Flow("given") as flow:
            before = total(1)
            after = total(2, upstream_tasks=upstream(before) if callable(upstream) else upstream)
        assert flow.run().result[after].result == 12
        assert len(flow.upstream_tasks(after)) == (1 if callable(upstream) else 0)

    def test_a_bar_sets_an_order_and_gives_the_later_task(self) -> None:
        with Flow("bars") as flow:
            first, second, third = total(1), total(2), total(3)
            assert (first | second | third) is third
            assert ([first] | third) is third
        assert flow.upstream_tasks(third) == {second, flow.get_tasks(name="List")[0]}


class TestOperators:
    @pytest.mark.parametrize(
        "symbol", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge"]
    )
    @pytest.mark.parametrize(("x", "y"), [(7, 2), (2, 7), (3, 3)])
    def test_tasks_compute_as_their_values_do(self, symbol: str, x: int, y: int) -> None:
        compute = getattr(operator, symbol)
        assert outcome(lambda: compute(echo(value=x), y)) == compute(x, y)
        assert outcome(lambda: compute(x, echo(value=y))) == compute(x, y)
        assert outcome(lambda: compute(echo(value=x), echo(value=y))) == compute(x, y)

    @pytest.mark.parametrize(
        ("build", "expected"),
        [
            (lambda t: t(value=0) & "b", 0),
            (lambda t: 1 & t(value="b"), "b"),
            (lambda t: t(value=0).or_("b"), "b"),
            (lambda t: t(value=1).is_equal(1), True),
            (lambda t: t(value=1).is_not_equal(1), False),
            (lambda t: t(value=[]).not_(), True),
            (lambda t: t(value="abc")[1:], "bc"),
        ],
    )
    def test_the_others(self, build: Callable[[Any], Task], expected: Any) -> None:
        assert outcome(lambda: build(echo)) == expected

    def test_equality_stays_identity(self) -> None:
        with Flow("identity"):
            one, other = total(1), total(1)
        assert one == one
        assert one != other

    def test_a_comparison_is_not_turned_around(self) -> None:
        with Flow("turned") as flow:
            one = echo(value=1)
            more = one + 1
            _ = (one < more), (more < one), (one <= more)
        assert [name for name in flow.slugs.values() if "Than" in name] == [
            "LessThan-1",
            "LessThan-2",
            "LessThanOrEqual-1",
        ]

    def test_names_in_the_flow(self) -> None:
        with Flow("names") as flow:
            _ = (echo(value=1) + 1)[0] >= 2
        assert list(flow.slugs.values()) == ["echo-1", "Add-1", "Add[0]-1", "GreaterThanOrEqual-1"]


class TestFlow:
    def test_outside_of_any_flow(self) -> None:
        with pytest.raises(
            NoActiveFlowError, match=r"'total' was used outside of any flow; .*`with Flow\(\.\.\.\):`.*run"
        ):
            total(1)
        assert issubclass(NoActiveFlowError, ValueError)

    def test_a_flow_can_be_named_instead(self) -> None:
        flow = Flow("named")
        made = total(1, flow=flow)
        assert flow.tasks == {made}

    def test_the_active_flow(self) -> None:
        assert active_flow() is None
        with Flow("active") as flow:
            assert active_flow() is flow
        assert active_flow() is None

    def test_an_error_in_the_block_ends_the_building(self) -> None:
        with pytest.raises(ZeroDivisionError), Flow("broken"):
            raise ZeroDivisionError
        assert active_flow() is None

    def test_nested_flows_are_refused(self) -> None:
        with Flow("outer") as outer:
            with pytest.raises(FlowError, match="'inner' cannot be built inside flow 'outer'"), Flow("inner"):
                pass
            assert active_flow() is outer

    def test_running_while_building_is_refused(self) -> None:
        with Flow("early") as flow, pytest.raises(FlowError, match="move `run` out"):
            flow.run()

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_it_needs_a_name(self, name: Any) -> None:
        with pytest.raises(FlowError, match="needs a name"):
            Flow(name)

    def test_only_tasks_can_be_added(self) -> None:
        with pytest.raises(FlowError, match="is not a task"):
            Flow("tasks").add_task(len)  # type: ignore[arg-type]

    def test_rings_are_refused_with_their_names(self) -> None:
        with Flow("ring") as flow:
            a, b, c, d = (total(1, task_args={"slug": slug}) for slug in "abcd")
            a.set_downstream(b)
            b.set_downstream(c)
            c.set_downstream(b)
            c.set_downstream(d)
        with pytest.raises(FlowError, match=r"wait for each other: (b -> c -> b|c -> b -> c)$"):
            flow.run()

    def test_a_task_can_wait_for_itself_only_in_vain(self) -> None:
        with Flow("self") as flow:
            a = total(1)
            a.set_upstream(a)
        with pytest.raises(FlowError, match="total-1 -> total-1"):
            flow.run()

    def test_a_long_ring_is_shown_in_part(self) -> None:
        with Flow("long") as flow:
            tasks = [total(1) for _ in range(50)]
            for before, after in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
                before.set_downstream(after)
        with pytest.raises(FlowError, match=r"-> \.\.\. -> ") as caught:
            flow.sorted_tasks()
        assert str(caught.value).count("->") == 11

    def test_reference_tasks(self) -> None:
        with Flow("reference") as flow:
            first = total(1)
            last = total(first)
        assert flow.reference_tasks() == flow.terminal_tasks() == {last}
        flow.set_reference_tasks([first])
        assert flow.reference_tasks() == {first}
        with pytest.raises(FlowError, match="'total' is not in flow 'reference'"):
            flow.set_reference_tasks([total])

    def test_a_task_of_another_flow_is_found_before_anything_runs(self) -> None:
        with Flow("first"):
            elsewhere = total(1)
        with Flow("second") as flow:
            echo(value=elsewhere)
        with pytest.raises(FlowError, match=r"'total-1' of flow 'second' lacks its argument x.*another flow"):
            flow.run()


class TestParameters:
    def test_they_join_a_flow_when_they_are_used(self) -> None:
        with Flow("joined") as flow:
            used, unused, called = Parameter("used"), Parameter("unused"), Parameter("called")()
            total(used)
        assert flow.parameters() == {used, called}
        assert unused not in flow.tasks

    def test_two_of_one_name_are_refused(self) -> None:
        with Flow("double"):
            total(Parameter("p"))
            with pytest.raises(FlowParameterError, match="'double' has two Parameters named 'p'"):
                total(Parameter("p"))

    def test_one_can_be_used_often_and_in_two_flows(self) -> None:
        parameter = Parameter("p")
        for name in "ab":
            with Flow(name) as flow:
                made = total(parameter, parameter)
            assert flow.run(p=2).result[made].result == 4

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_they_need_a_name(self, name: Any) -> None:
        with pytest.raises(FlowParameterError, match="needs a name"):
            Parameter(name)

    @pytest.mark.parametrize(
        ("parameter", "required", "value"),
        [
            (Parameter("p"), True, None),
            (Parameter("p", default=3), False, 3),
            (Parameter("p", default=None), False, None),
            (Parameter("p", default=3, required=True), True, 3),
            (Parameter("p", required=False), False, None),
        ],
    )
    def test_defaults(self, parameter: Parameter, required: bool, value: Any) -> None:
        assert parameter.required is required
        assert parameter.default == value


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


class TestOddArguments:
    def test_collections_may_be_deep(self) -> None:
        assert outcome(lambda: echo(value=nested(total(1), 100))) == nested(11, 100)
        constant = nested(1, 3_000)
        assert outcome(lambda: echo(value=constant)) is constant

    @pytest.mark.parametrize("depth", [101, 3_000])
    def test_too_deep_collections_are_refused(self, depth: int) -> None:
        with Flow("deep"), pytest.raises(TaskDefinitionError, match="'deep' has a task more than 100 collections deep"):
            echo(value=nested(total(1), depth))

    def test_one_that_contains_itself_and_a_task_is_refused(self) -> None:
        with Flow("ring"):
            ring: list[Any] = [total(1)]
            ring += [ring, {"again": ring}]
            with pytest.raises(TaskDefinitionError, match="or contains itself; let a task build the collection"):
                echo(value=ring)

    def test_one_that_contains_itself_beside_a_task_is_a_value(self) -> None:
        ring: list[Any] = []
        ring.append(ring)
        assert outcome(lambda: echo(value=[total(1), ring]))[1] is ring

    def test_parameters_keep_the_order_in_which_they_are_named(self) -> None:
        with Flow("order") as flow:
            echo(value=[Parameter("a"), [Parameter("b")], Parameter("c")])
        assert [made.name for made in flow.get_tasks(task_type=Parameter)] == ["a", "b", "c"]

    @pytest.mark.parametrize("odd", [5, "abc", b"abc", {"a": 1}])
    def test_upstream_tasks_that_are_no_list(self, odd: Any) -> None:
        with Flow("odd") as flow:
            with pytest.raises(FlowError, match=r"^upstream_tasks=.* is not a list of tasks; write upstream_tasks=\["):
                total(1, upstream_tasks=odd)
            with pytest.raises(FlowError, match="^downstream_tasks=.* is not a list of tasks"):
                flow.set_dependencies(total, downstream_tasks=odd)
        assert flow.tasks == set()

    def test_a_flow_that_is_none(self) -> None:
        with Flow("real"), pytest.raises(FlowError, match="task 'total' was called with flow='x', which is no Flow"):
            total(1, flow="x")  # type: ignore[arg-type]

    def test_async_functions_are_refused(self) -> None:
        async def later() -> None: ...

        async def many() -> Any:
            yield 1

        class Later:
            async def __call__(self) -> None: ...

        for made in (later, many, Later(), partial(later)):
            with pytest.raises(TaskDefinitionError, match="cannot be a task, because it is an async function; write a"):
                task(made)
        with pytest.raises(TaskDefinitionError, match="async function"):
            type("Later", (Task,), {"run": later})()
