"""What a flow's graph looks like, as data that JSON can hold: before a run, and after one with its states."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from dioptra.flow._collection import CollectionTask
from dioptra.flow._forms import form_of, label_of, links_of
from dioptra.flow._options import Policy
from dioptra.flow._parameter import Parameter
from dioptra.flow._state import State
from dioptra.flow._task import OperatorTask, Task
from dioptra.flow.triggers import Trigger, all_successful

if TYPE_CHECKING:
    from dioptra.flow._drawing import Drawing
    from dioptra.flow._flow import Flow, Node
    from dioptra.flow._text import Table

__all__ = ["LARGEST", "Description", "Step", "describe_flow"]

LARGEST = 1_000  # tasks of a flow whose graph is kept and drawn
_MESSAGE = 1_000  # characters of a message
_MOMENT = 0.001  # seconds: more than it takes to say that a task is not run
_KINDS: Mapping[type[Task], str] = {Parameter: "parameter", OperatorTask: "operator", CollectionTask: "collection"}
_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Step(NamedTuple):
    """What is known of one task; other tasks are named by their place in the order in which they run."""

    slug: str
    kind: str = "task"  # or "parameter", "operator", "collection"
    takes: tuple[tuple[int, str], ...] = ()  # what it takes something from, as which argument
    after: tuple[int, ...] = ()  # what it waits for, and takes nothing from
    form: tuple[str, ...] = ()  # of an operator or a collection: the text around what it takes
    label: str = ""  # of an operator or a collection, in few letters
    options: Mapping[str, Any] = _NO_OPTIONS
    state: str = ""  # the name of its state once it has settled
    message: str = ""
    seconds: float | None = None
    attempts: int = 1

    @property
    def took(self) -> float | None:
        """How long it took, in seconds; None when it was not run."""
        is_idle = self.state in ("Skipped", "TriggerFailed") and (self.seconds or 0.0) < _MOMENT
        return None if is_idle else self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, without what is as it mostly is."""
        return {name: value for name, value in self._asdict().items() if value != self._field_defaults.get(name)}

    @classmethod
    def from_dict(cls, value: Any, place: int) -> Self:
        """Read back what `to_dict` gave for the task at a place; a ValueError says that it is something else."""
        try:
            found = dict(value)
            takes = tuple((_upstream(source, place), _text(name)) for source, name in found.get("takes", ()))
            form = tuple(map(_text, found.get("form", ())))
            if form and len(form) != len(takes) + 1:
                raise ValueError("its form does not fit what it takes")
            return cls(
                slug=_text(found["slug"]),
                kind=_text(found.get("kind", "task")),
                takes=takes,
                after=tuple(_upstream(source, place) for source in found.get("after", ())),
                form=form,
                label=_text(found.get("label", "")),
                options=dict(found.get("options", {})),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"task {place} of a graph is not described as one") from error

    def settled(self, state: str, message: str = "", seconds: float | None = None, attempts: int = 1) -> Step:
        """Return it with what became of the task."""
        return self._replace(state=state, message=message[:_MESSAGE], seconds=seconds, attempts=attempts)


class Description(NamedTuple):
    """A flow's graph: its tasks in the order in which they run, and after a run what became of them."""

    flow: str
    size: int  # how many tasks it has; the steps are not kept of one with too many
    steps: tuple[Step, ...] = ()
    has_run: bool = False
    state: str = ""  # nothing when it has not ended
    message: str = ""
    seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it; of a run, with `state`, which is None when the flow has not ended."""
        found: dict[str, Any] = {"flow": self.flow, "size": self.size, "tasks": [each.to_dict() for each in self.steps]}
        if self.has_run:
            found |= {"state": self.state or None, "message": self.message, "seconds": self.seconds}
        return found

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """Read back the graph that `to_dict` gave; a ValueError says that it is something else."""
        try:
            return cls(_text(value["flow"]), int(value["size"]), read_steps(value["tasks"]))
        except (KeyError, TypeError) as error:
            raise ValueError("this does not describe a flow") from error

    @property
    def can_be_drawn(self) -> bool:
        """Whether there is something to draw: its tasks, or the sentence that they are too many."""
        return bool(self.steps) or self.size > LARGEST

    def drawing(self) -> Drawing:
        """Return its picture; of a flow that is too large for one, a picture of a sentence that says so."""
        from dioptra.flow._drawing import Drawing

        return Drawing.of(self)

    def table(self) -> Table:
        """Return it as a table for a terminal."""
        from dioptra.flow._text import table_of

        return table_of(self)


def read_steps(value: Any) -> tuple[Step, ...]:
    """Read back a list of steps; a ValueError says that it is something else."""
    if not isinstance(value, list):
        raise ValueError("the tasks of a graph are no list")
    return tuple(Step.from_dict(entry, place) for place, entry in enumerate(value))


def _upstream(source: Any, place: int) -> int:
    if type(source) is not int or not 0 <= source < place:
        raise ValueError(f"task {place} of a graph depends on {source!r:.40}, which does not run before it")
    return source


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} in a graph is no text")
    return value


def describe_flow(flow: Flow, state: State | None = None) -> Description:
    """Describe a flow's graph, and when the state of a run is given, what became of the tasks.

    Raises:
        FlowError: Some tasks depend on each other in a ring.
    """
    order = flow.sorted_tasks()
    places = {task: place for place, task in enumerate(order)}
    steps = tuple(_step(task, flow.node(task), places) for task in order)
    if state is None:
        return Description(flow.name, len(steps), steps)
    states = state.result if isinstance(state.result, Mapping) else {}
    steps = tuple(_after_run(step, states.get(task)) for task, step in zip(order, steps, strict=True))
    kind = type(state).__name__ if state.is_finished() else ""
    return Description(flow.name, len(steps), steps, True, kind, state.message[:_MESSAGE], state.seconds)


def _step(task: Task, node: Node, places: Mapping[Task, int]) -> Step:
    form = form_of(task, node.inputs)
    return Step(
        node.slug,
        next((name for kind, name in _KINDS.items() if isinstance(task, kind)), "task"),
        tuple((places[source], name) for source, name in links_of(task, node.inputs)),
        tuple(places[source] for source in node.after),
        form,
        label_of(task, form) if form else "",
        _options(task._policy),
    )


def _after_run(step: Step, state: State | None) -> Step:
    if state is None or not state.is_finished():
        return step
    return step.settled(type(state).__name__, state.message, state.seconds)


def _options(policy: Policy) -> Mapping[str, Any]:
    """Return what is worth seeing of a policy."""
    found = {
        "trigger": "" if policy.trigger is all_successful else _trigger_name(policy.trigger),
        "max_retries": policy.max_retries,
        "timeout": policy.timeout,
        "resources": dict(policy.resources),
    }
    return {name: value for name, value in found.items() if value}


def _trigger_name(trigger: Trigger) -> str:
    name = getattr(trigger, "__name__", "")
    return name if name.isidentifier() else "its own"
