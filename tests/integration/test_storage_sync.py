"""Folders in a real S3 server become bundles, and folders are sent there."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dioptra.errors import ArchiveError, CaptureError, DioptraError, NotFoundError, StoreUnreachableError, UsageError
from dioptra.storage import (
    BUNDLE_LIMITS,
    Sent,
    _sync,
    fetch_bundle,
    hash_content,
    is_remote,
    local_path,
    pin,
    plan_send,
    send_folder,
)
from dioptra.storage._elsewhere import connect
from tests.integration.conftest import s3_client
from tests.integration.storage_faults import Asked, Fault, Proxy, proxy

BUCKET = "dots.in.the.name"
COUNT = itertools.count()
FILES = {
    "mine/__init__.py": b"",
    "mine/add.py": b"def add(x, y): return x + y",
    "mine/deep/er/a b%20+ü.txt": b"text",
    "top.py": b"x = 1",
}


@dataclass
class Place:
    """A folder of a bucket behind a proxy, and where its bundles go."""

    client: Any
    prefix: str
    proxy: Proxy
    folder: Path

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}", Body=content)

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")

    def fetch(self) -> str:
        self.proxy.asked.clear()
        return fetch_bundle(self.uri, self.store, cache=self.folder / "cache")

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.store.iterdir()) if self.store.exists() else []

    def got(self) -> int:
        return len(self.proxy.asked) - self.proxy.listings

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/").get("Contents", [])
        return [each["Key"].removeprefix(f"{self.prefix}/") for each in found]


@pytest.fixture
def between(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the S3 server, which the environment names."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    with proxy(s3["MLFLOW_S3_ENDPOINT_URL"]) as found:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", found.url)
        yield found


@pytest.fixture
def place(between: Proxy, s3: dict[str, str], tmp_path: Path) -> Place:
    client = s3_client(s3)
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # one for all tests: each takes a part of the disk
        client.create_bucket(Bucket=BUCKET)
    found = Place(client, f"run-{next(COUNT)}/plugins", between, tmp_path)
    for name, content in FILES.items():
        found.put(name, content)
    found.client.put_object(Bucket=BUCKET, Key=f"{found.prefix}.txt", Body=b"not of the folder")
    return found


def lay_out(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_fetch_gives_what_pin_gives(place: Place, tmp_path: Path) -> None:
    place.put("mine/__pycache__/add.pyc", b"compiled")

    sha256 = place.fetch()
    bundle = place.store / sha256

    assert tree(bundle) == FILES
    assert sha256 == pin(lay_out(tmp_path / "local", FILES), tmp_path / "other") == hash_content(bundle).sha256
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (bundle, bundle / "mine", bundle / "top.py")}
    assert modes == {0o555, 0o444}
    assert place.kept() == [sha256]
    assert place.proxy.listings == 2


def test_where_nothing_has_changed_one_listing_is_all(place: Place) -> None:
    first = place.fetch()

    assert place.fetch() == first
    assert [asked.is_listing for asked in place.proxy.asked] == [True]


def test_only_what_has_changed_is_fetched_and_nothing_is_linked(place: Place) -> None:
    first = place.fetch()
    place.put("mine/add.py", b"def add(x, y): return x - y")  # of the same size
    place.put("new.py", b"")
    place.delete("top.py")
    second = place.fetch()

    assert place.got() == 2
    assert tree(place.store / second) == {
        **{name: content for name, content in FILES.items() if name != "top.py"},
        "mine/add.py": b"def add(x, y): return x - y",
        "new.py": b"",
    }
    assert tree(place.store / first) == FILES
    assert all(path.stat().st_nlink == 1 for path in place.store.rglob("*.*") if path.is_file())
    assert place.kept() == sorted([first, second])
    place.fetch()
    assert len(place.proxy.asked) == 1


@pytest.mark.parametrize(
    "what",
    ["bundle gone", "file of the bundle gone", "file of the bundle changed", "memory damaged", "memory of elsewhere"],
)
def test_what_is_remembered_is_only_trusted_as_far_as_it_is_true(place: Place, what: str) -> None:
    sha256 = place.fetch()
    (memory,) = (place.folder / "cache").iterdir()
    if what == "bundle gone":
        for folder in (place.store / sha256, *(path for path in place.store.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        shutil.rmtree(place.store)
    elif what == "file of the bundle gone":
        (place.store / sha256 / "mine").chmod(0o755)
        (place.store / sha256 / "mine" / "add.py").unlink()
        place.put("new.py", b"1")
    elif what == "file of the bundle changed":
        (place.store / sha256 / "mine" / "add.py").chmod(0o644)
        (place.store / sha256 / "mine" / "add.py").write_bytes(b"somebody else's")
        place.put("new.py", b"1")
    elif what == "memory damaged":
        memory.write_bytes(memory.read_bytes()[:-20])
    else:
        content = json.loads(memory.read_bytes())
        memory.write_text(json.dumps(content | {"sha256": "../cache"}))

    again = place.fetch()
    assert {**tree(place.store / again), "new.py": b""} == {**FILES, "new.py": b""}
    assert hash_content(place.store / again).sha256 == again


def test_two_processes_at_once_make_one_bundle(place: Place, s3: dict[str, str]) -> None:
    program = "import sys; from pathlib import Path; from dioptra.storage import fetch_bundle;" \
        "print(fetch_bundle(sys.argv[1], Path(sys.argv[2]), cache=Path(sys.argv[3])))"  # fmt: skip
    argv = [sys.executable, "-c", program, place.uri, str(place.store), str(place.folder / "cache")]
    started = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = {process.communicate(timeout=60)[0].strip() for process in started}

    assert [process.returncode for process in started] == [0] * 4
    assert place.kept() == sorted(found)
    assert len(found) == 1
    assert tree(place.store / found.pop()) == FILES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sitecustomize.py", b"x", "has a name that other programs act upon"),
        ("evil.pth", b"x", "has a name that other programs act upon"),
        ("Top.py", b"x", "differs from another only in upper and lower case"),
        ("top.py/x", b"x", "lies in a folder whose name is taken|comes twice"),
        ("/".join("abcdefghijklm"), b"x", "path that is too long"),
        ("x" * 201, b"x", "path that is too long"),
    ],
)
def test_names_that_a_bundle_may_not_have(place: Place, name: str, content: bytes, message: str) -> None:
    place.put(name, content)
    with pytest.raises(ArchiveError, match=message) as caught:
        place.fetch()

    assert place.uri in str(caught.value)
    assert place.kept() == []
    assert place.got() == 0


LISTING = """<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents>
<Key>{}/{}</Key><Size>1</Size><ETag>"x"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>
</ListBucketResult>"""


EVIL = ["../evil", "a/../../evil", "/etc/x", "a//b", "./a", "a\\b", "a&#10;b", "..", "-rf&#27;"]


@pytest.mark.parametrize("name", EVIL)
def test_names_that_only_an_evil_store_has(place: Place, name: str) -> None:
    listing = Fault(status=200, body=LISTING.format(place.prefix, name).encode())
    place.proxy.fault = lambda asked: listing if asked.is_listing else None
    with pytest.raises((UsageError, ArchiveError), match="a name that no file can have|that is not allowed"):
        place.fetch()
    assert place.got() == 0
    assert place.kept() == []


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"members": 3}, "holds 4 files; the limit is 3"),
        ({"member_bytes": 10}, "'mine/add.py' at .* is 27 bytes; the limit is 10"),
        ({"total_bytes": 30}, "holds 36 bytes; the limit is 30"),
    ],
)
def test_limits(place: Place, limit: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sync, "BUNDLE_LIMITS", replace(BUNDLE_LIMITS, **limit))
    with pytest.raises(ArchiveError, match=message):
        place.fetch()
    assert place.kept() == []


def test_marks_of_folders_are_no_files(place: Place) -> None:
    for name in ("", "mine/", "empty/"):
        place.put(name, b"")
    sha256 = place.fetch()

    assert tree(place.store / sha256) == FILES
    assert place.fetch() == sha256
    assert len(place.proxy.asked) == 1


def test_nothing_there(place: Place) -> None:
    for uri in (f"{place.uri}/none", f"{place.uri}.txt"):
        with pytest.raises(NotFoundError, match="there is nothing at 's3://"):
            fetch_bundle(uri, place.store, cache=place.folder / "cache")
    assert place.kept() == []


def test_an_archive_becomes_a_bundle(place: Place, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, content in FILES.items():
            file.writestr(name, content)
    place.put("plugins.zip", (tmp_path / "a.zip").read_bytes())
    uri = f"{place.uri}/plugins.zip"

    sha256 = fetch_bundle(uri, place.store, cache=tmp_path / "cache")
    assert sha256 == pin(lay_out(tmp_path / "local", FILES), tmp_path / "other")
    place.proxy.asked.clear()
    assert fetch_bundle(uri, place.store, cache=tmp_path / "cache") == sha256
    assert [asked.method for asked in place.proxy.asked] == ["HEAD"]

    place.put("plugins.zip", b"no archive")
    with pytest.raises(ArchiveError, match="damaged"):
        fetch_bundle(uri, place.store, cache=tmp_path / "cache")
    with pytest.raises(NotFoundError, match="there is nothing at"):
        fetch_bundle(f"{place.uri}/none.tar.gz", place.store, cache=tmp_path / "cache")
    with pytest.raises(UsageError, match="is no archive, and a folder cannot be fetched by http; name an archive"):
        fetch_bundle("http://127.0.0.1:1/folder", place.store, cache=tmp_path / "cache")
    assert place.kept() == [sha256]


@pytest.fixture(params=["s3", "memory", "file", "path"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place of each kind to send to."""
    if request.param == "s3":
        yield request.getfixturevalue("place").uri + "/sent"
        return
    if request.param != "memory":
        yield f"{'file://' if request.param == 'file' else ''}{tmp_path / 'sent here'}".replace(" here", "")
        return
    import fsspec

    yield "memory://sent"
    fsspec.filesystem("memory").store.clear()


def bundle_of(target: str, tmp_path: Path) -> dict[str, bytes]:
    if is_remote(target):
        return tree(tmp_path / "b" / fetch_bundle(target, tmp_path / "b", cache=tmp_path / "cache"))
    return tree(tmp_path / "b" / pin(Path(local_path(target)), tmp_path / "b"))


def test_what_is_sent_is_what_is_fetched(target: str, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "local", FILES | {"mine/__pycache__/add.pyc": b"c", "odd.pyc": b"c"})
    knows_content = not target.startswith("memory")
    names = tuple(sorted(FILES))

    assert plan_send(folder, target) == Sent(names, (), 0)
    assert send_folder(folder, target) == Sent(names, (), 0)
    assert bundle_of(target, tmp_path) == FILES

    (folder / "top.py").unlink()
    (folder / "mine" / "add.py").write_bytes(b"def add(x, y): return x * y")
    others = ("mine/add.py",) if knows_content else tuple(name for name in names if name != "top.py")
    change = Sent(others, ("top.py",), 3 - len(others))
    assert plan_send(folder, target) == change
    assert bundle_of(target, tmp_path) == FILES, "a plan does nothing"
    assert send_folder(folder, target, remove=False) == Sent(change.sent, (), change.kept)
    assert "top.py" in bundle_of(target, tmp_path)
    assert send_folder(folder, target).removed == ("top.py",)
    expected = {name: content for name, content in FILES.items() if name != "top.py"}
    assert bundle_of(target, tmp_path) == expected | {"mine/add.py": b"def add(x, y): return x * y"}


def test_a_mark_lies_there_as_long_as_it_is_not_whole(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path / "local", FILES)
    send_folder(folder, target)
    first = bundle_of(target, tmp_path)
    kind = type(connect(target))
    put = kind.put

    def cut_off(self: Any, name: str, content: bytes) -> None:
        if name == "top.py":
            raise StoreUnreachableError("cut off")
        put(self, name, content)

    monkeypatch.setattr(kind, "put", cut_off)
    (folder / "top.py").write_bytes(b"x = 2")
    with pytest.raises(StoreUnreachableError, match="cut off"):
        send_folder(folder, target)
    with pytest.raises((StoreUnreachableError, CaptureError), match="is not whole: .* push again with --resume"):
        bundle_of(target, tmp_path)

    monkeypatch.setattr(kind, "put", put)
    with pytest.raises(StoreUnreachableError, match="is not whole: .*if nobody pushes there, add --resume"):
        send_folder(folder, target)
    send_folder(folder, target, resume=True)
    assert bundle_of(target, tmp_path) == first | {"top.py": b"x = 2"}
    assert ".dioptra-upload" not in {file.name for file in connect(target).files()}


def test_a_part_of_a_collection_has_its_mark_at_the_collection(place: Place, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "local", {"a.py": b"1"})
    seen: list[list[str]] = []

    def look(asked: Asked) -> None:
        if "a.py" in asked.path:
            seen.append(place.names())

    place.proxy.fault = look

    send_folder(folder, f"{place.uri}/part", marker_at=place.uri)

    assert seen
    assert ".dioptra-upload" in seen[0]
    assert "part/a.py" not in seen[0]
    assert sorted(place.names()) == sorted([*FILES, "part/a.py"])
    place.put(".dioptra-upload", f"{place.uri}/other\nsomebody".encode())
    with pytest.raises(StoreUnreachableError, match="other' is not whole: .* push that again with --resume"):
        send_folder(lay_out(folder, {"a.py": b"2"}), f"{place.uri}/part", marker_at=place.uri, resume=True)
    send_folder(lay_out(tmp_path / "other", {"a.py": b"2"}), f"{place.uri}/other", marker_at=place.uri, resume=True)
    assert ".dioptra-upload" not in place.names()


def test_of_two_that_send_at_once_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = str(tmp_path / "sent")
    folder, other = lay_out(tmp_path / "one", {"a.py": b"1"}), lay_out(tmp_path / "two", {"a.py": b"2"})
    kind = type(connect(target))
    put = kind.put

    def both(self: Any, name: str, content: bytes) -> None:
        put(self, name, content)
        if name == ".dioptra-upload":  # the other one has seen no mark, either, and puts its own
            monkeypatch.setattr(kind, "put", put)
            put(self, name, f"{target}\nthe other".encode())

    monkeypatch.setattr(kind, "put", both)
    with pytest.raises(StoreUnreachableError, match="is not whole"):
        send_folder(folder, target)
    assert not (tmp_path / "sent" / "a.py").exists()
    with pytest.raises(StoreUnreachableError, match="is not whole"):
        send_folder(other, target)
    assert (tmp_path / "sent" / ".dioptra-upload").read_text().endswith("the other")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda folder: None, UsageError, "there is no file in the folder"),
        (lambda folder: lay_out(folder, {"x.pth": b""}), ArchiveError, "'x.pth' has a name that other programs"),
        (lambda folder: (folder / "x").symlink_to("none"), CaptureError, "/x' is neither a file nor a folder"),
        (lambda folder: os.mkfifo(folder / "x"), CaptureError, "/x' is neither a file nor a folder"),
    ],
)
def test_what_cannot_be_sent(tmp_path: Path, make: Any, error: type[DioptraError], message: str) -> None:
    (tmp_path / "local").mkdir()
    make(tmp_path / "local")
    with pytest.raises(error, match=message):
        send_folder(tmp_path / "local", str(tmp_path / "sent"))
    assert not (tmp_path / "sent").exists()


def test_pin_takes_no_folder_that_is_not_whole(tmp_path: Path) -> None:
    lay_out(tmp_path / "local", FILES | {".dioptra-upload": b""})
    with pytest.raises(
        CaptureError, match="is not whole: .*; try again; if nobody pushes there, push again with --resume"
    ):
        pin(tmp_path / "local", tmp_path / "store")
    assert not (tmp_path / "store").exists()
