"""Serves a model's predictions to other processes: over HTTP, on a port or a unix socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import UsageError

if TYPE_CHECKING:
    import socket as sockets

    from fastapi import FastAPI
    from numpy.typing import NDArray

__all__ = ["Served", "make_app", "serve"]

BODY_LIMIT = 64 * 2**20


@dataclass(frozen=True)
class Served:
    """A model to serve.

    Args:
        predict: Takes a batch (n, ...) of `dtype` and returns n outputs; called by one thread at a time. A DioptraError
            that it raises is passed on to the client; of any other the client learns the type only.
        sample_shape: Shape of one sample; -1 in it is any length; None is any shape.
        dtype: What `predict` takes: numbers or true and false.
        snapshot: What `GET /snapshot` answers.
    """

    predict: Callable[[NDArray[Any]], Any]
    sample_shape: tuple[int, ...] | None
    snapshot: Mapping[str, Any]
    dtype: str = "float32"

    @property
    def shape_words(self) -> str:
        """The shape of a sample, for people."""
        return "of any kind" if self.sample_shape is None else str(self.sample_shape).replace("-1", "any")


def make_app(
    served: Served,
    *,
    max_batch: int = 64,
    max_wait: float = 0.002,
    queue_limit: int = 256,
    token: str = "",
    body_limit: int = BODY_LIMIT,
    any_host: bool = False,
) -> FastAPI:
    """Return the inference server as an ASGI application.

    `POST /predict` takes JSON `{"inputs": [...]}` (up to 16 MB) or `application/x-npz` with an array `inputs`, and
    answers in kind, or as Accept says. `GET /snapshot` says what is served, `GET /healthz` that it runs. `/docs` is
    one page that loads nothing from anywhere; `/openapi.json` says the same to programs.

    Args:
        served: The model.
        max_batch: Samples in a batch, at most.
        max_wait: Seconds that a request waits for others, at most; one that nobody else asks beside never waits.
        queue_limit: Samples that may wait; more are refused with 503.
        token: What a client must send as `Authorization: Bearer`; without one, the Host header must name this machine.
        body_limit: Bytes of a request, and of the array in it.
        any_host: Take any Host header, because no web page can reach where the server listens.

    Raises:
        UsageError: An argument makes no sense.
    """
    from pydantic import ValidationError

    from dioptra.learning._app import Limits, build
    from dioptra.learning._door import check_token

    check_token(token)
    _check_dtype(served.dtype)
    try:
        limits = Limits(max_batch=max_batch, max_wait=max_wait, queue_limit=queue_limit, body_limit=body_limit)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][0]} is {first['input']!r}", hint=first["msg"]) from None
    return build(served, limits, token, any_host=any_host)


def _check_dtype(dtype: str) -> None:
    import numpy as np

    try:
        is_number = np.dtype(dtype).kind in ("f", "i", "u", "b", "c")
    except TypeError:
        is_number = False
    if not is_number:
        raise UsageError(f"{dtype!r} is not a dtype that can be served", hint="float32, int64 and bool are")


def serve(
    served: Served,
    *,
    on_ready: Callable[[str], object],
    host: str = "127.0.0.1",
    port: int = 0,
    socket: Path | None = None,
    token: str = "",
    max_batch: int = 64,
    max_wait: float = 0.002,
    queue_limit: int = 256,
    body_limit: int = BODY_LIMIT,
) -> None:
    """Serve a model in this thread until SIGINT, SIGTERM or SIGHUP; requests in flight are answered before it returns.

    Args:
        served: The model.
        on_ready: Called with the address, such as `http://127.0.0.1:8000` or `unix:/run/model.sock`, once it answers.
        host: The interface; one that other machines can reach is refused without a token.
        port: The port; 0 is any free one.
        socket: A unix socket instead, which only its owner can open.
        token: What clients must send; see `make_app`, also for the rest.

    Raises:
        UsageError: The address makes no sense, or there is no token for it.
        RefusedError: The port or socket is in use.
    """
    with _listen(host, port, socket, token) as (listener, address):
        limits: dict[str, Any] = {"max_batch": max_batch, "max_wait": max_wait, "queue_limit": queue_limit}
        app = make_app(served, token=token, body_limit=body_limit, any_host=socket is not None, **limits)
        from dioptra.learning._running import run

        run(app, listener, lambda: on_ready(address))


def _listen(host: str, port: int, path: Path | None, token: str) -> AbstractContextManager[tuple[sockets.socket, str]]:
    from dioptra.learning._sockets import listen_on_file, listen_on_port

    return listen_on_file(path) if path else listen_on_port(host, port, is_guarded=bool(token))
