"""Bundles are whole, read-only, and named after their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dioptra.errors import CaptureError, NotFoundError
from dioptra.storage import _bundles, _sync, hash_content, pin


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    (folder / "mine" / "__pycache__").mkdir(parents=True)
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "mine" / "add.py").write_text("def add(x, y): return x + y")
    (folder / "mine" / "run.sh").write_text("#!/bin/sh")
    (folder / "mine" / "run.sh").chmod(0o755)
    (folder / "mine" / "__pycache__" / "add.pyc").write_text("compiled")
    (folder / "link.py").symlink_to("mine/add.py")
    return folder


def kept(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "store").iterdir())


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_bundle_has_the_content_and_nothing_else(plugins: Path, tmp_path: Path) -> None:
    sha256 = pin(plugins, tmp_path / "store")
    bundle = tmp_path / "store" / sha256

    assert sha256 == hash_content(plugins).sha256 == hash_content(bundle).sha256
    assert names(bundle) == ["link.py", "mine", "mine/__init__.py", "mine/add.py", "mine/run.sh"]
    assert not (bundle / "link.py").is_symlink()
    modes = [stat.S_IMODE((bundle / name).stat().st_mode) for name in ("", "mine", "mine/add.py", "mine/run.sh")]
    assert modes == [0o555, 0o555, 0o444, 0o555]


def test_what_changes_afterwards_is_another_bundle(plugins: Path, tmp_path: Path) -> None:
    first = pin(plugins, tmp_path / "store")
    assert pin(plugins, tmp_path / "store") == first
    (plugins / "mine" / "add.py").write_text("def add(x, y): return x - y")
    second = pin(plugins, tmp_path / "store")

    assert second != first
    assert "x + y" in (tmp_path / "store" / first / "mine" / "add.py").read_text()
    assert kept(tmp_path) == sorted([first, second])


def test_many_at_once_make_one(plugins: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: pin(plugins, tmp_path / "store"), range(24)))

    assert kept(tmp_path) == [found.pop()]
    assert not found


def test_a_folder_that_changes_while_it_is_read_is_read_again(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []

    def changing(source: str, target: str) -> None:
        shutil.copyfile(source, target)
        if not copied:
            (plugins / "mine" / "add.py").write_text("changed meanwhile")
        copied.append(source)

    monkeypatch.setattr(_bundles, "_copy", changing)
    sha256 = pin(plugins, tmp_path / "store")

    assert (tmp_path / "store" / sha256 / "mine" / "add.py").read_text() == "changed meanwhile"
    assert kept(tmp_path) == [sha256]


def test_a_folder_that_never_rests_is_refused(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(source: str, target: str) -> None:
        shutil.copyfile(source, target)
        (plugins / "mine" / "add.py").write_text(str(time.monotonic_ns()))

    monkeypatch.setattr(_bundles, "_copy", changing)
    with pytest.raises(CaptureError, match="is being changed; try again when it is whole"):
        pin(plugins, tmp_path / "store")
    assert kept(tmp_path) == []


@pytest.mark.parametrize("what", ["dangling", "loop", "fifo"])
def test_what_cannot_be_kept_is_said_and_leaves_nothing(plugins: Path, tmp_path: Path, what: str) -> None:
    if what == "fifo":
        os.mkfifo(plugins / "mine" / "odd")
    else:
        (plugins / "mine" / "odd").symlink_to("nowhere" if what == "dangling" else "..")

    with pytest.raises(CaptureError, match=r"plugins' cannot be kept \(.*odd"):
        pin(plugins, tmp_path / "store")
    assert kept(tmp_path) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is nothing at"):
        pin(tmp_path / "gone", tmp_path / "store")


def test_a_push_that_begins_and_ends_while_it_is_kept_is_noticed(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hash_content
    looks: list[Path] = []

    def pushed_meanwhile(folder: Path, **options: Any) -> Any:
        if not looks:  # half of the push is there when the folder is hashed and copied, the rest soon after
            (plugins / "mine" / "add.py").write_text("half")
        looks.append(folder)
        if folder == plugins and len(looks) > 1:
            (plugins / "mine" / "more.py").write_text("the other half")
        return made(folder, **options)

    monkeypatch.setattr(_bundles, "hash_content", pushed_meanwhile)
    sha256 = pin(plugins, tmp_path / "store")
    assert (tmp_path / "store" / sha256 / "mine" / "more.py").read_text() == "the other half"


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_folder_that_is_being_pushed_to_is_not_kept(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def pushing(source: str, target: str) -> None:
        shutil.copyfile(source, target)
        (plugins / ".dioptra-upload").touch()
        (plugins / "mine" / "add.py").write_text("half")

    if when == "before":
        (plugins / ".dioptra-upload").touch()
    monkeypatch.setattr(_bundles, "_copy", pushing)
    with pytest.raises(
        CaptureError, match="is not whole: .*; try again; if nobody pushes there, push again with --resume"
    ):
        pin(plugins, tmp_path / "store")
    assert not (tmp_path / "store").exists() or kept(tmp_path) == []


def test_what_a_killed_process_left_goes_after_a_day(plugins: Path, tmp_path: Path) -> None:
    pin(plugins, tmp_path / "store")
    for name, hours in (("old", 25), ("young", 23)):
        left = tmp_path / "store" / f".pin-{name}"
        (left / "copy").mkdir(parents=True)
        (left / "copy" / "x.py").touch(0o444)
        (left / "copy").chmod(0o555)
        os.utime(left, (0, time.time() - hours * 3600))
    (plugins / "new.py").touch()
    pin(plugins, tmp_path / "store")

    assert [name for name in kept(tmp_path) if name.startswith(".")] == [".pin-young"]


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(files=st.dictionaries(st.lists(NAMES, min_size=1, max_size=4).map(tuple), st.binary(max_size=20), max_size=12))
def test_the_hash_of_what_was_fetched_is_that_of_the_folder(
    tmp_path_factory: pytest.TempPathFactory, files: dict[tuple[str, ...], bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    digests: dict[str, bytes] = {}
    for parts, content in files.items():
        path = folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:  # a name that is taken, or too long, or `..`
            continue
        if ".." not in parts and "." not in parts:
            digests["/".join(parts)] = hashlib.sha256(content).digest()
    for empty in [path for path in sorted(folder.rglob("*"), reverse=True) if path.is_dir()]:
        with contextlib.suppress(OSError):
            empty.rmdir()
    if len(digests) == sum(path.is_file() for path in folder.rglob("*")):
        assert _sync._hash(digests) == hash_content(folder, skip=()).sha256
