"""Hashes of data: equal for equal content, different after any change, and read again only where something changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra.errors import CaptureError, NotFoundError
from dioptra.storage import ContentHash, _hash_cache, _hashes, hash_content

Tree = dict[bytes, Any]  # names; the content of a file, or a folder


def make(tree: Tree, folder: bytes) -> Path:
    os.mkdir(folder)  # noqa: PTH102 (names are bytes)
    for name, content in tree.items():
        place = folder + b"/" + name
        if isinstance(content, dict):
            make(content, place)
        else:
            with open(place, "wb") as file:  # noqa: PTH123
                file.write(content)
    return Path(os.fsdecode(folder))


def hashed(tree: Tree) -> ContentHash:
    with tempfile.TemporaryDirectory() as folder:
        return hash_content(make(tree, os.fsencode(folder) + b"/tree"))


names = st.one_of(
    st.sampled_from([b"a", b"a-b", b"a.b", b"b"]),
    st.binary(min_size=1, max_size=4)
    .map(lambda name: name.replace(b"/", b"\n").replace(b"\0", b"\xff"))
    .filter(lambda name: name not in (b".", b"..")),
)
trees: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(names, st.binary(max_size=5), max_size=3),
    lambda inner: st.dictionaries(names, st.one_of(st.binary(max_size=5), inner), max_size=3),
    max_leaves=8,
)


def files(tree: Tree) -> list[bytes]:
    return [
        found for content in tree.values() for found in (files(content) if isinstance(content, dict) else [content])
    ]


@settings(max_examples=60, deadline=None)
@given(trees, trees)
def test_trees_have_the_same_hash_if_and_only_if_they_are_equal(one: Tree, other: Tree) -> None:
    found = hashed(one)
    assert found == hashed(dict(reversed(one.items())))
    assert (found.sha256 == hashed(other).sha256) == (one == other)
    assert (found.files, found.bytes) == (len(files(one)), sum(map(len, files(one))))


def changes(tree: Tree) -> list[Tree]:
    """Each tree that is one change away."""
    found = [tree | {b"new": b""}, tree | {b"new": {}}]
    for name, content in tree.items():
        rest = {key: value for key, value in tree.items() if key != name}
        found += [rest, rest | {name + b"'": content}, rest | {b"in": {name: content}}]
        inner = changes(content) if isinstance(content, dict) else [content + b"x", b"y" + content[1:], {}]
        found += [tree | {name: changed} for changed in inner]
    return [changed for changed in found if changed != tree]


@settings(max_examples=15, deadline=None)
@given(trees)
def test_any_change_is_seen(tree: Tree) -> None:
    before = hashed(tree).sha256
    assert all(hashed(changed).sha256 != before for changed in changes(tree))


def test_known_answers(tmp_path: Path) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4
    assert hash_content(file) == ContentHash(abc, 1, 3)
    records = b"file 3:abc32:" + bytes.fromhex(abc)
    assert hash_content(tmp_path) == ContentHash(hashlib.sha256(records).hexdigest(), 1, 3)
    (tmp_path / "a").mkdir()
    (tmp_path / "a-").write_bytes(b"")
    records = b"file 2:a-32:" + hashlib.sha256().digest() + b"folder 2:a/0:" + records
    assert hash_content(tmp_path).sha256 == hashlib.sha256(records).hexdigest()


def test_a_large_file_is_what_sha256sum_says(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(3 * 2**20 + 17))
    assert hash_content(file).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    if shutil.which("sha256sum"):
        assert subprocess.check_output(["sha256sum", file]).split()[0].decode() == hash_content(file).sha256


def test_many_files_of_all_sizes(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).write_bytes(bytes(number * 500))
    (tmp_path / "large").write_bytes(bytes(20 * 2**20))
    found = hash_content(tmp_path)
    assert (found.files, found.bytes) == (301, sum(number * 500 for number in range(300)) + 20 * 2**20)
    assert found == hash_content(tmp_path)


def test_as_a_dictionary_and_back() -> None:
    found = ContentHash("ab", 3, 4)
    assert found.to_dict() == {"sha256": "ab", "files": 3, "bytes": 4}
    assert ContentHash.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_where_it_lies_and_how_it_is_named_play_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {b"a": b"1", b"b": {b"c": b"2"}}
    one, other = make(tree, os.fsencode(tmp_path / "one")), make(tree, os.fsencode(tmp_path / "other"))
    (other / "a").chmod(0o755)
    os.utime(other / "b" / "c", (0, 0))
    monkeypatch.chdir(tmp_path)
    assert hash_content(one) == hash_content(other) == hash_content(Path("one")) == hash_content(Path("other/b/.."))


def test_what_is_skipped(tmp_path: Path) -> None:
    before = hash_content(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").touch()
    assert hash_content(tmp_path) == before
    assert hash_content(tmp_path, skip=()).files == 1
    assert hash_content(tmp_path, skip=["a.pyc"]) != before
    assert hash_content(tmp_path / "__pycache__").files == 1


def test_links_are_what_they_point_to(tmp_path: Path) -> None:
    tree = make({b"a": b"1", b"b": {b"c": b"2"}}, os.fsencode(tmp_path / "tree"))
    linked = make({}, os.fsencode(tmp_path / "linked"))
    (linked / "a").symlink_to(tree / "a")
    (linked / "b").symlink_to("../tree/b")
    (tmp_path / "root").symlink_to(linked)
    assert hash_content(linked) == hash_content(tree) == hash_content(tmp_path / "root")
    assert hash_content(linked / "a") == hash_content(tree / "a")


def test_a_link_that_leads_to_nothing_is_its_text(tmp_path: Path) -> None:
    found = []
    for target in ("nowhere", "elsewhere", "link", "a/b/c"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        found.append(hash_content(tmp_path))
    assert len(set(found)) == 4
    assert {content.files for content in found} == {0}


def test_loops_end(tmp_path: Path) -> None:
    tree = make({b"a": {b"b": {b"c": b"2"}}}, os.fsencode(tmp_path / "tree"))
    found = [hash_content(tree)]
    for target in (tree, tree / "a", tree / "a" / "b"):
        (tree / "a" / "b" / "loop").unlink(missing_ok=True)
        (tree / "a" / "b" / "loop").symlink_to(target)
        found.append(hash_content(tree))
    assert len(set(found)) == 4
    assert {content.files for content in found} == {1}
    (tree / "a" / "b" / "loop").unlink()
    for name in ("twice", "once more"):  # not a loop: seen each time
        (tree / name).symlink_to("a")
    assert hash_content(tree).files == 3


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    found = {hash_content(tmp_path)}
    (tmp_path / "x").unlink()
    os.mkfifo(tmp_path / "x")
    found.add(hash_content(tmp_path))
    assert hash_content(tmp_path / "x").files == 0
    (tmp_path / "x").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        with_short_name = os.open(tmp_path, os.O_RDONLY)  # a socket's path may be 107 bytes long
        listening.bind(f"/proc/self/fd/{with_short_name}/x")
        os.close(with_short_name)
        found.add(hash_content(tmp_path))
    assert len(found) == 3


def test_folders_deeper_than_python_s_stack(tmp_path: Path) -> None:
    subprocess.run(["mkdir", "-p", f"{tmp_path}{1_500 * '/d'}"], check=True)
    assert hash_content(tmp_path).files == 0
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # which pytest cannot


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is nothing at '.*missing'"):
        hash_content(tmp_path / "missing")
    (tmp_path / "link").symlink_to("missing")
    with pytest.raises(NotFoundError):
        hash_content(tmp_path / "link")


@contextmanager
def as_somebody() -> Iterator[None]:
    """Be a user who may not read everything, inside the block; root becomes another one."""
    is_root = os.geteuid() == 0
    os.seteuid(65534) if is_root else None
    try:
        yield
    finally:
        os.seteuid(0) if is_root else None


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_may_not_be_read_is_named(name: str, open_folder: Path) -> None:
    tree = make({b"a": b"1", b"b": {b"c": b"2"}}, os.fsencode(open_folder / "tree"))
    (tree / name).chmod(0)
    try:
        with (
            as_somebody(),
            pytest.raises(CaptureError, match=f"'{tree / name}/?' cannot be read \\(Permission denied\\)"),
        ):
            hash_content(tree)
    finally:
        (tree / name).chmod(0o755)


def broken(*_: Any) -> Any:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("call", ["scandir", "readv", "open"])
def test_a_failing_disk_is_named(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make({b"a": b"1"}, os.fsencode(tmp_path / "tr\udcffee"))
    monkeypatch.setattr(os, call, broken)
    with pytest.raises(CaptureError) as error:
        hash_content(tree)
    assert "tr\\udcffee" in error.value.message
    assert error.value.message.endswith("cannot be read (Input/output error)")
    monkeypatch.undo()


def test_an_error_does_not_wait_for_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = threading.Event()
    start = perf_counter()

    def readv(handle: int, buffers: Any) -> int:
        if os.readlink(f"/proc/self/fd/{handle}").endswith("/a"):  # noqa: PTH115
            reads.wait(10)
            raise OSError(5, "Input/output error")
        reads.set()
        return len(buffers[0]) if perf_counter() < start + 30 else 0

    (tmp_path / "a").write_bytes(bytes(2**23))
    (tmp_path / "b").write_bytes(bytes(2**23))
    monkeypatch.setattr(os, "readv", readv)
    with pytest.raises(CaptureError):
        hash_content(tmp_path)
    assert perf_counter() < start + 20


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for hashes, which trusts files however young."""
    monkeypatch.setattr(_hash_cache, "_RACY", -(10**18))
    return tmp_path / "cache" / "hashes"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make({b"a": b"1", b"\xff\n": {b"c": b"2"}, b"empty": {}}, os.fsencode(tmp_path / "tree"))


class Reads:
    """Counts the files that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._read: Callable[..., Any] = _hashes._Reader._read
        monkeypatch.setattr(_hashes._Reader, "_read", lambda *args: self(*args))

    def __call__(self, *args: Any) -> Any:
        self.count += 1
        return self._read(*args)

    def during(self, path: Path, cache: Path) -> int:
        """Return how many are read for a hash, which is compared with one of its own."""
        right = hash_content(path)
        self.count = 0
        assert hash_content(path, cache=cache) == right
        return self.count


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_what_has_not_changed_is_not_read_again(tree: Path, cache: Path, reads: Reads) -> None:
    assert [reads.during(tree, cache) for _ in range(3)] == [2, 0, 0]
    assert [reads.during(tree / "a", cache) for _ in range(2)] == [1, 0]
    assert len(list(cache.iterdir())) == 2


def test_a_change_behind_the_same_size_and_time_is_noticed(tree: Path, cache: Path, reads: Reads) -> None:
    assert reads.during(tree, cache) == 2
    status = (tree / "a").stat()
    while (tree / "a").stat().st_ctime_ns == status.st_ctime_ns:  # the clock of the file system ticks slowly
        (tree / "a").write_bytes(b"3")
        os.utime(tree / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (tree / "a").stat().st_mtime_ns == status.st_mtime_ns
    assert reads.during(tree, cache) == 1


def test_files_that_change_places_are_noticed(tree: Path, cache: Path, reads: Reads) -> None:
    (tree / "b").write_bytes(b"4")
    assert reads.during(tree, cache) == 3
    (tree / "a").rename(tree / "c")
    (tree / "b").rename(tree / "a")
    assert reads.during(tree, cache) == 2
    (tree / "c").unlink()
    assert reads.during(tree, cache) == 0


@pytest.mark.parametrize("name", ["st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_dev"])
def test_each_of_five_signs_is_looked_at(name: str, cache: Path) -> None:
    seen: Any = SimpleNamespace(st_size=1, st_mtime_ns=2, st_ctime_ns=3, st_ino=4, st_dev=5)
    known = _hash_cache.HashCache(cache, b"/data")
    known.keep(b"a", seen, "0" * 64, hashed_at=6)
    known.save()
    known = _hash_cache.HashCache(cache, b"/data")
    assert known.find(b"a", seen) == "0" * 64
    assert known.find(b"b", seen) is None
    setattr(seen, name, 9)
    assert known.find(b"a", seen) is None


def test_young_files_are_not_trusted(tree: Path, tmp_path: Path, reads: Reads) -> None:
    assert [reads.during(tree, tmp_path / "cache") for _ in range(2)] == [2, 2]
    os.utime(tree / "a", (0, 0))  # no help: the inode has changed just now
    assert [reads.during(tree, tmp_path / "cache") for _ in range(2)] == [2, 2]


def test_two_seconds_are_old_enough(tree: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    changed_at = (tree / "a").stat().st_ctime_ns
    monkeypatch.setattr("time.time_ns", lambda: changed_at + 2 * 10**9)
    assert [reads.during(tree / "a", tmp_path / "cache") for _ in range(2)] == [1, 1]
    monkeypatch.setattr("time.time_ns", lambda: changed_at + 2 * 10**9 + 1)
    assert [reads.during(tree / "a", tmp_path / "cache") for _ in range(2)] == [1, 0]


def test_a_file_that_changes_while_it_is_read_is_not_trusted(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readv = os.readv

    def changed(handle: int, buffers: Any) -> int:
        os.utime(handle, (1, 1))
        return readv(handle, buffers)

    monkeypatch.setattr(os, "readv", changed)
    hash_content(tree / "a", cache=cache)
    assert not cache.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: "[" * 100_000,
        lambda text: '{"version": 1}',
        lambda text: '{"version": 1, "files": {"a": [1, 2]}}',
        lambda text: '{"version": 1, "files": {"a": null}}',
        lambda text: '{"version": 1, "files": [1]}',
        lambda text: '{"version": 1, "files": ["abc"]}',
        lambda text: text.replace('"version":1', '"version":0'),
        lambda text: text.replace("a", "g"),
        lambda text: re.sub("[0-9a-f]{10}", "ab", text),
    ],
)
def test_a_damaged_memory_is_ignored_and_replaced(
    damage: Callable[[str], str], tree: Path, cache: Path, reads: Reads
) -> None:
    hash_content(tree, cache=cache)
    (file,) = cache.iterdir()
    whole = file.read_text()
    file.write_text(damage(whole))
    assert file.read_text() != whole
    assert reads.during(tree, cache) == 2
    assert file.read_text() == whole


def test_a_memory_that_cannot_be_written_is_done_without(tree: Path, cache: Path, reads: Reads) -> None:
    cache.parent.write_text("in the way")
    assert [reads.during(tree, cache) for _ in range(2)] == [2, 2]


def test_several_at_once(tmp_path: Path, cache: Path, reads: Reads) -> None:
    for number in range(200):
        (tmp_path / "data" / str(number)).parent.mkdir(exist_ok=True)
        (tmp_path / "data" / str(number)).write_bytes(bytes(number))
    with ThreadPoolExecutor(8) as pool:
        found = {
            future.result() for future in [pool.submit(hash_content, tmp_path / "data", cache=cache) for _ in range(16)]
        }
    assert len(found) == 1
    assert reads.during(tmp_path / "data", cache) == 0
    assert len(list(cache.iterdir())) == 1
