"""Where the boxes and lines of a picture of a graph go: layer by layer downwards, no box above another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from dioptra.flow._drawing._layers import Layers, Line, make_layers

__all__ = ["Box", "Layout", "lay_out"]

_BESIDE = 22.0  # between two boxes of a layer
_PLACE = 12.0  # the width of a line's place in a layer that it passes
_ROUNDS = 8
_STRAIGHT = 6.0  # how much more than a box a line's place is held to where it should be
_LOOSE = 0.05  # the same, of a node that nothing ties
_SPREAD = 0.7  # the part of a box's side that lines arrive at
_APART = 16.0  # between two lines that arrive, at most

Point = tuple[float, float]


class Box(NamedTuple):
    """A place in the picture: its middle and its size."""

    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    """A picture's size, its boxes, and where its lines go."""

    width: float
    height: float
    boxes: list[Box]
    trunks: list[tuple[bool, list[Point]]]  # what lines go together: whether dashed, and points in and out of layers
    tails: list[list[Point]]  # of each line the rest: where it leaves a layer, comes into the next, and to the box
    is_turned: bool = False  # the layers are side by side, not below each other

    def turned(self) -> Layout:
        """Return it with the layers side by side."""
        return Layout(
            self.height,
            self.width,
            [Box(box.y, box.x, box.height, box.width) for box in self.boxes],
            [(is_dashed, _turned(points)) for is_dashed, points in self.trunks],
            [_turned(points) for points in self.tails],
            True,
        )


def _turned(points: Sequence[Point]) -> list[Point]:
    return [(y, x) for x, y in points]


def lay_out(sizes: Sequence[Point], lines: Sequence[Line], gap: float, most: int) -> Layout | None:
    """Return where everything goes, None when there is too much.

    Args:
        sizes: The width and height of each box.
        lines: The lines, at most one from a box to another.
        gap: What lies between two layers.
        most: The largest number of boxes, lines, and places that lines need in layers which they pass.
    """
    layers = make_layers(len(sizes), lines, most)
    if layers is None:
        return None
    widths = [size[0] for size in sizes] + [_PLACE] * (len(layers.above) - len(sizes))
    x = _across(layers, widths, len(sizes))
    spans = _spans(layers.order, sizes, gap)
    boxes = [Box(x[node], sum(spans[node]) / 2, *size) for node, size in enumerate(sizes)]
    return Layout(
        max((place + width / 2 for place, width in zip(x, widths, strict=True)), default=0.0),
        max((bottom for _, bottom in spans.values()), default=0.0),
        boxes,
        [
            (is_dashed, [_edge(boxes[source], 1), *_passed([source, *trunk], x, spans)[1:]])
            for (source, is_dashed), trunk in layers.trunks.items()
        ],
        _tails(lines, layers, x, spans, boxes),
    )


def _across(layers: Layers, widths: Sequence[float], nodes: int) -> list[float]:
    """Return where the middle of each node is in its layer: near what it is tied to, apart from its neighbors."""
    x = [0.0] * len(widths)
    offsets = [_offsets(row, widths) for row in layers.order]
    for row, offset in zip(layers.order, offsets, strict=True):
        for node, place in zip(row, offset, strict=True):
            x[node] = place - offset[-1] / 2
    both = [[*above, *below] for above, below in zip(layers.above, layers.below, strict=True)]
    numbers = range(len(layers.order))
    for ties in [layers.above, layers.below] * _ROUNDS + [both] * _ROUNDS:
        for number in reversed(numbers) if ties is layers.below else numbers:
            row = layers.order[number]
            wanted = [_wanted(x, node, ties[node], nodes) for node in row]
            weights = [_LOOSE if not ties[node] else _STRAIGHT if node >= nodes else 1.0 for node in row]
            for node, place in zip(row, _nearest(wanted, weights, offsets[number]), strict=True):
                x[node] = place
    left = min((x[node] - width / 2 for node, width in enumerate(widths)), default=0.0)
    return [place - left for place in x]


def _offsets(row: Sequence[int], widths: Sequence[float]) -> list[float]:
    """Return how far each node of a layer is from the first one when all stand as near as they may."""
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + (widths[one] + widths[other]) / 2 + _BESIDE)
    return offsets


def _wanted(x: Sequence[float], node: int, ties: Sequence[int], nodes: int) -> float:
    """Return where a node would best be: a box in the middle of what it is tied to, a line's place straight on."""
    if not ties:
        return x[node]
    straight_on = [tie for tie in ties if tie >= nodes] if node >= nodes else []
    places = sorted([x[tie] for tie in straight_on or ties])
    half = len(places) // 2
    return (places[half] + places[~half]) / 2


def _nearest(wanted: Sequence[float], weights: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """Return the places nearest to those wanted, by weighted squares, of which each is far enough from the one before.

    Less its offset, each place must be no smaller than the one before: a regression that "pools adjacent violators".
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for place, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, count = place - offset, 1
        while pools and pools[-1][0] > mean:
            before, heavy, many = pools.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight += heavy
            count += many
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _spans(order: Sequence[Sequence[int]], sizes: Sequence[Point], gap: float) -> dict[int, Point]:
    """Return for each node where its layer begins and ends."""
    spans: dict[int, Point] = {}
    top = 0.0
    for row in order:
        bottom = top + max(sizes[node][1] for node in row if node < len(sizes))
        spans |= dict.fromkeys(row, (top, bottom))
        top = bottom + gap
    return spans


def _passed(nodes: Sequence[int], x: Sequence[float], spans: Mapping[int, Point]) -> list[Point]:
    return [(x[node], end) for node in nodes for end in spans[node]]


def _edge(box: Box, side: int) -> Point:
    """Return the middle of a box's upper (-1) or lower (1) side."""
    return box.x, box.y + side * box.height / 2


def _tails(
    lines: Sequence[Line], layers: Layers, x: Sequence[float], spans: Mapping[int, Point], boxes: Sequence[Box]
) -> list[list[Point]]:
    arrivals = _arrivals(layers, x, boxes)
    found = []
    for line, last in zip(lines, layers.last, strict=True):
        arrival, top = arrivals[last, line.target], _edge(boxes[line.target], -1)[1]
        found.append([(x[last], spans[last][1]), (arrival, spans[line.target][0]), (arrival, top)])
    return found


def _arrivals(layers: Layers, x: Sequence[float], boxes: Sequence[Box]) -> dict[tuple[int, int], float]:
    """Return where lines arrive at each box, beside each other in the order in which they come."""
    found: dict[tuple[int, int], float] = {}
    for node, box in enumerate(boxes):
        ties = sorted(layers.above[node], key=x.__getitem__)
        apart = min(_APART, _SPREAD * box.width / max(len(ties), 1))
        for number, tie in enumerate(ties):
            found[tie, node] = box.x + (number - (len(ties) - 1) / 2) * apart
    return found
