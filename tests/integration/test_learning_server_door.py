"""Who may speak to the inference server: hosts, web pages, tokens."""

from __future__ import annotations

import pytest

from dioptra.errors import DioptraError
from dioptra.learning._client import PredictClient
from dioptra.learning._serve import Served, make_app
from tests.integration.inference import JSON, TOKEN, Server, ask, eventually, speak


@pytest.mark.parametrize(
    ("host", "is_let_in"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1", True),
        ("127.0.0.1:8000", True),
        ("127.8.9.1", True),
        ("[::1]", True),
        ("[::1]:8000", True),
        ("evil.example", False),
        ("evil.example:80", False),
        ("127.0.0.1.nip.io", False),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),  # noqa: S104
        ("[::]", False),
        ("192.168.1.1", False),
        ("localhost:80:80", False),
        ("localhost@evil.example", False),
        ("::1", False),
        ("", False),
    ],
)
def test_without_a_token_only_names_of_this_machine_are_answered(shared: Server, host: str, is_let_in: bool) -> None:
    for path, method in (("/healthz", "GET"), ("/snapshot", "GET"), ("/docs", "GET"), ("/predict", "POST")):
        answer = ask(shared, path, b'{"inputs": [[1, 2, 3, 4]]}', method, Host=host, Content_Type=JSON)
        assert answer.status == (200 if is_let_in else 403), path
        assert is_let_in or "use localhost, 127.0.0.1 or [::1]" in answer.error


@pytest.mark.parametrize(
    "lines", ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: evil.example\r\nHost: localhost\r\n"]
)
@pytest.mark.parametrize("http_version", ["1.0", "1.1"])
def test_no_host_and_two_hosts_are_refused(shared: Server, lines: str, http_version: str) -> None:
    with speak(shared, f"GET /snapshot HTTP/{http_version}\r\n{lines}\r\n".encode()) as connection:
        assert connection.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({}, True),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "http://localhost:3000"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_other_web_pages_may_not_post(shared: Server, headers: dict[str, str], is_let_in: bool) -> None:
    for method in ("POST", "PUT", "DELETE", "PROPFIND"):
        answer = ask(
            shared, body=b'{"inputs": [[1, 2, 3, 4]]}', method=method, Host="localhost", Content_Type=JSON, **headers
        )
        allowed = 200 if method == "POST" else 405
        assert answer.status == (allowed if is_let_in else 403), method
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_preflight_from_another_page_is_told_nothing(shared: Server) -> None:
    answer = ask(shared, method="OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="POST")

    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_each_route_wants_the_token_except_those_that_are_listed(guarded: Server) -> None:
    app = make_app(Served(lambda batch: batch, (4,), {}))
    routes = [(route.path, method) for route in app.routes for method in route.methods]  # type: ignore[attr-defined]
    assert {path for path, _ in routes} == {"/predict", "/snapshot", "/healthz", "/docs", "/openapi.json"}

    for path, method in [*routes, ("/nothing", "GET"), ("/predict/", "POST"), ("//healthz", "GET")]:
        answer = ask(guarded, path, method=method)
        is_open = path in ("/docs", "/healthz", "/openapi.json")
        assert (answer.status == 401) != is_open, path
        assert is_open or "this server wants a token" in answer.error
        assert is_open or answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer \xe9", 401),
    ],
)
def test_the_token_must_be_the_one(guarded: Server, value: str, status: int) -> None:
    assert ask(guarded, "/snapshot", method="GET", Authorization=value, Host="model.example").status == status


def test_two_tokens_are_none(guarded: Server) -> None:
    line = f"Authorization: Bearer {TOKEN}\r\n"
    with speak(guarded, f"GET /snapshot HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n".encode()) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


def test_the_token_is_never_logged(guarded: Server) -> None:
    with PredictClient(f"http://127.0.0.1:{guarded.port}", token=TOKEN) as client:
        with pytest.raises(DioptraError, match="the model failed"):
            client.predict([[-1.0, 0, 0, 0]])
        assert TOKEN not in repr(client)
    speak(guarded, f"BAD\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()).close()

    assert eventually(lambda: "Invalid HTTP request" in guarded.errors())
    assert "inner words" in guarded.errors()
    assert TOKEN not in guarded.errors()
