"""Contexts: where task plugins are imported from, and where `print` writes."""

from __future__ import annotations

import builtins
import io
import sys
from pathlib import Path

import pytest

from dioptra.sdk import plugin_dirs
from dioptra.sdk.utilities.contexts import redirect_print, sys_path_dirs


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", ["/script", "/lib", "/lib"])
    monkeypatch.chdir(tmp_path)


def made(folder: Path) -> str:
    folder.mkdir()
    return str(folder)


def test_the_current_folder_is_the_default_and_everything_is_as_before(tmp_path: Path) -> None:
    before = sys.path
    with plugin_dirs():
        assert sys.path == ["/script", str(tmp_path), "/lib"]
        assert sys.path is before
    assert sys.path == ["/script", "/lib", "/lib"]
    assert sys.path is before


def test_folders_of_the_setting_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (made(tmp_path / name) for name in "abc")
    monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", f"{first}:{second}::{tmp_path}/missing:/lib")
    with plugin_dirs(["c", tmp_path / "a", "missing"]):
        assert sys.path == ["/script", first, second, third, "/lib"]


def test_a_relative_folder_of_the_setting_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made(tmp_path / "a")
    monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", "a")
    with plugin_dirs([]):
        assert sys.path == ["/script", "/lib"]
    assert "'a', which is left out" in caplog.text


@pytest.mark.parametrize("kind", [str, Path])
def test_one_folder_may_stand_alone(tmp_path: Path, kind: type[str] | type[Path]) -> None:
    folder = made(tmp_path / "plugins")
    with plugin_dirs(kind(folder)):
        assert sys.path[1] == folder


def test_the_path_is_restored_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), plugin_dirs():
        raise ZeroDivisionError
    assert sys.path == ["/script", "/lib", "/lib"]


def test_plugins_are_imported_and_stay(tmp_path: Path) -> None:
    from dioptra import pyplugs

    (tmp_path / "plugin_of_this_test.py").write_text(
        "from dioptra import pyplugs\n@pyplugs.register\ndef one(): return 1\n", encoding="utf-8"
    )
    with plugin_dirs():
        assert pyplugs.call("", "plugin_of_this_test") == 1
    assert pyplugs.call("", "plugin_of_this_test") == 1
    del sys.modules["plugin_of_this_test"]


class TestSysPathDirs:
    def test_it_does_without_the_setting(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", made(tmp_path / "a"))
        before = sys.path
        with sys_path_dirs(["missing", made(tmp_path / "b")]):
            assert sys.path == ["/script", str(tmp_path / "b"), "/lib"]
        assert sys.path is before
        assert sys.path == ["/script", "/lib", "/lib"]

    def test_the_current_folder_is_the_default(self, tmp_path: Path) -> None:
        with sys_path_dirs():
            assert sys.path[1] == str(tmp_path)
        with pytest.raises(ZeroDivisionError), sys_path_dirs():
            raise ZeroDivisionError
        assert sys.path == ["/script", "/lib", "/lib"]


class TestRedirectPrint:
    def test_into_a_stream(self, capsys: pytest.CaptureFixture[str]) -> None:
        target = io.StringIO()
        with redirect_print(target):
            print("a", 1, None, sep="-", end="!")
            print("b", "c", sep=None, end=None)
            print("to stderr", file=sys.stderr, flush=True)
            print()
            sys.stdout.write("written\n")
        print("after")
        assert target.getvalue() == "a-1-None!b c\nto stderr\n\n"
        assert capsys.readouterr() == ("written\nafter\n", "")

    def test_into_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        before = builtins.print
        with redirect_print():
            print("dropped")
        assert builtins.print is before
        assert capsys.readouterr().out == ""

    def test_print_is_restored_after_an_error_and_redirections_may_nest(self) -> None:
        before = builtins.print
        outer, inner = io.StringIO(), io.StringIO()
        with pytest.raises(ZeroDivisionError), redirect_print(outer), redirect_print(inner):
            raise ZeroDivisionError
        assert builtins.print is before
        with redirect_print(outer):
            with redirect_print(inner):
                print("in")
            print("out")
        assert (outer.getvalue(), inner.getvalue()) == ("out\n", "in\n")
