"""Triggers: whether a task runs, decided by the states of what it depends on.

    @task(trigger=triggers.always_run)
    def clean_up(): ...

A trigger takes a mapping from edges to states and returns true, or raises a signal. Skipped counts as successful, and
what was not run as failed. An argument that is a plain value counts as an upstream that succeeded, as it did in
Prefect 1: a task with `any_successful` and a constant argument always runs, one with `all_failed` never does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from dioptra.errors import FlowError
from dioptra.flow._state import State
from dioptra.flow.signals import SKIP, TRIGGERFAIL

if TYPE_CHECKING:
    from dioptra.flow._task import Task

__all__ = [
    "Edge",
    "Trigger",
    "UpstreamStates",
    "all_failed",
    "all_finished",
    "all_successful",
    "always_run",
    "any_failed",
    "any_successful",
    "manual_only",
    "not_all_skipped",
    "some_failed",
    "some_successful",
]


class Edge(NamedTuple):
    """What one task takes from another: as argument `key`, or only its turn when there is no key."""

    upstream_task: Task
    downstream_task: Task
    key: str | None = None


UpstreamStates = Mapping[Edge, State]
Trigger = Callable[[UpstreamStates], bool]


def all_successful(upstream_states: UpstreamStates) -> bool:
    """Run when everything upstream succeeded; this is the default."""
    return _when(all(map(State.is_successful, upstream_states.values())), "not everything upstream succeeded")


def all_failed(upstream_states: UpstreamStates) -> bool:
    """Run when everything upstream failed."""
    return _when(all(map(State.is_failed, upstream_states.values())), "not everything upstream failed")


def any_successful(upstream_states: UpstreamStates) -> bool:
    """Run when something upstream succeeded, or when there is nothing."""
    runs = not upstream_states or any(map(State.is_successful, upstream_states.values()))
    return _when(runs, "nothing upstream succeeded")


def any_failed(upstream_states: UpstreamStates) -> bool:
    """Run when something upstream failed, or when there is nothing."""
    runs = not upstream_states or any(map(State.is_failed, upstream_states.values()))
    return _when(runs, "nothing upstream failed")


def all_finished(upstream_states: UpstreamStates) -> bool:
    """Run whatever became of the upstream, once it has ended."""
    return _when(all(map(State.is_finished, upstream_states.values())), "not everything upstream has ended")


always_run = all_finished


def not_all_skipped(upstream_states: UpstreamStates) -> bool:
    """Run when everything upstream succeeded and not all of it was skipped; else fail, or skip."""
    if all(map(State.is_skipped, upstream_states.values())):
        raise SKIP("skipped, because everything upstream was skipped", result=None)
    return all_successful(upstream_states)


def some_failed(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that runs the task when the number of failures upstream is within bounds.

    Args:
        at_least: The smallest number; below 1, a share of the upstream.
        at_most: The largest number; below 1, a share of the upstream.
    """
    return _counting(State.is_failed, at_least, at_most, "failures")


def some_successful(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that runs the task when the number of successes upstream is within bounds.

    Args:
        at_least: The smallest number; below 1, a share of the upstream.
        at_most: The largest number; below 1, a share of the upstream.
    """
    return _counting(State.is_successful, at_least, at_most, "successes")


def manual_only(upstream_states: UpstreamStates) -> bool:
    """Refused: no person is asked while a flow runs."""
    raise FlowError("trigger manual_only cannot be used, because no person is asked while a flow runs")


def _counting(counts: Callable[[State], bool], at_least: float | None, at_most: float | None, what: str) -> Trigger:
    def trigger(upstream_states: UpstreamStates) -> bool:
        states = set(upstream_states.values())  # a task that is upstream twice counts once
        found = sum(map(counts, states))
        runs = _number(at_least, states, 0) <= found <= _number(at_most, states, len(states))
        return _when(runs or not states, f"{found} of {len(states)} {what} upstream are not within its bounds")

    trigger.__name__ = "some_failed" if counts is State.is_failed else "some_successful"  # as pictures call it
    return trigger


def _number(bound: float | None, states: set[State], default: int) -> float:
    if bound is None:
        return default
    return bound * len(states) if bound < 1 else bound


def _when(runs: bool, otherwise: str) -> bool:
    if not runs:
        raise TRIGGERFAIL(f"not run, because {otherwise}")
    return True
