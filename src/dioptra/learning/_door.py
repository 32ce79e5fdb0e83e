"""The door of the inference server: who may speak to it, from where, and how much.

It is the outermost layer: every path is behind it, also one that is added tomorrow, except those in `OPEN`.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from dioptra.errors import DioptraError, UsageError
from dioptra.learning._wire import failure

__all__ = ["OPEN", "Door", "check_token", "error_answer", "read_body"]

OPEN = frozenset({"/docs", "/healthz", "/openapi.json"})  # without a token: they tell how to ask, and no more
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?")
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Door:
    """Lets in who has the token; without one, who calls the server by a name of this machine, and no other web page.

    A unix socket has no name that a web page could use: there, any name will do.
    """

    def __init__(self, app: App, token: str, *, any_host: bool = False) -> None:
        check_token(token)
        self._app = app
        self._token = token
        self._any_host = any_host

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        if refused := self._refuse(scope):
            status, headers, body = error_answer(refused)
            await send_with_headers({"type": "http.response.start", "status": status, "headers": headers})
            return await send({"type": "http.response.body", "body": body})
        return await self._app(scope, receive, send_with_headers)

    def _refuse(self, scope: Message) -> DioptraError | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if self._token:
            if scope["path"] not in OPEN and not self._has_token(headers):
                hint = "send the header Authorization: Bearer and the server's token"
                return failure(401, "not-allowed", "this server wants a token", hint=hint)
        elif not self._any_host and not is_loopback_name(host := _only(headers, b"host")):
            hint = "use localhost, 127.0.0.1 or [::1], or start the server with a token"
            return failure(403, "wrong-host", f"this server is not called {host[:80]!r}", hint=hint)
        if scope["method"] not in SAFE and _is_from_another_page(headers):
            return failure(403, "cross-site", "requests from other web pages are refused")
        return None

    def _has_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        scheme, _, token = _only(headers, b"authorization").partition(" ")
        is_equal = hmac.compare_digest(token.strip().encode("latin-1"), self._token.encode("latin-1"))
        return scheme.lower() == "bearer" and is_equal


def check_token(token: str) -> None:
    """Refuse a token that no header can carry."""
    if not re.fullmatch(r"[!-~]*", token):
        raise UsageError("the token holds a space or a character that is not ASCII")


def _only(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the value of a header that is given exactly once, else nothing."""
    found = [value.decode("latin-1") for key, value in headers if key == name]
    return found[0] if len(found) == 1 else ""


def is_loopback_name(host: str) -> bool:
    """Tell whether a Host header, with or without a port, names this machine by its loopback interface.

    Other names may be a web page's that points at this machine (DNS rebinding).
    """
    match = HOST.fullmatch(host)
    if not match:
        return False
    name = match[1].lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_from_another_page(headers: list[tuple[bytes, bytes]]) -> bool:
    """Tell what browsers say: programs send neither of the two headers.

    Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
    """
    names = {key for key, _ in headers}
    if b"sec-fetch-site" in names:
        return _only(headers, b"sec-fetch-site") not in ("same-origin", "none")
    if b"origin" in names:
        return urlsplit(_only(headers, b"origin")).netloc != (_only(headers, b"host") or None)
    return False


def error_answer(error: DioptraError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, headers and body that tell a client of an error, in the one shape."""
    body = json.dumps({"error": error.to_dict()}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.http_status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.http_status == 503:
        headers.append((b"retry-after", b"1"))
    return error.http_status, headers, body


async def read_body(scope: Message, receive: Receive, *, limit: int, seconds: float, hint: str = "") -> bytes | None:
    """Return a request's body; None when the client has gone.

    Raises:
        DioptraError: It is larger than the limit, announced or not (413), or took too long (408).
    """
    too_large = failure(413, "too-large", f"the body is larger than {limit} bytes", hint=hint)
    length = _only(scope["headers"], b"content-length")
    if length.isdigit() and int(length) > limit:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            while (message := await receive())["type"] == "http.request":
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    raise too_large
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise failure(408, "too-slow", f"the body did not arrive within {seconds:g} seconds") from None
    return None
