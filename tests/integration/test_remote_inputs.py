"""What lies elsewhere is fetched before an entry point starts: from a real HTTP server and a real S3 server."""

from __future__ import annotations

import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dioptra.errors import (
    BaseOptionalDependencyError,
    DioptraError,
    InvalidParameterError,
    NotFoundError,
    StoreUnreachableError,
    UsageError,
)
from dioptra.storage import fetch, is_remote, local_path
from dioptra.testbed import Testbed
from tests.integration.conftest import free_ports, s3_client

MLPROJECT = """\
name: inputs
entry_points:
  main:
    parameters: {data: path}
    command: python show.py {data}
"""
SHOW = "import pathlib, sys; path = pathlib.Path(sys.argv[1]); print(path.name, path.read_text())"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A real HTTP server, and the folder that it serves."""
    folder = tmp_path / "www"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "MLproject").write_text(MLPROJECT)
    (folder / "show.py").write_text(SHOW)
    return folder


def test_a_file_is_fetched_by_http_and_its_progress_told(web: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = web
    (folder / "a b.txt").write_text("content")
    told: list[tuple[int, int | None]] = []

    path = fetch(f"{address}/a%20b.txt", tmp_path / "into", lambda done, total: told.append((done, total)))

    assert path.read_text() == "content"
    assert path.parent == tmp_path / "into"
    assert set(told) == {(7, 7)}


def test_an_entry_point_gets_the_local_path_and_the_record_keeps_the_address(
    web: tuple[str, Path], project: Path, tmp_path: Path
) -> None:
    address, folder = web
    (folder / "data.csv").write_text("1,2")
    testbed = Testbed(tmp_path / "home")
    printed: list[bytes] = []

    job = testbed.run(project, parameters={"data": f"{address}/data.csv"}, on_output=printed.append)

    assert b"".join(printed) == b"data.csv 1,2\n"
    assert job.status == "finished"
    assert job.argv[-1] == str(testbed.paths(job).input_dir / "data" / "data.csv")
    assert testbed.tracking.run(str(job.run_id)).parameters["data"] == f"{address}/data.csv"


@pytest.mark.parametrize(
    ("there", "error", "message"),
    [
        (True, InvalidParameterError, "parameter 'data': there is nothing at"),
        (False, StoreUnreachableError, "cannot be read .*; check the address and the credentials"),
    ],
)
def test_what_cannot_be_fetched_leaves_nothing(
    web: tuple[str, Path], project: Path, tmp_path: Path, there: bool, error: type[DioptraError], message: str
) -> None:
    home = tmp_path / "home"
    address = web[0] if there else f"http://127.0.0.1:{free_ports(1)[0]}"

    with pytest.raises(error, match=message):
        Testbed(home).run(project, parameters={"data": f"{address}/gone"})

    assert Testbed(home).jobs() == []
    assert list((home / "jobs").glob("*")) == []
    assert not (home / "artifacts").exists()


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A bucket of its own on the S3 server, reached as jobs reach it."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{abs(hash(request.node.name)) % 10**9}"
    s3_client(s3).create_bucket(Bucket=name)
    return name


def test_a_file_and_a_folder_are_fetched_from_s3(s3: dict[str, str], bucket: str, tmp_path: Path) -> None:
    client = s3_client(s3)
    files = {"set/a.txt": b"a", "set/deep/b.txt": b"bb", "settings.txt": b"not of the folder"}
    for key, content in files.items():
        client.put_object(Bucket=bucket, Key=key, Body=content)
    told: list[tuple[int, int | None]] = []

    folder = fetch(f"s3://{bucket}/set", tmp_path / "1", lambda done, total: told.append((done, total)))
    file = fetch(f"s3://{bucket}/set/a.txt", tmp_path / "2")

    assert folder == tmp_path / "1" / "set"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a.txt": b"a", "deep/b.txt": b"bb"}
    assert told[-1] == (3, 3)
    assert file.read_bytes() == b"a"
    with pytest.raises(NotFoundError, match="there is nothing at"):
        fetch(f"s3://{bucket}/nothing", tmp_path / "3")


def test_wrong_keys_are_said(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreUnreachableError, match="cannot be read") as caught:
        fetch(f"s3://{bucket}/x", tmp_path / "into")

    assert "wrong" not in str(caught.value)


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/set/a": b"x", "/set/../../evil": b"x"})
    try:
        with pytest.raises(UsageError, match="leads out of the folder"):
            fetch("memory://set", tmp_path / "into" / "deeper")
    finally:
        memory.store.clear()
    assert list(tmp_path.rglob("evil")) == []


@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        ("nosuch://x/y", UsageError, "cannot be read .*use s3://"),
        ("data://x", StoreUnreachableError, "cannot be read"),
        ("http://127.0.0.1:1/", UsageError, "is no file, and a folder cannot be fetched by http; name a file"),
        ("gs://bucket/x", BaseOptionalDependencyError, r"pip install 'dioptra-testbed\[gcs\]'"),
    ],
)
def test_stores_that_are_not_known(tmp_path: Path, uri: str, error: type[DioptraError], message: str) -> None:
    with pytest.raises(error, match=message):
        fetch(uri, tmp_path / "into")


@pytest.mark.parametrize("missing", ["obstore", "obstore.store"])
def test_the_package_for_s3_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    message = r"a package is needed to read 's3://bucket/x'; pip install 'dioptra-testbed\[s3\]'"
    with pytest.raises(BaseOptionalDependencyError, match=message):
        fetch("s3://bucket/x", tmp_path / "into")


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("s3://a", True),
        ("S3://a", True),
        ("FILE:///a", False),
        ("https://a", True),
        ("a/b", False),
        ("file:///a", False),
        ("://", False),
        ("a:b", False),
    ],
)
def test_what_has_to_be_fetched(text: str, remote: bool) -> None:
    assert is_remote(text) is remote


def test_a_file_address_is_a_path() -> None:
    assert local_path("file:///a%20b") == "/a b"
    assert local_path("a%20b") == "a%20b"
