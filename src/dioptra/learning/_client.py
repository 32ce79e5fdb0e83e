"""Asks an inference server for predictions."""

from __future__ import annotations

import json
import select
import socket
import threading
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dioptra.errors import DioptraError, StoreUnreachableError, UsageError
from dioptra.learning._door import check_token
from dioptra.learning._wire import NPZ, failure, read_npz, write_npz

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["PredictClient"]

ANSWER_LIMIT = 2**30  # bytes of an array of outputs
FORMS = "write http://HOST:PORT, https://HOST or unix:/PATH"


class PredictClient:
    """A connection to an inference server, kept open between calls; threads that share it take turns.

    Raises:
        UsageError: The address or the token cannot be read.
    """

    def __init__(self, address: str, *, token: str = "", timeout: float = 30.0) -> None:
        """Say where the server is; nothing is sent yet.

        Args:
            address: What the server printed: `http://127.0.0.1:8000` or `unix:/run/model.sock`; `https://` for one
                behind a proxy.
            token: The server's token, if it has one.
            timeout: Seconds to wait for the server at each step.
        """
        check_token(token)
        self.address = address
        self._timeout = timeout
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._lock = threading.Lock()
        self._is_unix = address.startswith("unix:")
        self._prefix = ""
        self._connection = self._make_connection(address)

    def predict(self, samples: ArrayLike) -> NDArray[Any]:
        """Return one output for each sample.

        Args:
            samples: (n, ...) in the shape and dtype that the model takes.

        Raises:
            DioptraError: What the server says is wrong, in its words, with its code.
            UsageError: The samples are no array of numbers, or true and false.
            StoreUnreachableError: The server cannot be reached, or did not answer in time.
        """
        import numpy as np

        try:
            array = np.asarray(samples)
        except ValueError as error:
            raise UsageError("the samples differ in shape", hint="all need one shape and numbers only") from error
        if array.dtype.hasobject:
            raise UsageError(f"the samples are of dtype {array.dtype}", hint="all need one shape and numbers only")
        headers = {"Content-Type": NPZ, "Accept": NPZ}
        return read_npz(self._ask("POST", "/predict", write_npz("inputs", array), headers), "outputs", ANSWER_LIMIT)

    def healthy(self) -> bool:
        """Tell whether the server can be reached and runs."""
        try:
            return bool(json.loads(self._ask("GET", "/healthz"))["status"] == "ok")
        except (DioptraError, ValueError, LookupError, TypeError):
            return False

    def snapshot(self) -> dict[str, Any]:
        """Return what the server says of the snapshot that it serves."""
        content = json.loads(self._ask("GET", "/snapshot"))
        return dict(content)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> PredictClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_connection(self, address: str) -> HTTPConnection:
        if self._is_unix:
            return HTTPConnection("localhost", timeout=self._timeout)
        try:
            parts = urlsplit(address)
            host, port, user = parts.hostname, parts.port, parts.username
        except ValueError:
            host = port = user = None
        if not host or user or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise UsageError(f"{address!r} is not the address of a server", hint=FORMS)
        self._prefix = parts.path.rstrip("/")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(host, port, timeout=self._timeout)

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        with self._lock:
            self._connect()
            try:
                self._connection.request(method, self._prefix + path, body, self._headers | (headers or {}))
                answer = self._connection.getresponse()
                content = answer.read()
            except TimeoutError:
                raise self._unreachable(f"it did not answer within {self._timeout:g} seconds") from None
            except (OSError, HTTPException) as error:
                raise self._unreachable(f"the connection ended before the answer ({type(error).__name__})") from None
            if answer.status != 200:
                raise _error(answer.status, content)
            return content

    def _connect(self) -> None:
        """Open the connection, again when the server has closed it meanwhile: nothing has been sent on it then."""
        if self._connection.sock is not None and _has_ended(self._connection.sock):
            self._connection.close()
        if self._connection.sock is not None:
            return
        try:
            if self._is_unix:
                self._connection.sock = _connect_to_file(Path(self.address.removeprefix("unix:")), self._timeout)
            else:
                self._connection.connect()
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from None

    def _unreachable(self, reason: str) -> StoreUnreachableError:
        self._connection.close()
        return StoreUnreachableError(f"the inference server at {self.address} cannot be reached: {reason}")


def _has_ended(connection: socket.socket) -> bool:
    """Tell whether the other end has closed a connection on which nothing is to come."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _connect_to_file(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _error(status: int, content: bytes) -> DioptraError:
    """Return the error that the server tells of, or say what came instead."""
    try:
        told = json.loads(content)["error"]
        words = {name: str(told[name]) for name in ("code", "message", "where", "hint")}
    except (ValueError, LookupError, TypeError):
        return failure(status, "error", f"the server answered with status {status} and no reason")
    return failure(status, words["code"], words["message"], where=words["where"], hint=words["hint"])
