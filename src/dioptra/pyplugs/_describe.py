"""What the signature of a task plugin says: its parameters, their types and defaults, and what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from dioptra.errors import TaskDefinitionError
from dioptra.flow import task
from dioptra.pyplugs._lookup import get

__all__ = ["PluginParameter", "PluginSignature", "signature"]

_STARS: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


class PluginParameter(NamedTuple):
    """One parameter of a registered function."""

    name: str  # with its stars, if it has any
    annotation: str
    default: str | None

    @property
    def required(self) -> bool:
        """Tell whether a call must give it."""
        return self.default is None and not self.name.startswith("*")


class PluginSignature(NamedTuple):
    """What the signature of a registered function says."""

    parameters: tuple[PluginParameter, ...]
    returns: str
    nout: int | None


def signature(package: str, plugin: str, func: str | None = None) -> PluginSignature:
    """Return what the signature of a function says, the first one of the plugin by default; it raises as `info` does.

    Nothing is evaluated: annotations are texts, as they were written, or empty.
    """
    function = get(package, plugin, func)
    found = inspect.signature(function)
    return PluginSignature(
        parameters=tuple(_parameter(parameter) for parameter in found.parameters.values()),
        returns=_text(found.return_annotation),
        nout=_nout(function),
    )


def _parameter(parameter: inspect.Parameter) -> PluginParameter:
    return PluginParameter(
        name=_STARS.get(parameter.kind, "") + parameter.name,
        annotation=_text(parameter.annotation),
        default=None if parameter.default is parameter.empty else repr(parameter.default),
    )


def _text(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _nout(function: Callable[..., Any]) -> int | None:
    try:
        return task(function).nout
    except TaskDefinitionError:  # it can be called, though not in a flow
        return getattr(function, "_task_nout", None)
