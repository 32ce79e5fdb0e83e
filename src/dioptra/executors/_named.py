"""The executor that a name, or an address, a client or a cluster of Dask stands for."""

from __future__ import annotations

import re
from typing import Any

from dioptra.errors import FlowError, did_you_mean
from dioptra.executors._threads import Threads
from dioptra.flow import Executor

__all__ = ["named"]

_NAMES = ("sequential", "threads", "dask")


def named(chosen: Any) -> Executor:
    """Return the executor that something stands for; see `Flow.run`.

    Raises:
        FlowError: It stands for none, or for a cluster that cannot be used.
        RefusedError: An address is not safe to use.
        DaskDependencyError: It stands for Dask, which is not installed.
    """
    if isinstance(chosen, str):
        return _of_text(chosen)
    if _is_of_dask(chosen):
        return _dask(chosen)
    raise _unknown(chosen)


def _of_text(chosen: str) -> Executor:
    if "://" in chosen:
        return _dask(chosen)
    name, colon, number = chosen.partition(":")
    if name in ("threads", "dask") and colon:
        if not re.fullmatch(r"[1-9][0-9]{0,3}", number):
            raise FlowError(f"executor {chosen!r} has no number behind its colon", hint=f"write {name}:4, or {name}")
        return Threads(int(number)) if name == "threads" else _dask(workers=int(number))
    if name == "threads":
        return Threads()
    if name == "dask":
        return _dask()
    raise _unknown(chosen)


def _is_of_dask(chosen: Any) -> bool:
    """Tell whether something is a client of Dask, or looks after a cluster; nothing is imported for that."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(chosen).__mro__}
    return "distributed" in kinds or isinstance(getattr(chosen, "scheduler_address", None), str)


def _dask(*args: Any, **options: Any) -> Executor:
    from dioptra.executors._dask import Dask  # only who asks for it pays for its imports

    return Dask(*args, **options)


def _unknown(chosen: Any) -> FlowError:
    have = f"(have: {', '.join(_NAMES)}, the address of a Dask cluster, its Client, or one of dioptra.executors)"
    guess = did_you_mean(chosen, _NAMES) if isinstance(chosen, str) else ""
    return FlowError(f"there is no executor {chosen!r:.200}", hint=f"{guess} {have}".lstrip())
