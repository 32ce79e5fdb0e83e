"""Runs an application with uvicorn until a signal, in our manner; imported when a server starts."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["run"]

GRACE_SECONDS = 30  # for requests in flight
IDLE_SECONDS = 30.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Protocol(H11Protocol):
    """Closes a connection on which nothing has been asked for a while, also when a request has been half sent."""

    _idle_since: object = ...

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._ticker = self.loop.call_later(IDLE_SECONDS, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ticker.cancel()
        super().connection_lost(exc)

    def _tick(self) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self._idle_since is self.cycle:
            self.transport.close()
            return
        self._idle_since = self.cycle if is_idle else ...
        self._ticker = self.loop.call_later(IDLE_SECONDS, self._tick)


class _Server(uvicorn.Server):
    """Tells when it is ready, and returns after a signal instead of raising it once more."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def run(app: Any, listener: socket.socket, on_ready: Callable[[], object]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; requests in flight are answered, and a second SIGINT ends it at once."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    _Server(config, on_ready).run([listener])
