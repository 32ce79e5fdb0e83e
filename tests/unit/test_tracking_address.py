"""Addresses of tracking stores."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dioptra.errors import StoreUnreachableError
from dioptra.tracking._address import absolute, check_answers, is_server, without_secrets


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", ""),
        ("sqlite:///a/b.db", "sqlite:///{here}/a/b.db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("mlruns", "{here}/mlruns"),
        ("file:mlruns", "file://{here}/mlruns"),
        ("file:///a", "file:///a"),
        ("http://h:1/x", "http://h:1/x"),
        ("postgresql://h/x", "postgresql://h/x"),
    ],
)
def test_an_address_means_the_same_in_another_folder(in_folder: Path, uri: str, expected: str) -> None:
    assert absolute(uri) == expected.format(here=in_folder)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://user:s3cret@host/db", "postgresql://host/db"),
        ("postgresql://host/db?user=u&password=s3cret", "postgresql://host/db"),
        ("https://tok%21en@host:5000/x", "https://host:5000/x"),
        ("postgresql://u:s3cret@host/db", "postgresql://host/db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_what_an_address_must_not_show(uri: str, shown: str) -> None:
    assert without_secrets(uri, uri) == shown
    said = without_secrets(f"cannot log in to {uri} with s3cret or tok!en", uri)
    assert "s3cret" not in said or "s3cret" not in uri
    assert "tok!en" not in said or "tok" not in uri


def test_a_short_name_does_not_garble_a_sentence() -> None:
    assert without_secrets("Connection refused", "postgresql://u:sekret@h/db") == "Connection refused"


@pytest.mark.parametrize(("uri", "server"), [("http://h", True), ("https://h", True), ("sqlite:////a", False)])
def test_behind_which_address_a_server_stands(uri: str, server: bool) -> None:
    assert is_server(uri) is server


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://user:s3cret@127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("status", [200, 302, 401, 404])
def test_a_server_that_answers_is_there(status: int) -> None:
    with answering(status) as uri:
        check_answers(uri)


def test_a_server_that_fails_is_said() -> None:
    with answering(500) as uri, pytest.raises(StoreUnreachableError, match="it answers 500") as caught:
        check_answers(uri)

    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_silent_is_said_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        with pytest.raises(StoreUnreachableError, match="timed out"):
            check_answers(f"http://127.0.0.1:{server.getsockname()[1]}")

    assert time.monotonic() - started < 8


@pytest.mark.parametrize("uri", ["http://127.0.0.1:port", "http://[::1", "postgresql://h:port/x"])
def test_an_address_that_is_none(uri: str) -> None:
    with pytest.raises(StoreUnreachableError, match="cannot be reached"):
        check_answers(uri)
