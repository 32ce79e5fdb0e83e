"""The inference server as a process: its sockets, many clients, clients that behave badly, signals."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dioptra.learning._client import PredictClient
from tests.integration.inference import (
    HEAD,
    JSON,
    Answer,
    Server,
    Start,
    eventually,
    post,
    speak,
    waiting,
)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"host": "0.0.0.0"}, 2, "'0.0.0.0' can be reached from other machines, and there is no token"),  # noqa: S104
        ({"host": "::"}, 2, "there is no token; give a token, or listen on 127.0.0.1"),
        ({"host": ""}, 2, "there is no host ''"),
        ({"host": "no.such.host.invalid"}, 2, "there is no host 'no.such.host.invalid'"),
        ({"port": 70_000}, 2, "port 70000 is not a port"),
        ({"token": "two words"}, 2, "the token holds a space"),
        ({"max_batch": 0}, 2, "max_batch is 0"),
        ({"max_wait": -1}, 2, "max_wait is -1"),
        ({"dtype": "object"}, 2, "'object' is not a dtype that can be served"),
        ({"socket": "/nowhere/at/all.sock"}, 2, "cannot listen on /nowhere/at/all.sock: No such file or directory"),
        ({"socket": "/tmp/" + "x" * 120}, 2, "AF_UNIX path too long"),  # noqa: S108
    ],
    ids=str,
)
def test_what_cannot_be_served_is_one_sentence(start: Start, options: dict[str, Any], code: int, words: str) -> None:
    server = start(**options)

    assert server.process.wait(30) == code
    assert words in server.errors()
    assert server.errors().count("\n") == 1


def test_a_port_in_use_is_one_sentence(start: Start, shared: Server) -> None:
    server = start(port=shared.port)

    assert server.process.wait(30) == 4
    assert server.errors() == (f"port {shared.port} of 127.0.0.1 is in use; give another port, or 0 for any free one\n")


def test_ipv6_is_served_by_its_own_name(start: Start) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = start(host="::1")

    assert server.address == f"http://[::1]:{server.port}"
    with PredictClient(server.address) as client:
        assert client.predict([[1.0, 2, 3, 4]]).tolist() == [[10, 1]]


def test_a_unix_socket_is_its_owners_only_and_goes_with_the_server(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "model.sock"
    server = start(socket=str(path))

    assert server.address == f"unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o600
    with PredictClient(server.address) as client:
        assert client.healthy()
        assert client.predict([[1.0, 2, 3, 4]]).tolist() == [[10, 1]]
    server.stop()
    assert not path.exists()


def test_a_socket_of_a_dead_server_is_replaced_and_one_of_a_live_server_is_not(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "model.sock"
    dead = start("dead", socket=str(path))
    dead.stop(signal.SIGKILL)
    assert path.exists()

    live = start("live", socket=str(path))
    late = start("late", socket=str(path))

    assert late.process.wait(30) == 4
    assert f"a server listens on {path}; stop it, or give another path" in late.errors()
    with PredictClient(live.address) as client:
        assert client.healthy()
    live.stop()
    assert not path.exists()


def test_of_many_servers_that_start_at_once_one_gets_the_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "model.sock"
    start("dead", socket=str(path)).stop(signal.SIGKILL)
    with ThreadPoolExecutor(4) as pool:
        servers = list(pool.map(lambda number: start(f"server{number}", socket=str(path)), range(4)))

    assert len([each for each in servers if each.address]) == 1
    with PredictClient(f"unix:{path}") as client:
        assert client.healthy()


def test_a_file_that_is_no_socket_is_left_alone(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("keep me")
    server = start(socket=str(file))

    assert server.process.wait(30) == 4
    assert file.read_text() == "keep me"


def test_clients_at_once_share_batches_and_get_their_own_answers(shared: Server) -> None:
    shares: list[float] = []

    def client(number: int) -> None:
        with PredictClient(shared.address) as connection:
            for turn in range(20):
                value = number * 100.0 + turn
                outputs = connection.predict(np.full((1 + turn % 3, 4), value))
                assert outputs[:, 0].tolist() == [value * 4] * (1 + turn % 3)
                shares.append(outputs[0, 1] / len(outputs))

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(client, range(24)))

    assert len(shares) == 480
    assert sum(share > 1 for share in shares) > 240


def test_a_lone_client_waits_for_nobody(shared: Server) -> None:
    body = json.dumps({"inputs": [[1, 2, 3, 4]]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", shared.port)
    took = []
    for _ in range(30):
        started = time.perf_counter()
        connection.request("POST", "/predict", body, {"Content-Type": JSON})
        connection.getresponse().read()
        took.append(time.perf_counter() - started)
    connection.close()

    assert sorted(took)[15] < 0.03  # what TCP waits for when small answers are not sent at once is 0.04


def test_a_bad_request_does_not_fail_its_neighbours(start: Start) -> None:
    server = start(max_wait=0.3)

    def one(value: float) -> int:
        return post(server, {"inputs": [[value, 0, 0, 0]]}).status

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(one, 99)  # the others come while the model is busy with it
        assert eventually(lambda: server.seen() == [99])
        statuses = list(pool.map(one, [1, 2, -1, 3, 4]))

    assert first.result() == 200
    assert statuses == [200, 200, 500, 200, 200]
    assert server.seen().count(1) == 2  # once with its neighbours, once alone


def test_a_full_line_is_503_and_says_when_to_try_again(start: Start) -> None:
    server = start(queue_limit=3)

    def one(value: float) -> Answer:
        return post(server, {"inputs": [[value, 0, 0, 0]]})

    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(one, 99)
        assert eventually(lambda: server.seen() == [99])
        answers = list(pool.map(one, range(10)))
        assert first.result().status == 200

    refused = [answer for answer in answers if answer.status == 503]
    assert len(refused) == 7
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert "3 samples wait already, and at most 3 may" in refused[0].error
    assert one(5).status == 200


def test_what_a_client_asked_that_has_gone_is_not_predicted(start: Start) -> None:
    server = start()
    request = HEAD + b"Content-Length: 28\r\n\r\n"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, server, {"inputs": [[99, 0, 0, 0]]})
        assert eventually(lambda: server.seen() == [99])
        gone = [speak(server, request + b'{"inputs": [[666, 0, 0, 0]]}') for _ in range(5)]
        assert eventually(lambda: waiting(server) == 5, 0.8)
        for connection in gone:
            connection.close()
        assert eventually(lambda: waiting(server) == 0, 0.8)
        assert first.result().status == 200

    assert post(server, {"inputs": [[1, 0, 0, 0]]}).status == 200
    assert server.seen() == [99, 1]
    assert "Traceback" not in server.errors()


def test_a_client_that_is_killed_harms_nobody(start: Start) -> None:
    server = start()
    code = "import sys; from dioptra.learning._client import PredictClient as C; c = C(sys.argv[1])\n"
    code += "while True: c.predict([[1.0, 2, 3, 4]] * 40)"
    clients = [subprocess.Popen([sys.executable, "-c", code, server.address]) for _ in range(2)]
    assert eventually(lambda: len(server.seen()) > 500, 30)
    for client in clients:
        client.kill()
        client.wait()

    assert eventually(lambda: waiting(server) == 0)
    assert post(server, {"inputs": [[1, 2, 3, 4]]}).json == {"outputs": [[10, 1]]}
    assert "Traceback" not in server.errors()


def test_clients_that_send_slowly_hold_up_nobody(shared: Server) -> None:
    head = HEAD + b"Content-Length: 900\r\n\r\n"
    slow = [
        speak(shared, text) for text in (b"", b"POST /pre", head[:-2], head, head + b'{"inputs": [') for _ in range(20)
    ]
    started = time.perf_counter()
    for _ in range(20):
        assert post(shared, {"inputs": [[1, 2, 3, 4]]}).status == 200
    took = time.perf_counter() - started
    for connection in slow:
        connection.close()

    assert took < 5


def test_a_body_that_does_not_come_is_408(start: Start) -> None:
    server = start(constants={"_app.BODY_SECONDS": 0.3})
    with speak(server, HEAD + b"Content-Length: 900\r\n\r\n{") as connection:
        answer = b""
        while b"seconds" not in answer:
            answer += connection.recv(1000)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the body did not arrive within 0.3 seconds" in answer


def test_a_connection_that_asks_nothing_is_closed_and_one_that_waits_is_not(start: Start) -> None:
    server = start(constants={"_running.IDLE_SECONDS": 0.5})
    idle = [speak(server, text) for text in (b"", b"POST /pre", HEAD)]
    body = b'{"inputs": [[99, 0, 0, 0], [99, 0, 0, 0], [1, 1, 1, 1]]}' + b" " * 70
    waits = speak(server, HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    for connection in (*idle, waits):
        connection.settimeout(5)
    assert [connection.recv(100) for connection in idle] == [b"", b"", b""]
    assert waits.recv(100).startswith(b"HTTP/1.1 200")
    for connection in (*idle, waits):
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_when_requests_in_flight_are_answered(start: Start, number: int) -> None:
    server = start()
    slow = speak(server, b"GET /heal")  # is not waited for
    with ThreadPoolExecutor(6) as pool, PredictClient(server.address) as idle:
        assert idle.healthy()
        busy = pool.submit(post, server, {"inputs": [[99, 1, 0, 0]]})
        assert eventually(lambda: server.seen() == [99])
        queued = [pool.submit(post, server, {"inputs": [[value, 0, 0, 0]]}) for value in range(4)]
        assert eventually(lambda: waiting(server) == 4, 0.8)
        started = time.perf_counter()
        out = server.stop(number)

        assert busy.result().json["outputs"][0][0] == 100
        assert [each.result().json["outputs"][0][0] for each in queued] == [0, 1, 2, 3]
        assert not idle.healthy()
    slow.close()
    assert server.process.returncode == 0
    assert out == "ended\n"
    assert time.perf_counter() - started < 10
    assert server.errors() == ""


def test_a_second_interrupt_ends_it_at_once(start: Start) -> None:
    server = start()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(post, server, {"inputs": [[99, 0, 0, 0]] * 640})  # ten seconds
        assert eventually(lambda: bool(server.seen()))
        started = time.perf_counter()
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        server.stop(signal.SIGINT)

        assert time.perf_counter() - started < 5
        with suppress(OSError, http.client.HTTPException):  # or it is cut off before it can be told
            assert "the server is stopping" in busy.result().error
    assert server.process.returncode == 0
