"""Dioptra, a testbed for trustworthy machine learning.

    from dioptra import Flow, Parameter, pyplugs, task

Importing the package loads nothing else: each name is fetched when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dioptra import pyplugs
    from dioptra.flow import Flow, FlowFailed, Parameter, State, task

    __version__: str

__all__ = ["Flow", "FlowFailed", "Parameter", "State", "__version__", "pyplugs", "task"]

_FROM_FLOW = frozenset({"Flow", "FlowFailed", "Parameter", "State", "task"})


if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        """Fetch a public name on its first use."""
        value: object
        if name in _FROM_FLOW:
            from dioptra import flow

            value = getattr(flow, name)
        elif name == "pyplugs":
            import dioptra.pyplugs as value
        elif name == "__version__":
            value = _installed_version()
        else:
            raise AttributeError(f"module 'dioptra' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _installed_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dioptra-testbed")
    except PackageNotFoundError:
        return "0.0.0"
