"""The Dask cluster that a run uses: one of its own, one at an address, or that of a client."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from tempfile import mkdtemp
from typing import Any

from dioptra.errors import DaskDependencyError, RefusedError, StoreUnreachableError

__all__ = ["check_address", "connected", "distributed", "own_cluster"]

_SAFE = ("tls", "wss", "inproc")
_ON_LOOPBACK: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False}


def distributed() -> Any:
    """Return Dask's package `distributed`.

    Raises:
        DaskDependencyError: It is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise DaskDependencyError(
            "a Dask cluster needs the package distributed", hint="pip install 'dioptra-testbed[dask]'"
        ) from error
    return distributed


def check_address(address: str, *, insecure: bool) -> None:
    """Refuse an address where others could listen, or send code to run, unless it was said that this is known.

    Raises:
        RefusedError: It is neither of this machine nor encrypted, and nobody has said that this is meant.
    """
    scheme, _, place = address.partition("://")
    if insecure or scheme in _SAFE or _is_loopback(place):
        return
    raise RefusedError(
        f"the Dask cluster at {address!r} is on a network and not encrypted: who reaches it can run code, and read all",
        hint=f"give it TLS (tls://...), or say that the network is your own: insecure+{address}, insecure=True",
    )


def _is_loopback(place: str) -> bool:
    host = place.rpartition(":")[0].strip("[]") if ":" in place else place
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def connected(address: str, security: Any, seconds: float) -> Iterator[Any]:
    """Give a client of the cluster at an address.

    Raises:
        StoreUnreachableError: Nobody answers there.
    """
    try:
        client = distributed().Client(address, security=security, timeout=seconds, set_as_default=False)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise StoreUnreachableError(
            f"no Dask scheduler answers at {address!r} ({reason})", hint="start one there: dask scheduler"
        ) from error
    with client:
        yield client


@contextmanager
def own_cluster(workers: int, resources: Mapping[str, float]) -> Iterator[Any]:
    """Start a cluster for a while, on this machine and for nobody else, and give a client of it.

    Its processes are started anew instead of being forked or spawned from this one: then a script needs no
    `if __name__ == "__main__"`, and threads that run here do not matter. They end with this process, however it ends.
    """
    dask = distributed()
    from dioptra.executors._with_parent import EndWithParent, EndWithScript

    scratch = mkdtemp(prefix="dioptra-dask-")
    try:
        with (
            _quiet(),
            dask.SpecCluster(
                scheduler={"cls": dask.Scheduler, "options": _ON_LOOPBACK | {"dashboard_address": "127.0.0.1:0"}},
                workers=dict.fromkeys(range(workers), _worker(workers, resources, scratch)),
                silence_logs=logging.ERROR,
            ) as cluster,
            dask.Client(cluster, set_as_default=False) as client,
        ):
            client.wait_for_workers(workers)
            client.register_plugin(EndWithScript())
            client.register_plugin(EndWithParent())
            yield client
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _worker(workers: int, resources: Mapping[str, float], scratch: str) -> dict[str, Any]:
    """Say how a worker is started, with its share of the memory."""
    from distributed.deploy.subprocess import SubprocessWorker

    more = {"nthreads": 1, "resources": dict(resources), "local_directory": scratch, "memory_limit": 1 / workers}
    return {
        "cls": SubprocessWorker,
        "options": {"worker_kwargs": _ON_LOOPBACK | more | {"silence_logs": logging.ERROR}},
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask tells about its own doings out of the script's log."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
