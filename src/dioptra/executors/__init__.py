"""Executors: where the tasks of a flow run, beyond one after the other.

    flow.run(executor="threads")                    # at the same time, in this process
    flow.run(executor=Dask("tls://scheduler:8786"))  # on a cluster

`dioptra.flow` asks this part by name, so that a flow needs nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dioptra.executors._threads import Threads

if TYPE_CHECKING:
    from dioptra.executors._dask import Dask

__all__ = ["Dask", "Threads"]


def __getattr__(name: str) -> object:
    """Import what a cluster needs when it is first asked for."""
    if name != "Dask":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dioptra.executors._dask import Dask

    return Dask
