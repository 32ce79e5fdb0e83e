"""The lines of a picture of a flow: curves with an arrowhead, and the names of arguments where there is room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from dioptra.flow._description import Step
from dioptra.flow._drawing._layers import Line
from dioptra.flow._drawing._layout import Layout, Point
from dioptra.flow._drawing._svg import element, number, text_width
from dioptra.flow._wording import shortened

__all__ = ["draw_labels", "draw_lines", "lines_of"]

_COLOR, _PAPER = "#8b98a8", "#ffffff"
_LETTERS, _SIZE = 24, 10.5  # of a label
_WHERE = (0.62, 0.5, 0.74, 0.38)  # on its line, where a label may be, the best place first
_STRAIGHT = 0.6  # of the way between two layers that are side by side, what is straight at most
_HEAD = 5.0  # how long an arrowhead is
_BEFORE = 3.0  # between the letters of two labels


def lines_of(steps: Sequence[Step]) -> dict[Line, tuple[str, ...]]:
    """Return what ties the tasks of a flow to each other, with the names of arguments; dashed is who only waits."""
    found: dict[Line, tuple[str, ...]] = {}
    for target, step in enumerate(steps):
        for source, name in step.takes:
            line = Line(source, target)
            is_said = not name or steps[source].slug == name  # such as a parameter that is called like the argument
            found[line] = found.get(line, ()) + (() if is_said else (name,))
        for source in step.after:
            if Line(source, target) not in found:
                found[Line(source, target, is_dashed=True)] = ()
    return found


def draw_lines(lines: Mapping[Line, Sequence[str]], layout: Layout) -> Iterator[str]:
    """Return the lines, with their arrowheads."""
    turned = layout.is_turned
    tails = _tails(lines, layout)
    for is_dashed in (False, True):
        pieces = [_trunk(points, turned) for kind, points in layout.trunks if kind is is_dashed]
        pieces += [_tail(tail, turned) for line, tail in zip(lines, tails, strict=True) if line.is_dashed is is_dashed]
        if pieces:
            yield element("path", d="".join(pieces), stroke_dasharray="4 4" if is_dashed else None)
    if tails:
        heads = [_arrowhead(tail[-1], turned) for tail in tails]
        yield element("path", d="".join(heads), fill=_COLOR, stroke="none")


def draw_labels(lines: Mapping[Line, Sequence[str]], layout: Layout) -> Iterator[str]:
    """Return the names of arguments, each on its line not far from the arrowhead, unless another name is there."""
    taken: dict[float, list[tuple[Point, float]]] = {}  # by the layer that the lines come into
    for names, tail in zip(lines.values(), _tails(lines, layout), strict=True):
        if not names:
            continue
        text = _text(names)
        width = text_width(text, _SIZE)
        others = taken.setdefault(tail[-1][0 if layout.is_turned else 1], [])
        for place in _places(tail, layout.is_turned):
            if not any(_touch(place, width, *other) for other in others):
                others.append((place, width))
                yield from _label(text, *place, width)
                break


def _text(names: Sequence[str]) -> str:
    return shortened(", ".join(names), _LETTERS)


def _tails(lines: Mapping[Line, Sequence[str]], layout: Layout) -> list[list[Point]]:
    """Return the last parts of lines; where layers are side by side, a line is straight behind its name."""
    if not layout.is_turned:
        return layout.tails
    tails = []
    for names, (begin, (x, y), tip) in zip(lines.values(), layout.tails, strict=True):
        straight = min(text_width(_text(names), _SIZE) + 2 * _HEAD, _STRAIGHT * (x - begin[0])) if names else 0.0
        tails.append([begin, (x - straight, y), tip])
    return tails


def _places(tail: Sequence[Point], is_turned: bool) -> Iterator[Point]:
    """Give the places that a name may have on its line, the best one first."""
    begin, end, tip = tail
    if is_turned:
        yield (end[0] + tip[0] - _HEAD) / 2, end[1]
    else:
        yield from (_point(begin, end, where) for where in _WHERE)


def _label(text: str, x: float, y: float, width: float) -> Iterator[str]:
    height = _SIZE + _BEFORE
    yield element("rect", x=x - width / 2, y=y - height / 2, width=width, height=height, rx=3, fill=_PAPER)
    yield element("text", text, x=x, y=y + _SIZE * 0.33)


def _touch(here: Point, width: float, there: Point, other: float) -> bool:
    return abs(here[0] - there[0]) < (width + other) / 2 + _BEFORE and abs(here[1] - there[1]) < _SIZE + 1


def _trunk(points: Sequence[Point], is_turned: bool) -> str:
    """Return a path that is straight within layers and curved between them."""
    path = [f"M{_pair(points[0])}"]
    for place, (begin, end) in enumerate(pairwise(points)):
        if place % 2:
            path.append(_curve(begin, end, is_turned))
        elif begin != end:
            path.append(f"L{_pair(end)}")
    return "".join(path) if len(path) > 1 else ""


def _tail(points: Sequence[Point], is_turned: bool) -> str:
    begin, end, tip = points
    return f"M{_pair(begin)}{_curve(begin, end, is_turned)}{f'L{_pair(tip)}' if tip != end else ''}"


def _curve(begin: Point, end: Point, is_turned: bool) -> str:
    return f"C{' '.join(map(_pair, (*_controls(begin, end, is_turned), end)))}"


def _controls(begin: Point, end: Point, is_turned: bool) -> tuple[Point, Point]:
    if is_turned:
        middle = (begin[0] + end[0]) / 2
        return (middle, begin[1]), (middle, end[1])
    middle = (begin[1] + end[1]) / 2
    return (begin[0], middle), (end[0], middle)


def _point(begin: Point, end: Point, where: float) -> Point:
    """Return a point on a curve that leads downwards; `where` runs from 0 to 1."""
    rest = 1 - where
    weights = (rest**3, 3 * rest**2 * where, 3 * rest * where**2, where**3)
    points = (begin, *_controls(begin, end, False), end)
    x, y = (sum(w * point[axis] for w, point in zip(weights, points, strict=True)) for axis in (0, 1))
    return x, y


def _arrowhead(tip: Point, is_turned: bool) -> str:
    x, y = tip
    half = _HEAD * 0.7
    wings = (
        [(x - _HEAD, y - half), (x - _HEAD, y + half)] if is_turned else [(x - half, y - _HEAD), (x + half, y - _HEAD)]
    )
    return f"M{_pair(tip)}L{_pair(wings[0])}L{_pair(wings[1])}Z"


def _pair(point: Point) -> str:
    return f"{number(point[0])},{number(point[1])}"
