"""The Dask cluster that a run uses: one of its own, one at an address, or that of a client."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

from dioptra.errors import DaskDependencyError, FlowError, RefusedError, StoreUnreachableError

__all__ = ["address_of", "check_address", "check_workers", "connected", "distributed", "is_client", "own_cluster"]

_SAFE = ("tls", "wss", "inproc")
_SCRATCH = "dioptra-dask-"
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


def is_client(cluster: Any) -> bool:
    """Tell whether something is a `distributed.Client`."""
    return isinstance(cluster, distributed().Client)


def address_of(cluster: Any) -> str:
    """Return the address of a cluster, which is its address, a client of it, or an object that looks after it.

    Raises:
        FlowError: It is none of these, it is closed, or its answers would have to be awaited.
    """
    if isinstance(cluster, str):
        return cluster
    place = cluster.scheduler if is_client(cluster) else cluster
    address = getattr(place, "address" if is_client(cluster) else "scheduler_address", None)
    if _is_asynchronous(cluster):
        raise FlowError(
            "an asynchronous client or cluster of Dask would wait for a flow that waits for it",
            hint="make it without asynchronous=True, or give its address",
        )
    is_closed = is_client(cluster) and getattr(cluster, "status", "") in ("closing", "closed")
    if isinstance(address, str) and "://" in address and not is_closed:
        return address
    if is_client(cluster) or isinstance(address, str):
        raise FlowError(f"{cluster!r:.100} is not connected to a Dask cluster", hint="give one that is open")
    raise FlowError(f"{cluster!r:.100} is no Dask cluster", hint="give an address, or a distributed.Client")


def _is_asynchronous(cluster: Any) -> bool:
    name = "_asynchronous" if is_client(cluster) else "asynchronous"
    return getattr(cluster, name, False) is True


def check_address(address: str, *, insecure: bool) -> None:
    """Refuse an address where others could listen, or send code to run, unless it was said that this is known.

    Raises:
        FlowError: It is no address of a Dask cluster.
        RefusedError: It is neither of this machine nor encrypted, and nobody has said that this is meant.
    """
    scheme, _, place = address.partition("://")
    if not place or not _has_scheme(scheme):
        raise FlowError(
            f"{address!r} is no address of a Dask cluster",
            hint="write it like tcp://127.0.0.1:8786, or tls://host:8786",
        )
    if insecure or _is_safe(address):
        return
    raise RefusedError(
        f"the Dask cluster at {address!r} is on a network and not encrypted: who reaches it can run code, and read all",
        hint=f"give it TLS (tls://...), or say that the network is your own: insecure+{address}, insecure=True",
    )


def check_workers(address: str, workers: Iterable[str]) -> None:
    """Refuse workers elsewhere without TLS: with them a scheduler is open to a network, however it is reached here.

    Raises:
        RefusedError: One of them is elsewhere, and not encrypted.
    """
    for worker in workers:
        if not _is_safe(worker):
            raise RefusedError(
                f"the Dask cluster at {address!r} has a worker at {worker!r}, on a network and not encrypted: "
                "who reaches it can run code, and read all",
                hint=f"give it TLS (tls://...), or say that the network is your own: insecure+{address}, insecure=True",
            )


def _has_scheme(scheme: str) -> bool:
    from distributed.comm.registry import get_backend

    try:
        get_backend(scheme)
    except ValueError:
        return False
    return True


def _is_safe(address: str) -> bool:
    scheme, _, place = address.partition("://")
    return scheme in _SAFE or _is_loopback(place)


def _is_loopback(place: str) -> bool:
    host = place.rpartition(":")[0].strip("[]") if ":" in place else place
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def connected(cluster: Any, security: Any, seconds: float) -> Iterator[Any]:
    """Give a client of a cluster: of the one at an address, or of the one that an object looks after.

    Raises:
        StoreUnreachableError: Nobody answers there, or something that is no scheduler.
    """
    try:
        client = distributed().Client(cluster, security=security, timeout=seconds, set_as_default=False)
    except Exception as error:  # of any kind: what listens there may be anything
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise StoreUnreachableError(
            f"no Dask scheduler answers at {address_of(cluster)!r} ({reason})", hint="start one there: dask scheduler"
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

    _remove_leftovers()
    scratch = mkdtemp(prefix=f"{_scratch_of_this_machine()}{os.getpid()}-")
    options = _ON_LOOPBACK | {"dashboard_address": "127.0.0.1:0", "local_directory": scratch}
    try:
        with (
            _quiet(),
            dask.SpecCluster(
                scheduler={"cls": dask.Scheduler, "options": options},
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


def _scratch_of_this_machine() -> str:
    """Return how folders for scratch begin: process ids mean nothing on other machines, or in other containers."""
    return f"{_SCRATCH}{socket.gethostname()}-"


def _remove_leftovers() -> None:
    """Remove what processes of this user have left behind that were killed."""
    begin = _scratch_of_this_machine()
    for folder in Path(gettempdir()).glob(f"{_SCRATCH}*"):
        process = folder.name.removeprefix(begin).partition("-")[0]
        if folder.name.startswith(begin) and process.isdecimal() and _is_ours(folder) and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.lstat().st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
    except OSError:
        return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


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
