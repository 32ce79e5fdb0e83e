"""Measures how collections of task plugins are fetched from S3, beside obstore's own copy and `aws s3 sync`, in turn.

make bench            or            python bench/plugins.py [TURNS]

The collection has 500 files of 2 to 8 kB, on a SeaweedFS server on this machine. Each competitor has a copy of it in a
bucket of its own. `aws` is measured if it is on the PATH; as it wants other versions of botocore than ours, install it
in an environment of its own:

    python -m venv /tmp/aws && /tmp/aws/bin/pip install awscli && PATH=$PATH:/tmp/aws/bin python bench/plugins.py
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import obstore

from dioptra.storage import fetch_bundle

FILES = 500
AT_ONCE = 16  # requests
KEY, SECRET = "bench", "only for this bench"
OURS, COPY, SAFE, AWS = "dioptra", "obstore-copy", "obstore-safe", "aws"
TITLES = {
    OURS: "dioptra, all on disk",
    COPY: "obstore, list and copy all",
    SAFE: "obstore, list and copy all, all on disk",
    AWS: "aws s3 sync",
}


@dataclass(frozen=True)
class Contest:
    """One thing to do."""

    title: str
    goal: str
    is_first: bool  # whether what was fetched before is removed
    changed: int  # files


CONTESTS = (
    Contest("first", "1.2 times obstore's own copy at most", True, 0),
    Contest("one file changed", "less than the first", False, 1),
    Contest("nothing changed", "one listing", False, 0),
)


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run SeaweedFS, and give the address of its S3."""
    names = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
             "filer.port", "filer.port.grpc")  # fmt: skip
    sockets = [socket.socket() for _ in names]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    identity = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    argv = [
        str(Path(sys.executable).with_name("weed")), "server", "-s3", "-filer", f"-dir={folder}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", "-master.telemetry=false", f"-s3.config={folder / 's3.json'}", "-volume.max=500",
        "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]  # fmt: skip
    with (folder / "weed.log").open("wb") as log, subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            process.kill()


def fill(url: str, bucket: str, files: Mapping[str, bytes]) -> None:
    """Make a bucket with files, as soon as the server lets us."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("s3", endpoint_url=url)
    over = time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket=bucket)
            break
        except (BotoCoreError, ClientError):
            if time.monotonic() > over:
                raise
            time.sleep(0.5)
    for name, content in files.items():
        client.put_object(Bucket=bucket, Key=f"plugins/{name}", Body=content)


def made(count: int) -> dict[str, bytes]:
    """Return files such as task plugins are, 25 in a package."""
    chance = random.Random(1)  # noqa: S311
    found = {}
    for number in range(count):
        name = f"package{number // 25:02d}/module{number}.py"
        line = b"value = %d  # what the file is filled with ...\n" % number
        found[name] = line * chance.randint(40, 160)
    return found


def fetch_with_dioptra(folder: Path) -> None:
    """Keep the collection as a bundle."""
    fetch_bundle(f"s3://{OURS}/plugins", folder / "store", cache=folder / "cache")


class Copier:
    """Copies all that is there with obstore, as one would write it by hand."""

    def __init__(self, url: str, bucket: str, *, on_disk: bool) -> None:
        self._on_disk = on_disk
        client = {"allow_http": True, "timeout": timedelta(minutes=5)}
        keys: Any = {"access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1"}
        self._store = obstore.store.S3Store(bucket, endpoint=url, client_options=client, **keys)

    def __call__(self, folder: Path) -> None:
        """Copy."""
        asyncio.run(self._copy(folder))

    async def _copy(self, folder: Path) -> None:
        waiting = iter(await obstore.list(self._store, "plugins").collect_async())

        async def work() -> None:
            for meta in waiting:
                answer = await obstore.get_async(self._store, meta["path"])
                content = await answer.bytes_async()
                path = folder / meta["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                await asyncio.to_thread(self._write, path, content) if self._on_disk else path.write_bytes(content)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    def _write(self, path: Path, content: Any) -> None:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def sync_with_aws(folder: Path) -> None:
    """Copy what has changed with the command line of AWS."""
    subprocess.run(["aws", "s3", "sync", "--only-show-errors", f"s3://{AWS}/plugins", str(folder)], check=True)


def forget(folder: Path) -> None:
    """Remove what was fetched."""
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)
    folder.mkdir()


def measure(contest: Contest, ways: Mapping[str, Callable[[Path], object]], place: Path, turns: int) -> dict[str, Any]:
    """Let the competitors do it in turn, after one warm-up of each, and return their times in seconds."""
    import boto3

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            folder = place / name
            if contest.is_first:
                forget(folder)
            for number in range(contest.changed):
                content = b"value = %d\n" % turn * 300
                client.put_object(Bucket=name, Key=f"plugins/package03/module{80 + number}.py", Body=content)
            started = time.perf_counter()
            way(folder)
            if turn:
                times[name].append(time.perf_counter() - started)
    return times


def show(contest: Contest, times: Mapping[str, list[float]]) -> None:
    """Print one contest; a ratio is the median over the pairs of one turn."""
    print(f"\n**{FILES} files, {contest.title}** (goal: {contest.goal})\n")
    print("| | median | range | dioptra takes |\n|---|---|---|---|")
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[OURS], values, strict=True))
        share = "" if name == OURS else f"{ratio:.2f} of it"
        span = f"{min(values) * 1000:.1f}-{max(values) * 1000:.1f} ms"
        print(f"| {TITLES[name]} | {statistics.median(values) * 1000:.1f} ms | {span} | {share} |")


def main(turns: int = 9) -> None:
    """Measure all contests."""
    print(
        f"{turns} turns; {os.cpu_count()} cores that the server shares, {platform.system()}, "
        f"Python {platform.python_version()}, obstore {version('obstore')}"
    )
    with tempfile.TemporaryDirectory() as name, s3_server(Path(name)) as url:
        os.environ.update(AWS_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
        os.environ.update(AWS_DEFAULT_REGION="us-east-1")
        os.environ.pop("MLFLOW_S3_ENDPOINT_URL", None)
        ways: dict[str, Callable[[Path], object]] = {
            OURS: fetch_with_dioptra,
            COPY: Copier(url, COPY, on_disk=False),
            SAFE: Copier(url, SAFE, on_disk=True),
        }
        if shutil.which("aws"):
            ways[AWS] = sync_with_aws
        for bucket in ways:
            Path(name, "places", bucket).mkdir(parents=True)
            fill(url, bucket, made(FILES))
        for contest in CONTESTS:
            show(contest, measure(contest, ways, Path(name, "places"), turns))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
