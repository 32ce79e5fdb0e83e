"""The sockets that the inference server listens on: a port of an interface, or a file that only its owner can open."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dioptra.errors import RefusedError, UsageError

__all__ = ["listen_on_file", "listen_on_port"]

BACKLOG = 1024


@contextmanager
def listen_on_port(host: str, port: int, *, is_guarded: bool) -> Iterator[tuple[socket.socket, str]]:
    """Listen, and give the socket and its address `http://host:port`; port 0 is any free one.

    Raises:
        UsageError: The host is not one of this machine, or not a loopback one and nothing guards the server.
        RefusedError: The port is in use, or not for this user.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"port {port} is not a port", hint="give 0 (any free one) to 65535")
    family, where = _resolve(host, port)
    if not is_guarded and not ipaddress.ip_address(where[0].partition("%")[0]).is_loopback:
        hint = "give a token, or listen on 127.0.0.1"
        raise UsageError(f"{host!r} can be reached from other machines, and there is no token", hint=hint)
    # asyncio sends small answers at once (TCP_NODELAY) on sockets that say they are TCP, and only on those.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(where)
            listener.listen(BACKLOG)
        except OSError as error:
            raise _explain(error, host, port) from None
        name, number = listener.getsockname()[:2]
        yield listener, f"http://[{name}]:{number}" if family == socket.AF_INET6 else f"http://{name}:{number}"


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    try:
        if not host:
            raise OSError("no name")
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UsageError(f"there is no host {host!r}", hint="give a name or an address of this machine") from None
    return found[0][0], found[0][4]


def _explain(error: OSError, host: str, port: int) -> RefusedError | UsageError:
    if error.errno == errno.EADDRINUSE:
        return RefusedError(f"port {port} of {host} is in use", hint="give another port, or 0 for any free one")
    if error.errno == errno.EACCES:
        return RefusedError(f"port {port} is not for this user", hint="give one above 1023")
    return UsageError(f"cannot listen on {host} port {port}: {error.strerror}")


@contextmanager
def listen_on_file(path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Listen on a unix socket that only its owner can open (0600), and remove it at the end.

    A socket that a dead server has left is replaced.

    Raises:
        UsageError: There is no such folder, or the path is too long for a socket.
        RefusedError: A server listens there, or it is something other than a socket.
    """
    path = path.absolute()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            with _one_at_a_time(path.parent):
                _make_way(path)
                listener.bind(str(path))
                path.chmod(0o600)  # nobody can have connected: it does not listen yet
                listener.listen(BACKLOG)
                mine = path.stat()
        except OSError as error:
            raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from None
        try:
            yield listener, f"unix:{path}"
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(mine, path.lstat()):
                    path.unlink()


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock, so that of two servers that start at once the second finds the first one's socket."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_way(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise RefusedError(f"{path} is not a socket", hint="give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(1)
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass
    raise RefusedError(f"a server listens on {path}", hint="stop it, or give another path")
