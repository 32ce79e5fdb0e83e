"""A flow's graph as a table: one row for each task in the order in which they run, with what it takes and waits for.

Operators and collections are written where they are used, as in `x=load-1[0]`, and parameters stand before the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dioptra.flow._description import Description, Step
from dioptra.flow._wording import said_ending, said_options, shortened, visible

__all__ = ["Table", "table_of"]

_NAME = 60  # characters of a name
_WRITTEN = 120  # of an operator or a collection that is written where it is used; the larger ones get a row
_MESSAGE = 300
_NOTHING_TO_SAY = ("", "Success", "Skipped", "TriggerFailed")  # more than the state itself does


class Table(NamedTuple):
    """What a terminal shows of a flow."""

    title: str
    parameters: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    messages: tuple[str, ...]  # why tasks did not succeed


def table_of(description: Description) -> Table:
    """Return a flow's graph as a table; after a run, with states and durations."""
    steps, has_run = description.steps, description.has_run
    written = _written(steps)
    shown = [step for step, text in zip(steps, written, strict=True) if text is None and step.kind != "parameter"]
    names = [shortened(step.slug, _NAME) if text is None else text for step, text in zip(steps, written, strict=True)]
    columns = {
        "task": [shortened(step.slug, _NAME) for step in shown],
        "state": [_state(step) for step in shown] if has_run else [],
        "seconds": ["" if step.took is None else f"{step.took:.3f}" for step in shown] if has_run else [],
        "options": [", ".join(said_options(step.options)) for step in shown],
    }
    if not any(columns["options"]):
        del columns["options"]
    columns["takes"] = [", ".join(_takes(step, steps, names)) for step in shown]
    kept = {heading: cells for heading, cells in columns.items() if cells or heading in ("task", "takes")}
    return Table(
        _title(description),
        tuple(shortened(step.slug, _NAME) for step in steps if step.kind == "parameter"),
        tuple(kept),
        tuple(zip(*kept.values(), strict=True)),
        tuple(_messages(description)),
    )


def _title(description: Description) -> str:
    tasks = "1 task" if description.size == 1 else f"{description.size} tasks"
    title = f"{shortened(description.flow, _NAME)}: {tasks}"
    if not description.has_run:
        return title
    return f"{title}, {said_ending(description.state, description.seconds) if description.state else 'not ended'}"


def _state(step: Step) -> str:
    return said_ending(step.state, None, step.attempts)


def _takes(step: Step, steps: Sequence[Step], names: Sequence[str]) -> Iterator[str]:
    if step.form:
        yield f"= {_expression(step, steps, names)}"
    else:
        for source, name in step.takes:
            yield names[source] if names[source] == name else f"{visible(name)}={names[source]}"
    if step.after:
        yield f"after {', '.join(names[source] for source in step.after)}"


def _written(steps: Sequence[Step]) -> list[str | None]:
    """Return how operators and collections are written where they are used; what has a row of its own has None."""
    used = {source for step in steps for source, _ in step.takes}
    names: list[str] = []
    written: list[str | None] = []
    for place, step in enumerate(steps):
        text = None
        if step.form and place in used and not step.after and step.state in _NOTHING_TO_SAY:
            text = _expression(step, steps, names)
        written.append(text if text is not None and len(text) <= _WRITTEN else None)
        names.append(written[-1] or shortened(step.slug, _NAME))
    return written


def _expression(step: Step, steps: Sequence[Step], names: Sequence[str]) -> str:
    taken = [_operand(step, steps[source], names[source]) for source, _ in step.takes]
    pieces = zip(step.form, [*taken, ""], strict=True)
    return "".join(visible(text) + name for text, name in pieces)


def _operand(step: Step, source: Step, name: str) -> str:
    """Put what an operator takes into brackets, where it is computed by another operator."""
    is_sum = source.kind == "operator" and name != shortened(source.slug, _NAME) and not source.form[-1].endswith("]")
    return f"({name})" if is_sum and step.kind == "operator" else name


def _messages(description: Description) -> Iterator[str]:
    if description.state not in _NOTHING_TO_SAY and description.message:
        yield shortened(description.message, _MESSAGE)
    for step in description.steps:
        if step.state not in _NOTHING_TO_SAY and step.message:
            yield f"{shortened(step.slug, _NAME)}: {shortened(step.message.strip().partition(chr(10))[0], _MESSAGE)}"
