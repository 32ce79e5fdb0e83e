"""Bundles are whole, read-only, and named after their content."""

from __future__ import annotations

import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dioptra.errors import CaptureError, NotFoundError
from dioptra.storage import _bundles, hash_content, pin


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
