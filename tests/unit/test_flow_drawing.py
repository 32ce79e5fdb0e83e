"""The picture of a flow: what is in it, and that it can be looked at."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra.errors import FlowError
from dioptra.flow import Flow, Parameter, State, Success, signals, task, triggers
from dioptra.flow._drawing._layers import Line, make_layers
from dioptra.flow._drawing._layout import lay_out
from dioptra.flow._drawing._svg import element
from dioptra.flow.graphs import Description, describe_flow
from tests.pictures import SVG, Rect, arrowheads, box, boxes, parsed, texts


def overlaps(one: Rect, other: Rect) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


@task
def load() -> Any: ...


@task
def work(x: Any, y: Any = 0) -> Any: ...


@task
def fail(x: Any) -> None:
    raise ValueError("the images have 3 channels")


@task
def skip() -> None:
    raise signals.SKIP("there are no images")


@task(nout=2)
def pair() -> tuple[int, int]:
    return 1, 2


def flow_of(build: Callable[[], Any], name: str = "seen") -> Flow:
    with Flow(name) as flow:
        build()
    return flow


def ended(flow: Flow, **parameters: Any) -> State:
    return flow.run(parameters, raise_on_failure=False)


class TestWhatIsInIt:
    def test_a_box_for_each_task_and_a_line_for_each_pair(self) -> None:
        flow = flow_of(lambda: work(work(load(), y=Parameter("eps")), y=Parameter("seed")))

        svg = flow.visualize().svg

        assert [each.words for each in boxes(svg)] == [("load-1",), ("eps",), ("work-1",), ("seed",), ("work-2",)]
        assert arrowheads(svg) == 4
        assert texts(svg)[:2] == ["seen", "5 tasks"]

    def test_the_names_of_arguments_stand_at_their_lines(self) -> None:
        def build() -> None:
            loaded = load()
            work(loaded, y=loaded)
            work(load(), y=Parameter("y"))

        words = texts(flow_of(build).visualize().svg)

        assert words.count("x, y") == 1  # one line, for both
        assert words.count("x") == 1
        assert words.count("y") == 1  # the parameter says it itself

    def test_parameters_are_pills_and_what_is_in_between_is_small(self) -> None:
        def build() -> None:
            first, second = pair()
            work([first, second + 1], y={"a": Parameter("seed")})

        svg = flow_of(build).visualize().svg

        pill, plain, index = box(svg, "seed"), box(svg, "pair-1"), box(svg, "[0]")
        assert float(pill.look["rx"]) == (pill.bottom - pill.top) / 2
        assert float(plain.look["rx"]) < (plain.bottom - plain.top) / 4
        assert index.bottom - index.top < plain.bottom - plain.top
        assert {"[0]", "[1]", "+ 1", "list", "dict"} <= {each.words[0] for each in boxes(svg)}
        assert "a" in texts(svg)  # the key that the dictionary has it under

    def test_who_only_waits_has_a_dashed_line(self) -> None:
        def build() -> None:
            work(load(), upstream_tasks=[skip()])

        paths = list(parsed(flow_of(build).visualize().svg).iter(f"{SVG}path"))

        assert ["stroke-dasharray" in path.attrib for path in paths] == [False, True, False]
        assert "fill" in paths[2].attrib  # the arrowheads

    def test_options_that_are_worth_seeing(self) -> None:
        def build() -> None:
            work(1, task_args={"max_retries": 3, "timeout": 90, "trigger": triggers.some_failed(1), "slug": "all"})
            work(1, task_args={"max_retries": 1, "resources": {"GPU": 2}, "slug": "some"})
            work(1, task_args={"trigger": lambda states: True, "slug": "own"})

        svg = flow_of(build).visualize().svg

        assert box(svg, "all").words == ("all", "trigger some_failed, 3 retries, timeout 90 s")
        assert box(svg, "some").words == ("some", "1 retry, GPU 2")
        assert box(svg, "own").words == ("own", "trigger its own")


class TestAfterARun:
    def test_states_are_words_and_colors_and_durations_are_said(self) -> None:
        def build() -> None:
            work(fail(load()))
            work(skip())
            pair()[7]

        flow = flow_of(build, "ended")

        svg = flow.visualize(ended(flow)).svg

        said = {each.words[0]: (each.words[-1].partition(",")[0], each.look["stroke"]) for each in boxes(svg)}
        assert {name: state for name, (state, _) in said.items()} == {
            "load-1": "Success",
            "fail-1": "Failed",
            "work-1": "TriggerFailed",
            "skip-1": "Skipped",
            "work-2": "Skipped",
            "pair-1": "Success",
            "[7]": "Failed",
        }
        assert len({color for _, color in said.values()}) == 4
        assert texts(svg)[1].startswith("Failed, ")
        assert texts(svg)[1].endswith("2 of 7 tasks failed, 1 were not run")
        assert box(svg, "fail-1").tooltip.endswith("ValueError: the images have 3 channels")
        assert re.search(r"Success, (<1 ms|0\.\d\d\d s)$", box(svg, "load-1").words[-1])
        assert box(svg, "work-1").words[-1] == "TriggerFailed"  # it did not run, and took no time

    def test_what_has_not_settled_is_dashed_and_says_so(self) -> None:
        flow = flow_of(lambda: work(load()))

        svg = flow.visualize(Success(result={})).svg

        assert [each.words[-1] for each in boxes(svg)] == ["not settled", "not settled"]
        assert all("stroke-dasharray" in each.look for each in boxes(svg))
        assert not any("stroke-dasharray" in each.look for each in boxes(flow.visualize().svg))

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.0004, "<1 ms"),
            (0.0123, "0.012 s"),
            (9.5, "9.500 s"),
            (12.34, "12.3 s"),
            (59.99, "60.0 s"),
            (125, "2 min 5 s"),
            (4200, "1 h 10 min"),
            (3600, "1 h"),
        ],
    )
    def test_durations(self, seconds: float, words: str) -> None:
        flow = flow_of(load)
        state = ended(flow)
        next(iter(state.result.values())).seconds = seconds

        assert box(flow.visualize(state).svg, "load-1").words[-1] == f"Success, {words}"


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Any flow of a few tasks: with operators, collections, parameters, waiting, and names of any length."""
    size = draw(st.integers(0, 25))
    names = st.text(min_size=1, max_size=60)
    with Flow(draw(names)) as flow:
        made: list[Any] = [Parameter("p")]
        for _ in range(size):
            some = draw(st.lists(st.sampled_from(made), max_size=4))
            kind = draw(st.integers(0, 3))
            if kind == 0 and some:
                made.append(some[0] + draw(st.integers(0, 3)))
            else:
                taken = some[:2] if kind == 1 else some[0] if some else 1
                made.append(work(taken, task_args={"name": draw(names)}, upstream_tasks=some[2:]))
    return flow


class TestThatItCanBeLookedAt:
    @settings(max_examples=150, deadline=None)
    @given(flows())
    def test_any_graph_is_valid_and_no_two_boxes_overlap(self, flow: Flow) -> None:
        svg = flow.visualize().svg

        found = boxes(svg)
        root = parsed(svg)
        offset = re.search(r"translate\((\S+) (\S+)\)", svg)
        assert offset
        dx, dy = map(float, offset.groups())
        assert len(found) == len(flow.tasks)
        assert not any(overlaps(one, other) for one, other in combinations(found, 2))
        for each in found:
            assert 0 <= each.left + dx <= each.right + dx <= float(root.attrib["width"])
            assert 0 <= each.top + dy <= each.bottom + dy <= float(root.attrib["height"])
        assert arrowheads(svg) == sum(len(flow.upstream_tasks(each)) for each in flow.tasks)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_no_line_passes_through_a_box(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(2, 20))
        some = st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=40)
        ends = sorted((one, other) for one, other in data.draw(some) if one < other)
        lines = [Line(one, other, data.draw(st.booleans())) for one, other in ends]
        sizes = [(data.draw(st.floats(20, 200)), data.draw(st.floats(20, 60))) for _ in range(size)]

        layout = lay_out(sizes, lines, 40.0, 10_000)

        assert layout is not None
        for _, points in layout.trunks:  # between two layers there are no boxes
            for place, ((x, top), (_, bottom)) in enumerate(pairwise(points)):
                for each in layout.boxes if place and place % 2 == 0 else ():
                    aside = abs(x - each.x) >= each.width / 2
                    assert aside or bottom <= each.y - each.height / 2 or top >= each.y + each.height / 2
        for line, (_, _, (x, y)) in zip(lines, layout.tails, strict=True):
            target = layout.boxes[line.target]
            assert abs(x - target.x) <= target.width / 2
            assert y == target.y - target.height / 2

    def test_many_tasks_side_by_side_are_drawn_below_each_other(self) -> None:
        def build() -> None:
            loaded = load()
            work([work(loaded) for _ in range(50)])

        svg = flow_of(build).visualize().svg

        root = parsed(svg)
        assert float(root.attrib["width"]) < 1_000 < float(root.attrib["height"])
        assert box(svg, "load-1").right < box(svg, "work-1").left
        assert texts(svg).count("x") == 51  # there is room for each

    def test_a_long_chain_is_straight(self) -> None:
        def build() -> None:
            seed, made = Parameter("seed"), load()
            for _ in range(60):
                made = work(made, y=seed)

        svg = flow_of(build).visualize().svg

        middles = [(each.left + each.right) / 2 for each in boxes(svg) if each.words[0].startswith("work")]
        assert max(middles) - min(middles) < 60
        assert float(parsed(svg).attrib["width"]) < 400

    def test_a_parameter_stands_above_the_first_task_that_takes_it(self) -> None:
        def build() -> None:
            made = load()
            for _ in range(5):
                made = work(made)
            work(work(made, y=Parameter("late")), y=Parameter("later"))

        svg = flow_of(build).visualize().svg

        between = box(svg, "work-5"), box(svg, "late"), box(svg, "work-6"), box(svg, "later"), box(svg, "work-7")
        assert between[1].bottom < between[2].top
        assert between[0].top == between[1].top
        assert between[2].top == between[3].top < between[4].top

    def test_lines_that_need_not_cross_do_not(self) -> None:
        lines = [Line(source, 12 + 11 - source) for source in range(12)]  # as given, each crosses all others

        layers = make_layers(24, lines, 1_000)

        assert layers is not None
        assert [target - 12 for target in layers.order[1]] == [11 - source for source in layers.order[0]]

    def test_it_is_the_same_in_every_process(self) -> None:
        script = (
            "from tests.unit.test_flow_drawing import *\n"
            "flow = flow_of(lambda: work({work(load()), work(load())}, y=[Parameter('a'), Parameter('b')]))\n"
            "print(flow.visualize().svg)"
        )

        said = {
            subprocess.check_output(
                [sys.executable, "-c", script],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
                cwd=Path(__file__).parents[2],
            )
            for seed in ("1", "2")
        }

        assert len(said) == 1

    @pytest.mark.parametrize(
        "name",
        [
            "</text></svg><script>alert(1)</script>",
            "a\x00b\x07\x1b[31m",
            "\ud800 \ufffe \ufdd0",
            "right \u202e to left",
            "&amp; \"'<![CDATA[ ]]> <!--",
            "日本語" * 30,
            "x" * 100_000,
            "\n\t line",
        ],
    )
    def test_a_name_may_be_anything(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.CRITICAL, "dioptra.flow")  # a report of pytest-xdist cannot hold every text

        @task(name=name)
        def hostile(x: Any) -> None:
            raise ValueError(name)

        flow = flow_of(lambda: hostile(Parameter(name)), name)

        svg = flow.visualize(ended(flow, **{name: 1})).svg

        root = parsed(svg)
        assert {each.tag.removeprefix(SVG) for each in root.iter()} == {"svg", "g", "title", "rect", "text", "path"}
        assert all(letter.isprintable() or letter == "\n" for letter in svg)
        assert "\u202e" not in svg
        assert len(svg) < 10_000
        assert float(root.attrib["width"]) < 2_000
        svg.encode()

    @given(st.text(st.characters()))
    def test_an_element_holds_any_text(self, text: str) -> None:
        found = parsed(element("text", text, id=text, font_size=3))

        assert found.text or not text
        assert found.attrib["font-size"] == "3"

    def test_nothing_and_one(self) -> None:
        assert boxes(Flow("empty").visualize().svg) == []
        assert len(boxes(flow_of(load).visualize().svg)) == 1


class TestTooLarge:
    def test_many_tasks(self) -> None:
        flow = flow_of(lambda: [load() for _ in range(1_001)])

        with pytest.raises(FlowError, match="flow 'seen' has 1001 tasks; one with more than 1000 is not drawn"):
            flow.visualize()
        said = describe_flow(flow).drawing().svg
        assert texts(said) == ["seen", "1001 tasks", "flow 'seen' has 1001 tasks; one with more than 1000 is not drawn"]

    def test_as_many_as_are_drawn(self) -> None:
        assert len(boxes(flow_of(lambda: [load() for _ in range(1_000)]).visualize().svg)) == 1_000

    def test_many_lines(self) -> None:
        def build() -> None:
            loaded = [load() for _ in range(80)]
            for _ in range(80):
                work(list(loaded))

        with pytest.raises(FlowError, match="too many connections"):
            flow_of(build).visualize()

    def test_a_flow_of_which_only_the_size_is_known(self) -> None:
        assert Description("large", 2_000, has_run=True).can_be_drawn
        assert not Description("of Prefect", 20, has_run=True).can_be_drawn


class TestFiles:
    @pytest.mark.parametrize(
        ("filename", "format_", "written"),
        [
            ("a.svg", None, "a.svg"),
            ("a.svg", "svg", "a.svg"),
            ("a", None, "a.svg"),
            ("a", "svg", "a.svg"),
            ("a.b", "svg", "a.b.svg"),
        ],
    )
    def test_what_is_written(self, filename: str, format_: str | None, written: str, tmp_path: Path) -> None:
        drawing = flow_of(load).visualize(filename=tmp_path / filename, format=format_)

        assert [each.name for each in tmp_path.iterdir()] == [written]
        assert (tmp_path / written).read_text() == drawing.svg == drawing._repr_svg_()

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"filename": "a.pdf"}, r"a flow cannot be drawn to 'a\.pdf'; it is drawn as SVG: write a\.svg"),
            ({"format": "pdf"}, "flow 'seen' cannot be drawn as 'pdf'; it is drawn as SVG; leave it out"),
            ({"filename": "missing/a.svg"}, "cannot be written to 'missing/a.svg': No such file or directory"),
            ({"filename": "folder.svg"}, "cannot be written to 'folder.svg': Is a directory"),
            ({"flow_state": 3}, "3 is not the state of a flow; give what `flow.run` returned"),
            ({"flow_state": Success()}, "is not the state of a flow"),
        ],
    )
    def test_what_is_refused(self, arguments: dict[str, Any], sentence: str, in_folder: Path) -> None:
        (in_folder / "folder.svg").mkdir()

        with pytest.raises(FlowError, match=sentence):
            flow_of(load).visualize(**arguments)

        assert [each.name for each in in_folder.rglob("*")] == ["folder.svg"]

    def test_a_file_that_is_there_is_replaced(self, in_folder: Path) -> None:
        def names() -> Iterator[str]:
            yield from (each.name for each in in_folder.iterdir())

        Path("a.svg").write_text("old")
        flow_of(load).visualize(None, "a.svg")

        assert Path("a.svg").read_text().startswith("<svg")
        assert list(names()) == ["a.svg"]
