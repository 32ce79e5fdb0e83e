"""Paths: extensions, folders to clear, the current folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dioptra.errors import UsageError
from dioptra.sdk.utilities.paths import clear_directory, set_cwd, set_path_ext


@pytest.mark.parametrize(
    ("path", "ext", "expected"),
    [
        ("images.csv", "json", "images.json"),
        ("images.csv", ".json", "images.json"),
        ("images.tar.gz", "zip", "images.zip"),
        ("images", "csv.gz", "images.csv.gz"),
        ("a.b/images.x.y.z", "csv", "a.b/images.csv"),
        ("/a/.hidden", "csv", "/a/.hidden.csv"),
        (".hidden.csv", "json", ".hidden.json"),
        ("a/images.csv", "", "a/images"),
    ],
)
def test_all_extensions_are_replaced(path: str, ext: str, expected: str) -> None:
    for given in (path, Path(path)):
        assert set_path_ext(given, ext) == Path(expected)


@pytest.mark.parametrize(("path", "ext"), [("", "csv"), ("/", "csv"), (".", "csv"), ("x", "a/b"), ("x", "../y")])
def test_what_can_have_no_extension(path: str, ext: str) -> None:
    with pytest.raises(UsageError, match="cannot be given the extension"):
        set_path_ext(path, ext)


class TestClearDirectory:
    def test_all_that_is_in_it_goes_and_nothing_else(self, tmp_path: Path) -> None:
        outside, folder = tmp_path / "outside", tmp_path / "folder"
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "file").write_text("")
        (folder / ".hidden").write_text("")
        outside.mkdir()
        (outside / "kept").write_text("")
        (folder / "link").symlink_to(outside)
        (folder / "dangling").symlink_to(tmp_path / "nowhere")
        inode = folder.stat().st_ino

        clear_directory(str(folder))

        assert list(folder.iterdir()) == []
        assert folder.stat().st_ino == inode
        assert (outside / "kept").exists()

    @pytest.mark.parametrize("name", ["missing", "file"])
    def test_only_a_folder(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match=f"{name}' is no folder"):
            clear_directory(tmp_path / name)
        assert (tmp_path / "file").exists()


class TestSetCwd:
    def test_inside_the_block_alone(self, tmp_path: Path) -> None:
        before = Path.cwd()
        with set_cwd(tmp_path):
            assert Path.cwd() == tmp_path
        assert Path.cwd() == before
        with pytest.raises(ZeroDivisionError), set_cwd(str(tmp_path)):
            raise ZeroDivisionError
        assert Path.cwd() == before

    def test_only_a_folder(self, tmp_path: Path) -> None:
        before = Path.cwd()
        with pytest.raises(UsageError, match="is no folder"), set_cwd(tmp_path / "missing"):
            pass
        assert Path.cwd() == before
