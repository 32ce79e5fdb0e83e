"""Putting the nodes of a graph into layers, and ordering each layer so that few lines cross.

The scheme is that of Sugiyama, Tagawa and Toda (1981): longest paths make the layers, a line that passes a layer gets a
place of its own there, and sweeps put each node at the mean of what it is tied to in the layer before.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice, pairwise
from typing import NamedTuple

__all__ = ["Layers", "Line", "make_layers"]

_SWEEPS = 12
_PATIENCE = 4  # sweeps without fewer crossings


class Line(NamedTuple):
    """A line from one node to another with a higher number."""

    source: int
    target: int
    is_dashed: bool = False


Bundle = tuple[int, bool]  # the lines of one kind that leave a node: they go a part of the way together


class Layers(NamedTuple):
    """The nodes of a graph, and the places that lines need in the layers that they pass, from the first layer on."""

    order: list[list[int]]  # the nodes of each layer, side by side; those with higher numbers are places of lines
    above: list[list[int]]  # of each node, what it is tied to in the layer before
    below: list[list[int]]
    trunks: dict[Bundle, list[int]]  # of each bundle, the places that it passes
    last: list[int]  # of each line, the node or place before its target


def make_layers(nodes: int, lines: Sequence[Line], most: int) -> Layers | None:
    """Return the layers of a graph, None when it has more than so many nodes, lines, and places of lines.

    Args:
        nodes: How many there are.
        lines: The lines, at most one from a node to another.
        most: The largest number of all of these.
    """
    if nodes + len(lines) > most:
        return None
    depth = _depths(nodes, lines)
    passed: dict[Bundle, int] = {}
    for line in lines:
        bundle = line.source, line.is_dashed
        passed[bundle] = max(passed.get(bundle, 0), _hops(depth, line) - 1)
    if nodes + len(lines) + sum(passed.values()) > most:
        return None
    layers = _layers(depth, lines, passed)
    _untangle(layers)
    return layers


def _depths(nodes: int, lines: Sequence[Line]) -> list[int]:
    """Return the layer of each node: the first one possible, or the last if that makes its lines shorter."""
    upstream: list[list[int]] = [[] for _ in range(nodes)]
    downstream: list[list[int]] = [[] for _ in range(nodes)]
    for source, target, _ in lines:
        upstream[target].append(source)
        downstream[source].append(target)
    depth: list[int] = []
    for sources in upstream:
        depth.append(max([depth[source] + 1 for source in sources], default=0))
    for node in reversed(range(nodes)):
        if len(downstream[node]) > len(upstream[node]):
            depth[node] = min(depth[target] for target in downstream[node]) - 1
    return depth


def _layers(depth: Sequence[int], lines: Sequence[Line], passed: Mapping[Bundle, int]) -> Layers:
    places = count(len(depth))
    trunks = {bundle: list(islice(places, length)) for bundle, length in passed.items()}
    found = [(layer, node, node) for node, layer in enumerate(depth)]
    for (source, _), trunk in trunks.items():
        found += [(depth[source] + step, source, place) for step, place in enumerate(trunk, start=1)]
    order: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for layer, _, node in sorted(found):  # a line's place beside what was made when its source was
        order[layer].append(node)
    last = [[line.source, *trunks[line.source, line.is_dashed]][_hops(depth, line) - 1] for line in lines]
    ties = [(one, line.target) for one, line in zip(last, lines, strict=True)]
    ties += [tie for (source, _), trunk in trunks.items() for tie in pairwise([source, *trunk])]
    above: list[list[int]] = [[] for _ in found]
    below: list[list[int]] = [[] for _ in found]
    for one, other in sorted(ties):
        above[other].append(one)
        below[one].append(other)
    return Layers(order, above, below, trunks, last)


def _hops(depth: Sequence[int], line: Line) -> int:
    return depth[line.target] - depth[line.source]


def _untangle(layers: Layers) -> None:
    """Order each layer so that few lines cross."""
    best, fewest, patience = [list(row) for row in layers.order], _crossings(layers), _PATIENCE
    for sweep in range(_SWEEPS):
        if not fewest or not patience:
            break
        _sweep(layers, down=sweep % 2 == 0)
        crossings = _crossings(layers)
        patience -= 1
        if crossings < fewest:
            best, fewest, patience = [list(row) for row in layers.order], crossings, _PATIENCE
    layers.order[:] = best


def _sweep(layers: Layers, *, down: bool) -> None:
    rows = layers.order if down else layers.order[::-1]
    ties = layers.above if down else layers.below
    for row, before in zip(rows[1:], rows, strict=False):
        place = {node: number for number, node in enumerate(before)}
        mean = {node: sum(place[tie] for tie in ties[node]) / len(ties[node]) for node in row if ties[node]}
        _sort_tied(row, mean)


def _sort_tied(row: list[int], mean: dict[int, float]) -> None:
    """Sort the nodes that have a mean among themselves; the others stay where they are."""
    tied = iter(sorted((node for node in row if node in mean), key=mean.__getitem__))
    row[:] = [next(tied) if node in mean else node for node in row]


def _crossings(layers: Layers) -> int:
    return sum(_crossings_below(row, after, layers.below) for row, after in pairwise(layers.order))


def _crossings_below(row: Sequence[int], after: Sequence[int], below: Sequence[Iterable[int]]) -> int:
    place = {node: number for number, node in enumerate(after)}
    seen: list[int] = []
    crossings = 0
    for node in row:
        ends = sorted(place[tie] for tie in below[node])
        crossings += sum(len(seen) - bisect_right(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return crossings
