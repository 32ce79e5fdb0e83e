"""The values of a flow's parameters, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dioptra.errors import FlowParameterError, did_you_mean

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["parameter_values"]

_TEXT = 300  # characters of a wrong value that are shown


def parameter_values(flow: Flow, given: Mapping[str, Any], by_keyword: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for each parameter of a flow; raise FlowParameterError when that is not possible."""
    if not isinstance(given, Mapping):
        raise FlowParameterError(
            f"Flow.run takes its parameters as a dictionary, not as {given!r:.{_TEXT}}",
            hint="write flow.run(parameters={'name': value}), or flow.run(name=value)",
        )
    if twice := given.keys() & by_keyword.keys():
        raise FlowParameterError(
            f"Flow.run received a parameter twice: {_names(twice)}",
            hint="give it in `parameters` or by keyword, not both",
        )
    values = {**given, **by_keyword}
    known = {parameter.name: parameter for parameter in flow.parameters()}
    unexpected = values.keys() - known.keys()
    missing = {name for name, parameter in known.items() if parameter.required and name not in values}
    if missing:
        raise FlowParameterError(
            f"Flow.run did not receive the following required parameters: {_names(missing)}",
            hint=f"{_names(unexpected)} was given; {_hint(unexpected, missing)}" if unexpected else _call(missing),
        )
    if unexpected:
        raise FlowParameterError(
            f"Flow.run received the following unexpected parameters: {_names(unexpected)}",
            hint=_hint(unexpected, known),
        )
    return {name: values.get(name, parameter.default) for name, parameter in known.items()}


def _names(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names)))


def _call(names: Iterable[str]) -> str:
    return f"write flow.run(parameters={{{', '.join(f'{name!r}: ...' for name in sorted(names))}}})"


def _hint(unexpected: Iterable[Any], known: Iterable[str]) -> str:
    """Say which names would be right in place of those that were given."""
    guesses = [(name, did_you_mean(name, known)) for name in sorted(map(str, unexpected))]
    meant = [f"{guess.removesuffix('?')} by {name!r}? " for name, guess in guesses if guess]
    return f"{''.join(meant)}(have: {_names(known) or 'none'}; a Parameter counts once a task of the flow uses it)"
