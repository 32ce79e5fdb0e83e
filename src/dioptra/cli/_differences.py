"""How differences are shown: patches in color where there is a terminal, values as `before -> after`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from dioptra.cli._table import visible

if TYPE_CHECKING:
    from dioptra.results import Difference
    from dioptra.testbed import JobDiff, SnapshotDiff, Verification

__all__ = ["show_diff", "show_environment", "show_verification"]

_COLORS = {"+": "green", "-": "red", "@": "cyan"}
_DRAWN = "PYTHONHASHSEED"  # another one for each job, unless the user sets it
_LENGTH = 60  # characters of a value that are shown on a terminal
_ENTRIES = 12  # of an environment that differs


def show_diff(found: SnapshotDiff) -> None:
    """Print all that differs, and say so when nothing does."""
    click.echo(f"{found.before.name} -> {found.after.name}")
    _show_code(found)
    for job in found.jobs:
        _show_job(job)


def show_environment(entries: Sequence[Difference], say: Callable[[str], object]) -> None:
    """Say how an environment differs from the one that was recorded."""
    for entry in entries[:_ENTRIES]:
        say(f"Warning: not as recorded: {_value(entry)}")
    if more := len(entries[_ENTRIES:]):
        say(f"Warning: not as recorded: {_count(more, 'other part')} of the environment; --json has all")


def show_verification(found: Verification, say: Callable[[str], object]) -> None:
    """Say in a few lines what a repetition showed."""
    name = f"job {found.job.id[:8]} ({found.job.entry_point})"
    if found.rerun:
        name += f", run again as {found.rerun.id[:8]},"
    if found.why:
        say(f"{name} {found.verdict}: {found.why}")
        return
    say(f"{name} {found.verdict}: {_compared(found)}")
    for entry in found.metrics:
        say(f"  metric {_metric(entry)}")
    if found.task:
        say(f"  first task that differs: {found.task.task} of {found.task.flow!r}: {found.task.how}")


def _show_code(found: SnapshotDiff) -> None:
    if not found.patch:
        click.echo("\ncode: the same")
        return
    click.echo("\ncode:")
    for path, how in found.files.items():
        click.echo(f"  {visible(path)}: {how}")
    lines = found.patch.removesuffix("\n").split("\n")
    if sys.stdout.isatty():
        lines = list(_colored(lines))
    sys.stdout.write("\n".join(lines) + "\n")  # as it is, also what looks like a color in the code


def _colored(lines: Iterable[str]) -> Iterable[str]:
    in_head = True
    for line in lines:
        in_head = line.startswith("diff ") or (in_head and not line.startswith("@@"))
        color = None if in_head else _COLORS.get(line[:1])
        yield click.style("\t".join(map(visible, line.split("\t"))), fg=color, bold=in_head or None)


def _show_job(job: JobDiff) -> None:
    if job.before is None or job.after is None:
        which = "first" if job.before else "second"
        click.echo(f"\n{job.entry_point}: only the {which} has a finished job of it")
        return
    click.echo(f"\n{job.entry_point}: job {job.before[:8]} -> {job.after[:8]}")
    if job.why:
        click.echo(f"  cannot be compared: {job.why}")
    for aspect, found in job.aspects.items():
        entries = [entry for entry in found if entry.name != _DRAWN]
        if not entries:
            click.echo(f"  {aspect}: the same")
            continue
        click.echo(f"  {aspect}:")
        for entry in entries:
            click.echo("    " + (_metric(entry) if aspect == "metrics" else _value(entry)))


def _compared(found: Verification) -> str:
    """Say what was compared, and what of it is the same."""
    metrics, tasks = _count(found.metric_count, "metric"), _count(found.task_count, "task")
    if found.metrics:
        verb = "differs" if len(found.metrics) == 1 else "differ"
        return f"{len(found.metrics)} of {metrics} {verb}"
    if found.task and found.verdict == "verified":
        return f"{metrics} the same within the tolerance, though not the results of tasks"
    if found.task:
        return (
            f"{metrics} the same, but not the results of tasks" if found.metric_count else "the results of tasks differ"
        )
    if not found.metric_count and not found.task_count:
        recorded = "no metrics but those left out" if found.ignored else "no metrics"
        return f"it recorded {recorded} and no tasks, so that only its end could be compared"
    left_out = f" ({_count(len(found.ignored), 'metric')} left out)" if found.ignored else ""
    return f"{metrics} and {tasks} the same{left_out}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _metric(entry: Difference) -> str:
    if isinstance(entry.before, (int, float)) and isinstance(entry.after, (int, float)):
        before, after = f"{entry.before:g}", f"{entry.after:g}"
        if before == after:
            before, after = repr(entry.before), repr(entry.after)
        change = entry.after - entry.before
        return f"{entry.name}: {before} -> {after}" + (f" ({change:+.6g})" if math.isfinite(change) else "")
    return _value(entry)


def _value(entry: Difference) -> str:
    return f"{entry.name}: {_short(entry.before)} -> {_short(entry.after)}"


def _short(value: Any) -> str:
    text = "(none)" if value is None else visible(str(value))
    if not sys.stdout.isatty():
        return text
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return text[:12]
    return text if len(text) <= _LENGTH else text[: _LENGTH - 3] + "..."
