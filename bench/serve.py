"""Measures the inference server beside `mlflow models serve` and the bare model, in turn, as Markdown tables.

make bench            or            python bench/serve.py [ROUNDS]

The model is a logistic regression on the digits; a request asks for one image. All servers get the same bytes from the
same client, a process of its own that speaks HTTP with as little work as it can, over connections that it keeps.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

SECONDS = 2.0  # of each measurement
CLIENTS = (1, 16)
MLFLOW = "mlflow models serve, JSON"
LOOP = "model.predict in a loop"


@dataclass(frozen=True)
class Measured:
    """What one measurement gave: requests in a second, and each one's seconds."""

    rate: float
    latencies: list[float]


def fitted() -> tuple[Any, Any]:
    """Return the model and its images."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    return LogisticRegression(max_iter=200).fit(images, labels), images


def be_our_server() -> None:
    """Serve the model with Dioptra."""
    from dioptra.learning._serve import Served, serve

    model, _ = fitted()
    served = Served(model.predict, (64,), {"id": "bench"})
    serve(served, on_ready=lambda address: print(address, flush=True))


def be_the_client(port: int, path: str, kind: str, clients: int) -> None:
    """Read a body, ask for it over and over, and print how long each answer took."""
    body = sys.stdin.buffer.read()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    print(json.dumps(asyncio.run(ask_all(port, head.encode() + body, clients))))


async def ask_all(port: int, request: bytes, clients: int) -> list[float]:
    """Ask with as many connections at once as there are clients."""
    over = time.perf_counter() + SECONDS
    found = await asyncio.gather(*(ask(port, request, over) for _ in range(clients)))
    return [latency for each in found for latency in each]


async def ask(port: int, request: bytes, over: float) -> list[float]:
    """Ask again and again on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    latencies: list[float] = []
    while (started := time.perf_counter()) < over:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise SystemExit(f"not answered: {head.decode()}")
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        latencies.append(time.perf_counter() - started)
    writer.close()
    return latencies


def ask_server(port: int, path: str, kind: str, body: bytes, clients: int) -> Measured:
    """Start the client, and return what it measured."""
    argv = [sys.executable, __file__, "client", str(port), path, kind, str(clients)]
    done = subprocess.run(argv, input=body, check=True, capture_output=True)
    latencies = json.loads(done.stdout)
    return Measured(len(latencies) / SECONDS, latencies)


def ask_model(model: Any, images: Any) -> Measured:
    """Call the model as a script would that has it at hand."""
    latencies: list[float] = []
    over = time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < over:
        at = len(latencies) % len(images)
        model.predict(images[at : at + 1])
        latencies.append(time.perf_counter() - started)
    return Measured(len(latencies) / SECONDS, latencies)


@contextmanager
def our_server() -> Iterator[int]:
    """Run Dioptra's server, and give its port."""
    with subprocess.Popen([sys.executable, __file__, "server"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int((process.stdout or sys.stdin).readline().rpartition(":")[2])
        finally:
            process.terminate()


@contextmanager
def mlflow_server(model: Any, folder: Path) -> Iterator[int]:
    """Run MLflow's server with its defaults, and give its port."""
    import mlflow.sklearn

    mlflow.sklearn.save_model(model, folder / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    programs = Path(sys.executable).parent
    mlflow_command = [str(programs / "mlflow"), "models", "serve", "--env-manager", "local"]
    argv = [*mlflow_command, "-m", str(folder / "model"), "-p", str(port)]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),  # it looks for uvicorn there
    }
    with (
        (folder / "mlflow.log").open("w+") as log,
        subprocess.Popen(argv, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", process, folder / "mlflow.log")
            yield port
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    """Wait until a server answers."""
    over = time.monotonic() + seconds
    while True:
        try:
            with urlopen(url):  # noqa: S310  # an address of our own
                return
        except OSError:
            if time.monotonic() > over or process.poll() is not None:
                raise SystemExit(f"the server does not answer at {url}:\n{log.read_text()}") from None
            time.sleep(0.2)


def check(url: str, text: bytes, expected: list[Any]) -> None:
    """Make sure that a server gives the model's own answer."""
    with urlopen(Request(url, text, {"Content-Type": "application/json"})) as answer:  # noqa: S310
        found = next(iter(json.load(answer).values()))
    if found != expected:
        raise SystemExit(f"{url} answered {found}, and the model {expected}")


def contestants(ours: int, mlflow: int, model: Any, images: Any) -> Mapping[str, Callable[[int], Measured]]:
    """Return what is measured, each for a number of clients."""
    import numpy as np

    file = io.BytesIO()
    np.savez(file, inputs=images[:1])
    text = json.dumps({"inputs": images[:1].tolist()}).encode()
    for url in (f"http://127.0.0.1:{ours}/predict", f"http://127.0.0.1:{mlflow}/invocations"):
        check(url, text, model.predict(images[:1]).tolist())
    as_json = "application/json"
    return {
        "dioptra, JSON": lambda clients: ask_server(ours, "/predict", as_json, text, clients),
        "dioptra, npz": lambda clients: ask_server(ours, "/predict", "application/x-npz", file.getvalue(), clients),
        MLFLOW: lambda clients: ask_server(mlflow, "/invocations", as_json, text, clients),
        LOOP: lambda clients: ask_model(model, images),
    }


def show(clients: int, results: Mapping[str, list[Measured]]) -> None:
    """Print one table; a ratio is the median over the pairs of one round."""
    print(f"\n**{clients} client{'s' * (clients > 1)}, one image a request**\n")
    print("| what | requests a second | range | p50 | p99 | of mlflow's rate | of the loop's rate |")
    print("|---|---|---|---|---|---|---|")
    for name, measured in results.items():
        rates = [each.rate for each in measured]
        latencies = sorted(latency for each in measured for latency in each.latencies)
        p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
        ratios = [
            statistics.median(a.rate / b.rate for a, b in zip(measured, results[peer], strict=True))
            for peer in (MLFLOW, LOOP)
        ]
        print(
            f"| {name} | {statistics.median(rates):.0f} | {min(rates):.0f}-{max(rates):.0f} "
            f"| {p50:.2f} ms | {p99:.2f} ms | {ratios[0]:.2f} | {ratios[1]:.3f} |"
        )


def main() -> None:
    """Measure everything."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    versions = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "fastapi", "mlflow", "scikit-learn"))
    print(
        f"{rounds} rounds of {SECONDS:g} s, in turn; {os.cpu_count()} cores that the client shares, "
        f"{platform.system()}, Python {platform.python_version()}, {versions}"
    )
    model, images = fitted()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(our_server())
        mlflow = stack.enter_context(mlflow_server(model, Path(folder)))
        everyone = contestants(ours, mlflow, model, images)
        for clients in CLIENTS:
            results: dict[str, list[Measured]] = {name: [] for name in everyone}
            for turn in range(rounds + 1):
                for name, measure in everyone.items():
                    measured = measure(clients)
                    if turn:  # the first is a warm-up
                        results[name].append(measured)
            show(clients, results)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["server"]:
            be_our_server()
        case ["client", port, path, kind, clients]:
            be_the_client(int(port), path, kind, int(clients))
        case _:
            main()
