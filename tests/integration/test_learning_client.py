"""The client of the inference server."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dioptra.errors import DioptraError, StoreUnreachableError, UsageError
from dioptra.learning._client import PredictClient
from tests.integration.inference import TOKEN, Server, Start, eventually


def test_the_client_says_what_the_server_says(shared: Server) -> None:
    with PredictClient(shared.address) as client:
        with pytest.raises(DioptraError) as caught:
            client.predict(np.ones((1, 3)))
        assert str(caught.value) == "inputs: a sample has shape (3,); the model takes (4,)"
        assert (caught.value.code, caught.value.http_status, caught.value.exit_code) == ("invalid-input", 422, 7)
        assert client.snapshot() == {"id": "abc123", "loss": None}
        assert client.healthy()
        with pytest.raises(UsageError, match="dtype object"):
            client.predict(np.array([[None]]))


def test_samples_that_are_no_array_are_refused_here(shared: Server) -> None:
    with PredictClient(shared.address) as client, pytest.raises(UsageError, match="the samples differ in shape"):
        client.predict([[1.0], [1.0, 2.0]])


def test_the_client_needs_the_token(guarded: Server) -> None:
    address = f"http://127.0.0.1:{guarded.port}"
    with PredictClient(address) as client:
        assert client.healthy()
        with pytest.raises(DioptraError, match="this server wants a token") as caught:
            client.snapshot()
        assert caught.value.exit_code == 5
    with PredictClient(address, token=TOKEN) as client:
        assert client.predict([[1.0, 2, 3, 4]]).tolist() == [[10, 1]]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "unix:/nowhere.sock", "http://no.such.host.invalid"])
def test_a_server_that_is_not_there_is_said_to_be(address: str) -> None:
    client = PredictClient(address)

    assert not client.healthy()
    with pytest.raises(StoreUnreachableError, match=re.escape(f"the inference server at {address} cannot be reached")):
        client.snapshot()


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://x:abc", "http://user:word@x", "http://x?y"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a server; write http://HOST:PORT"):
        PredictClient(address)


def test_the_client_waits_no_longer_than_it_was_told(start: Start) -> None:
    server = start()
    with PredictClient(server.address, timeout=0.3) as client:
        with pytest.raises(StoreUnreachableError, match=r"it did not answer within 0\.3 seconds"):
            client.predict([[99.0, 0, 0, 0]])
        assert eventually(client.healthy)  # on a new connection


def test_the_client_keeps_its_connection_and_opens_it_again_when_it_was_closed(start: Start) -> None:
    server = start()
    with PredictClient(server.address) as client:
        assert client.predict([[1.0, 2, 3, 4]]).tolist() == [[10, 1]]
        first = client._connection.sock
        assert client.healthy()
        assert client._connection.sock is first
        server.stop()
        again = start("again", port=server.port)
        assert client.predict([[1.0, 2, 3, 4]]).tolist() == [[10, 1]]
        assert again.seen() == [1]


def test_nothing_is_sent_twice_when_a_server_goes_without_an_answer() -> None:
    requests = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # until the test closes it
                while True:
                    connection, _ = listener.accept()
                    requests.append(connection.recv(65_536))
                    connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        client = PredictClient(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(StoreUnreachableError, match="the connection ended before the answer"):
            client.predict([[1.0]])
        time.sleep(0.2)
        listener.shutdown(socket.SHUT_RDWR)
    assert len(requests) == 1


def test_threads_may_share_a_client(shared: Server) -> None:
    with PredictClient(shared.address) as client, ThreadPoolExecutor(8) as pool:
        sums = pool.map(lambda value: client.predict(np.full((1, 4), value))[0, 0], range(200))
        assert list(sums) == [value * 4 for value in range(200)]


def test_importing_loads_neither_numpy_nor_fastapi() -> None:
    code = "import sys; import dioptra.learning._serve, dioptra.learning._client, dioptra.learning._batching\n"
    code += "print({'numpy', 'fastapi', 'uvicorn', 'pydantic', 'mlflow'} & set(sys.modules))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV_")}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout == "set()\n"
