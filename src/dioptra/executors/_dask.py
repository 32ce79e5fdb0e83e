"""Tasks run on a Dask cluster: all of a flow is handed over at once, and each result comes back when it is there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dioptra.errors import FlowError
from dioptra.executors._calls import pack_tasks
from dioptra.executors._cluster import check_address, connected, distributed, own_cluster
from dioptra.executors._driving import Driving
from dioptra.executors._threads import cores
from dioptra.flow import Run, Task

__all__ = ["Dask"]

_PATIENCE = 3.0  # seconds until it is said that no worker is there

logger = logging.getLogger("dioptra.executors")


class Dask:
    """Runs tasks on a Dask cluster: each after what it depends on, where its data is, as many as there are workers."""

    def __init__(
        self,
        cluster: Any = None,
        *,
        workers: int | None = None,
        resources: Mapping[str, float] | None = None,
        security: Any = None,
        insecure: bool = False,
        timeout: float = 10.0,
    ) -> None:
        """Choose a cluster.

        Args:
            cluster: Its address, such as `tls://host:8786`, or a `distributed.Client`; by default processes of its own
                on this machine, which are started for each run and end with it.
            workers: How many processes of its own; by default one for each core that this process may use.
            resources: What each of those has, such as `{"GPU": 1}`, for tasks that ask for it.
            security: What `distributed.Client` takes, for TLS; by default what Dask's configuration says.
            insecure: Allow an address of a network without TLS: who reaches such a cluster can run code on it.
            timeout: Seconds to wait for an answer of the scheduler.

        Raises:
            FlowError: Workers or resources are given for a cluster that is there already, or their number is none.
            RefusedError: The address is of a network, and neither TLS nor `insecure` is there.
            DaskDependencyError: The package distributed is not installed.
        """
        distributed()
        _check_own(cluster, workers, resources)
        self._cluster = cluster
        self._address = _address(cluster)
        if cluster is not None:
            check_address(self._address, insecure=insecure)
        self._workers = workers or cores()
        self._resources = dict(resources or {})
        self._security = security
        self._timeout = timeout

    def drive(self, run: Run) -> None:
        """Settle each task of a run once, after what it depends on."""
        calls = pack_tasks(run)
        with self._client() as client:
            _check_workers(run, client, own=self._cluster is None)
            Driving(run, client, calls).drive()

    def _client(self) -> AbstractContextManager[Any]:
        if self._cluster is None:
            return own_cluster(self._workers, self._resources)
        if isinstance(self._cluster, str):
            return connected(self._cluster, self._security, self._timeout)
        return nullcontext(self._cluster)

    def __repr__(self) -> str:
        return f"Dask({self._address!r})" if self._address else f"Dask(workers={self._workers})"


def _check_own(cluster: Any, workers: Any, resources: Any) -> None:
    if cluster is not None and (workers is not None or resources is not None):
        raise FlowError(
            f"Dask({cluster!r:.100}) is a cluster that has its own workers and resources",
            hint="give workers and resources without a cluster",
        )
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise FlowError(f"{workers!r} is not a number of workers", hint="write Dask(workers=4)")


def _address(cluster: Any) -> str:
    if cluster is None or isinstance(cluster, str):
        return cluster or ""
    address = getattr(getattr(cluster, "scheduler", None), "address", None)
    if not isinstance(address, str):
        raise FlowError(f"{cluster!r:.100} is no Dask cluster", hint="give an address, or a distributed.Client")
    return address


def _check_workers(run: Run, client: Any, *, own: bool) -> None:
    """Say so when a flow would wait in silence."""
    place = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        logger.warning("no worker listens at %s: flow %r waits for one", place, run.flow.name)
    workers = list(client.scheduler_info(n_workers=-1)["workers"].values())
    for task in run.order:
        if task.resources and not any(_has(worker, task) for worker in workers):
            asked = dict(task.resources)
            sentence = f"no worker at {place} has {asked} for task {run.flow.node(task).slug!r}"
            if own:
                raise FlowError(sentence, hint=f"write Dask(resources={asked})")
            logger.warning("%s: it waits for one", sentence)


def _has(worker: Mapping[str, Any], task: Task) -> bool:
    return all(worker["resources"].get(name, 0) >= amount for name, amount in task.resources.items())
