"""Says what to change when a script asks `prefect` for what is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import NoReturn

__all__ = ["explain_option", "explain_other_version", "explain_parts", "explain_stand_in"]

_EXTRA = "or install the real Prefect 1: pip install 'dioptra-testbed[prefect1]'"
_INSTEAD = {
    "prefect.Parameter": "change the line to `from dioptra import Flow, Parameter`",
    "prefect.triggers": "change the line to `from dioptra.flow import triggers`",
    "prefect.utilities.logging": "remove the line and `clear_logger_handlers(get_prefect_logger())`",
}


class _Explaining(MetaPathFinder):
    """Finds nothing: the last one asked for a part of `prefect`, it says why there is none.

    `from prefect import name` looks for a module `prefect.name` when the package has no such attribute.
    """

    def __init__(self, sentence: Callable[[str], str]) -> None:
        self._sentence = sentence

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if words := self._sentence(fullname):
            raise ModuleNotFoundError(words)  # without its name: Python drops an error that carries the name asked for


def explain_other_version(version: str) -> None:
    """Explain what Prefect 1 has, and this version has not."""

    def sentence(fullname: str) -> str:
        if fullname not in _INSTEAD:
            return ""
        return f"Prefect {version} has no {fullname!r}, which was part of Prefect 1; {_INSTEAD[fullname]}"

    sys.meta_path.append(_Explaining(sentence))


def explain_stand_in(has: Sequence[str]) -> Callable[[str], str]:
    """Explain what the stand-in has not, and return the function that makes the sentence."""

    def sentence(fullname: str) -> str:
        if not fullname.startswith("prefect."):
            return ""
        return f"Dioptra's stand-in for Prefect 1 has no {fullname!r}; use what it has ({', '.join(has)}), {_EXTRA}"

    sys.meta_path.append(_Explaining(sentence))
    return sentence


def explain_parts(modules: Iterable[ModuleType], sentence: Callable[[str], str]) -> None:
    """Let modules of the stand-in explain the names that they have not."""
    for module in modules:
        if "__path__" not in vars(module):
            module.__path__ = []  # like a package: `from module import name` asks the finder for a part of that name
        module.__getattr__ = _explained(module.__name__, sentence)  # type: ignore[method-assign]


def _explained(module: str, sentence: Callable[[str], str]) -> Callable[[str], NoReturn]:
    def refuse(name: str) -> NoReturn:
        raise AttributeError(sentence(f"{module}.{name}"))

    return refuse


def explain_option(call: str, name: str) -> str:
    """Say what to do about an argument of Prefect 1 that means nothing to the stand-in."""
    return f"{call} of Dioptra's stand-in for Prefect 1 cannot have {name!r}; leave it out, {_EXTRA}"
