"""Tasks run on a Dask cluster: all of a flow is handed over at once, and each result comes back when it is there."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import inf
from numbers import Real
from typing import Any

from dioptra.errors import FlowError
from dioptra.executors._calls import pack_tasks
from dioptra.executors._cluster import (
    address_of,
    check_address,
    check_workers,
    connected,
    distributed,
    is_client,
    own_cluster,
)
from dioptra.executors._driving import Driving
from dioptra.executors._on_worker import ON_WORKER
from dioptra.executors._threads import cores
from dioptra.flow import Run, Task

__all__ = ["Dask"]

_INSECURE = "insecure+"
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
            cluster: Its address, such as `tls://host:8786`, or a `distributed.Client`, or an object that looks after
                a cluster, such as `distributed.LocalCluster`; by default processes of its own on this machine, which
                are started for each run and end with it.
            workers: How many processes of its own; by default one for each core that this process may use.
            resources: What each of those has, such as `{"GPU": 1}`, for tasks that ask for it.
            security: What `distributed.Client` takes, for TLS; by default what Dask's configuration says.
            insecure: Allow an address of a network without TLS: who reaches such a cluster can run code on it. An
                address may say so itself: `insecure+tcp://host:8786`.
            timeout: Seconds to wait for an answer of the scheduler.

        Raises:
            FlowError: Workers or resources are given for a cluster that is there already, a number is none, or the
                cluster is none that can be used.
            RefusedError: The address is of a network, and neither TLS nor `insecure` is there.
            DaskDependencyError: The package distributed is not installed.
        """
        distributed()
        _check_own(cluster, workers, resources)
        if isinstance(cluster, str):
            insecure = insecure or cluster.startswith(_INSECURE)
            cluster = cluster.removeprefix(_INSECURE)
        self._cluster = cluster
        self._insecure = insecure
        self._address = "" if cluster is None else address_of(cluster)
        if cluster is not None:
            check_address(self._address, insecure=insecure)
        self._workers = workers or cores()
        self._resources = _amounts(resources or {})
        self._security = security
        self._timeout = _seconds(timeout)

    def drive(self, run: Run) -> None:
        """Settle each task of a run once, after what it depends on."""
        if ON_WORKER.get():
            raise FlowError(
                f"flow {run.flow.name!r} is run by a task on a cluster, and would wait there for its own worker",
                hint='leave executor out, or write executor="threads"',
            )
        calls = pack_tasks(run)
        with self._client() as client:
            workers = _workers(run, client)
            if self._cluster is not None and not self._insecure:
                check_workers(self._address, workers)
            _check_resources(run, client, workers.values(), own=self._cluster is None)
            Driving(run, client, calls).drive()

    def _client(self) -> AbstractContextManager[Any]:
        if self._cluster is None:
            return own_cluster(self._workers, self._resources)
        if is_client(self._cluster):
            return nullcontext(self._cluster)
        return connected(self._cluster, self._security, self._timeout)

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


def _amounts(resources: Any) -> dict[str, float]:
    if not isinstance(resources, Mapping) or not all(_is_above_zero(amount) for amount in resources.values()):
        raise FlowError(
            f"{resources!r:.100} does not say how much of each resource a worker has",
            hint="write Dask(resources={'GPU': 1})",
        )
    return {str(name): float(amount) for name, amount in resources.items()}


def _seconds(timeout: Any) -> float:
    if not _is_above_zero(timeout):
        raise FlowError(f"{timeout!r:.100} is not a number of seconds above 0", hint="write Dask(timeout=10)")
    return float(timeout)


def _is_above_zero(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and value < inf and not value <= 0


def _workers(run: Run, client: Any) -> dict[str, Any]:
    """Return what is known of each worker by its address; say so when there is none yet."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        place = client.scheduler.address
        logger.warning("no worker listens at %s: flow %r waits for one", place, run.flow.name)
    return dict(client.scheduler_info(n_workers=-1)["workers"])


def _check_resources(run: Run, client: Any, workers: Collection[Any], *, own: bool) -> None:
    """Say so when a task would wait in silence for what no worker has."""
    place = client.scheduler.address
    for task in run.order:
        if task.resources and not any(_has(worker, task) for worker in workers):
            asked = dict(task.resources)
            sentence = f"no worker at {place} has {asked} for task {run.flow.node(task).slug!r}"
            if own:
                raise FlowError(sentence, hint=f"write Dask(resources={asked})")
            logger.warning("%s: it waits for one", sentence)


def _has(worker: Mapping[str, Any], task: Task) -> bool:
    return all(worker["resources"].get(name, 0) >= amount for name, amount in task.resources.items())
