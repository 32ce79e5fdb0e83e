"""`dioptra.toml`: what a project says about its own capture."""

from __future__ import annotations

from pathlib import Path

import pytest

from dioptra.errors import InvalidProjectError
from dioptra.experiment import ProjectSettings, read_settings


def settings(tmp_path: Path, text: str) -> ProjectSettings:
    (tmp_path / "dioptra.toml").write_text(text, encoding="utf-8")
    return read_settings(tmp_path)


def test_without_a_file_all_is_as_by_default(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == ProjectSettings(share=(), file_limit=50_000_000)


def test_folders_and_a_limit(tmp_path: Path) -> None:
    found = settings(tmp_path, 'share = ["data", "more/images/"]\nfile_limit = "1.5 GB"\n')

    assert found == ProjectSettings(share=("data", "more/images"), file_limit=1_500_000_000)


@pytest.mark.parametrize(
    ("written", "size"),
    [("2000", 2000), ('"2000"', 2000), ('"3 kB"', 3000), ('"3KB"', 3000), ('"2 MiB"', 2 * 2**20), ('"0 B"', 0)],
)
def test_sizes(tmp_path: Path, written: str, size: int) -> None:
    assert settings(tmp_path, f"file_limit = {written}").file_limit == size


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("share = [", "is not valid TOML"),
        ('shared = ["data"]', "'shared' is not a setting; did you mean 'share'?"),
        ("x = 1", "'x' is not a setting; known are share and file_limit"),
        ('share = "data"', "share is 'data'"),
        ("share = [1]", "share is [1]"),
        ('share = ["../data"]', "share holds '../data'; name folders inside the project"),
        ('share = ["a/../../b"]', "share holds 'a/../../b'"),
        ('share = ["/data"]', "share holds '/data'"),
        ('share = ["."]', "share holds '.'"),
        ('share = [""]', "share holds ''"),
        ('share = ["data", "data/raw"]', "share names 'data/raw' twice"),
        ('share = ["data", "./data"]', "share names 'data' twice"),
        ('file_limit = "50 megabytes"', "file_limit is '50 megabytes'; write a size such as"),
        ("file_limit = -1", "file_limit is -1"),
        ("file_limit = true", "file_limit is True"),
        ("file_limit = 1.5", "file_limit is 1.5"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidProjectError) as caught:
        settings(tmp_path, text)

    assert sentence in str(caught.value)
    assert str(tmp_path / "dioptra.toml") in str(caught.value)


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "dioptra.toml").write_bytes(b"share = ['\xff']")

    with pytest.raises(InvalidProjectError, match="is not valid TOML"):
        read_settings(tmp_path)


def test_shared_folders_are_linked_and_hashed(tmp_path: Path) -> None:
    project, copy, elsewhere = tmp_path / "project", tmp_path / "copy", tmp_path / "elsewhere"
    for folder in (project / "more", copy, elsewhere):
        folder.mkdir(parents=True)
    (elsewhere / "a.npy").write_bytes(b"a")
    (project / "more" / "images").symlink_to(elsewhere)
    found = ProjectSettings(share=("more/images",))

    found.link_shared(project, copy)
    before = found.hash_shared(project, tmp_path / "cache")

    assert (copy / "more" / "images").resolve() == elsewhere
    assert (copy / "more" / "images" / "a.npy").read_bytes() == b"a"
    assert (before["more/images"].files, before["more/images"].bytes) == (1, 1)
    (elsewhere / "b.npy").write_bytes(b"b")
    assert found.hash_shared(project, tmp_path / "cache") != before


def test_a_shared_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidProjectError, match="the shared folder 'data' is not a folder of"):
        ProjectSettings(share=("data",)).link_shared(tmp_path, tmp_path / "copy")
