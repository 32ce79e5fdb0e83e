"""The order in which the tasks of a graph run."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

__all__ = ["find_ring", "run_order"]


def run_order(upstream: Sequence[Sequence[int]]) -> list[int]:
    """Sort the nodes of a graph: upstream first, else in the order given.

    Args:
        upstream: For each node, the nodes that it depends on.

    Returns:
        All nodes, or, when there are rings, only those that do not depend on one.
    """
    size = len(upstream)
    if all(source < node for node, sources in enumerate(upstream) for source in sources):
        return list(range(size))
    downstream: list[list[int]] = [[] for _ in range(size)]
    waiting_for = [len(sources) for sources in upstream]
    for node, sources in enumerate(upstream):
        for source in sources:
            downstream[source].append(node)
    ready = [node for node in range(size) if not waiting_for[node]]
    heapify(ready)
    order = []
    while ready:
        node = heappop(ready)
        order.append(node)
        for other in downstream[node]:
            waiting_for[other] -= 1
            if not waiting_for[other]:
                heappush(ready, other)
    return order


def find_ring(upstream: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """Return one ring among the nodes that `run_order` could not place, first node given again at the end."""
    placed = set(order)
    node = next(node for node in range(len(upstream)) if node not in placed)
    path: dict[int, None] = {}
    while node not in path:
        path[node] = None
        node = next(source for source in upstream[node] if source not in placed)
    ring = list(path)
    return [node, *reversed(ring[ring.index(node) :])]
