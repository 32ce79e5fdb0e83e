"""An inference server in a process of its own, and ways to ask it that no well-behaved client has."""

from __future__ import annotations

import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

JSON, NPZ = "application/json", "application/x-npz"
TOKEN = "a-token-that-must-stay-secret"  # noqa: S105
BODY_LIMIT = 1_000_000
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

# A sample is four numbers; its output is their sum, and how many samples shared its batch.
SERVER = """
import json, sys, time
from importlib import import_module
from pathlib import Path
import numpy as np
from dioptra.errors import DioptraError
from dioptra.learning._serve import Served, serve

options = json.loads(sys.argv[1])
seen = Path(options.pop("seen"))
for name, value in options.pop("constants", {}).items():
    module, _, name = name.partition(".")
    setattr(import_module("dioptra.learning." + module), name, value)
shape, dtype = tuple(options.pop("shape", [4])), options.pop("dtype", "float32")

def predict(samples):
    with seen.open("a") as file:
        file.write("".join(f"{sample.flat[0]:g}\\n" for sample in samples if sample.size))
    if (samples == -1).any():
        raise ValueError("inner words of the model")
    if (samples == 99).any():
        time.sleep(1)
    return np.stack([samples.reshape(len(samples), -1).sum(axis=1), np.full(len(samples), len(samples))], axis=1)

served = Served(predict, shape, {"id": "abc123", "loss": float("nan")}, dtype)
if "socket" in options:
    options["socket"] = Path(options["socket"])
try:
    serve(served, on_ready=lambda address: print(address, flush=True), **options)
except DioptraError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
print("ended", flush=True)
"""


@dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    address: str
    folder: Path

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def seen(self) -> list[float]:
        """What the model was given: the first number of each sample."""
        file = self.folder / "seen"
        return [float(line) for line in file.read_text().split()] if file.exists() else []

    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Send a signal, and return what the server printed last."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=30)
        return out


Start = Callable[..., Server]


def start_server(folder: Path, **options: Any) -> Server:
    folder.mkdir(exist_ok=True)
    argv = [sys.executable, "-c", SERVER, json.dumps({"seen": str(folder / "seen"), **options})]
    with (folder / "stderr").open("a") as errors:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    return Server(process, process.stdout.readline().strip(), folder)


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Give a function that starts servers, which are gone at the end."""
    with ExitStack() as stack:

        def start(name: str = "server", **options: Any) -> Server:
            server = start_server(folder / name, **options)
            stack.callback(server.process.wait, 30)
            stack.callback(server.process.kill)
            return server

        yield start


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        told = self.json["error"]
        assert set(told) == {"code", "message", "where", "hint"}
        return " | ".join(told.values())


def ask(
    server: Server, path: str = "/predict", body: bytes | None = None, method: str = "POST", **headers: str
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def post(server: Server, content: object, kind: str = JSON, **headers: str) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ask(server, body=body, Content_Type=kind, **headers)


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def speak(server: Server, text: bytes) -> socket.socket:
    """Open a connection and send something, whole or not."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(text)
    return connection


def eventually(is_true: Callable[[], bool], seconds: float = 40) -> bool:
    over = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > over:
            return False
        time.sleep(0.02)
    return True


def waiting(server: Server) -> int:
    return int(ask(server, "/healthz", method="GET").json["waiting"])
