"""What differs between two runs: in values by name, and in what the tasks of their flows gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Difference", "TaskDifference", "differences", "first_difference"]

_ABSENT: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Difference:
    """A name that stands for another value than before."""

    name: str
    before: Any  # None: it was not there
    after: Any

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, when its values can be."""
        return asdict(self)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return the names whose values differ, sorted.

    Numbers are compared by value, so that 1 equals 1.0; NaN equals NaN; True and False are no numbers; a name that is
    not there equals None.
    """
    names = sorted(before.keys() | after.keys())
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return tuple(Difference(*found) for found in pairs if not _same(*found[1:]))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other) or (one != one and other != other)  # NaN differs from itself


@dataclass(frozen=True)
class TaskDifference:
    """A task that did not do the same in two runs."""

    flow: str
    task: str
    slug: str
    how: str  # goes on after the name of the task: "ended Failed instead of Success"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def first_difference(before: Path, after: Path) -> TaskDifference | None:
    """Return the first task that ended otherwise or gave something else, None when all did the same.

    Tasks are compared by name, for those that do not depend on each other may settle in any order: a flow that is run
    several times with its run of the same number, and so a task that settles several times. How long they took and how
    often they were tried plays no part.

    Args:
        before: The journal of one run, `flow.jsonl`, in whose order tasks are looked at. No file: no tasks.
        after: That of the other run.
    """
    one, other = dict(_settled(before)), dict(_settled(after))
    for key, line in one.items():
        if how := _how(line, other.get(key)):
            return _difference(line, how)
    for key, line in other.items():
        if key not in one:
            return _difference(line, "ran, and did not before")
    return None


def _difference(line: Mapping[str, Any], how: str) -> TaskDifference:
    return TaskDifference(flow=line["flow"], task=line.get("task") or line["slug"], slug=line["slug"], how=how)


_Key = tuple[str, int, str, int]  # a flow and which run of it, a task and which time it settled in that


def _settled(journal: Path) -> Iterator[tuple[_Key, dict[str, Any]]]:
    from dioptra.flow._journal_lines import journal_lines  # a worker, which imports this part, needs no flows

    runs: Counter[str] = Counter()
    times: Counter[tuple[str, int, str]] = Counter()
    for line in journal_lines(journal):
        flow, slug = line.get("flow"), line.get("slug")
        if not isinstance(flow, str):
            continue
        if line.get("event") == "flow-started":
            runs[flow] += 1
        elif line.get("event") == "task" and isinstance(slug, str):
            key = (flow, runs[flow], slug)
            times[key] += 1
            yield (*key, times[key]), line


def _how(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> str:
    """Say how a task differs, in words; nothing when it does not."""
    if after is None:
        return "did not run"
    if before.get("state") != after.get("state"):
        return f"ended {after.get('state')} instead of {before.get('state')}"
    return _how_of_result(before.get("result") or _ABSENT, after.get("result") or _ABSENT)


def _how_of_result(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Compare what both fingerprints tell: one that was made by another version of Dioptra may tell less."""
    both = before.keys() & after.keys()
    if "value" in both and not _same(before["value"], after["value"]):
        return f"value {after['value']} instead of {before['value']}"
    for name in ("type", "shape", "dtype", "length"):
        if name in both and before[name] != after[name]:
            return f"its result differs ({name} {after[name]} instead of {before[name]})"
    if "hash" in both and before["hash"] != after["hash"]:
        return f"its result differs (hash {_short(after)} instead of {_short(before)})"
    if {"value", "hash"} <= before.keys() ^ after.keys():  # a number that is short in one and long in the other
        return "its result differs"
    return ""


def _short(result: Mapping[str, Any]) -> str:
    return f"{str(result['hash'])[:4]}..."
