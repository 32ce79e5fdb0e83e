"""A server between a client and the real S3 server: it counts requests, and lets go wrong what a test wants."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Fault:
    """What happens to one answer."""

    status: int = 0  # in place of the answer
    body: bytes = b""  # with that status
    cut_after: int | None = None  # bytes of the body, after which the connection ends
    shortened_by: int = 0  # bytes that are left out without a word
    bytes_a_second: int = 0  # 0: as fast as it goes
    silent: float = 0  # seconds without a byte


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str

    @property
    def is_listing(self) -> bool:
        """Whether it asks for the names in a bucket."""
        return "list-type=2" in self.path


@dataclass
class Proxy:
    """What came by, and what to do about it."""

    url: str
    fault: Callable[[Asked], Fault | None] = lambda asked: None
    asked: list[Asked] = field(default_factory=list)

    @property
    def listings(self) -> int:
        """How often names were asked for."""
        return sum(each.is_listing for each in self.asked)


def first(count: int, fault: Fault, method: str = "") -> Callable[[Asked], Fault | None]:
    """Let the first requests go wrong."""
    left = iter(range(count))
    lock = threading.Lock()

    def chosen(asked: Asked) -> Fault | None:
        with lock:
            return fault if method in ("", asked.method) and next(left, None) is not None else None

    return chosen


@contextmanager
def proxy(target: str, certificate: tuple[str, str] | None = None) -> Iterator[Proxy]:
    """Run a proxy for the server at an address, by TLS if there is a certificate with its key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            asked = Asked(self.command, self.path)
            between.asked.append(asked)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = between.fault(asked) or Fault()
            if fault.status:
                self._answer(fault.status, [], fault.body, fault)
                return
            server = http.client.HTTPConnection(urlsplit(target).netloc, timeout=30)
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                server.putheader(name, value)
            server.endheaders(body)
            answer = server.getresponse()
            content = answer.read()
            server.close()
            self._answer(answer.status, answer.getheaders(), content, fault)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815  # as the base class calls them

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, fault: Fault) -> None:
            length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
            if self.command != "HEAD":
                content = content[: len(content) - fault.shortened_by]
                length = str(len(content))
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            time.sleep(fault.silent)
            self.end_headers()
            if self.command != "HEAD":
                self._write(content, fault)

        def _write(self, content: bytes, fault: Fault) -> None:
            step = max(fault.bytes_a_second // 10, 1) if fault.bytes_a_second else len(content) or 1
            end = len(content) if fault.cut_after is None else min(fault.cut_after, len(content))
            for start in range(0, end, step):
                self.wfile.write(content[start : min(start + step, end)])
                self.wfile.flush()
                if fault.bytes_a_second:
                    time.sleep(0.1)
            if fault.cut_after is not None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            return  # a client that went away

    with Server(("127.0.0.1", 0), Handler) as listening:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
        scheme = "https" if certificate else "http"
        between = Proxy(f"{scheme}://127.0.0.1:{listening.server_port}")
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield between
        finally:
            listening.shutdown()
