"""The code that a worker was sent: whole, one version at a time, and nothing of its own taken away."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dioptra.errors import FlowError
from dioptra.executors._code import Code, Folder, collect_code, hash_of, read_folder
from dioptra.executors._shelf import Shelf


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.modules.update(modules)


def code(path: str = "/nowhere", **files: str) -> Code:
    content = {f"{name}.py": text.encode() for name, text in files.items()}
    folder = Folder(path, hash_of(content), content)
    return Code(folder.sha256, (folder,))


def test_each_version_is_found_in_its_turn_and_its_classes_stay_the_same(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path))
    first, second = code(shelved="class A: pass\nword = 1"), code(shelved="class A: pass\nword = 2")
    seen = []
    for each in (first, second, first):
        with shelf.using(each):
            seen.append(importlib.import_module("shelved"))
    assert [module.word for module in seen] == [1, 2, 1]
    assert seen[0].A is seen[2].A


def test_one_version_at_a_time_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path))
    versions = [code(shelved=f"word = {number}") for number in range(2)]
    inside, seen = threading.Event(), list[str]()

    def use(number: int, seconds: float, name: str) -> None:
        with shelf.using(versions[number]):
            assert importlib.import_module("shelved").word == number
            seen.append(name)
            inside.set()
            time.sleep(seconds)
            assert importlib.import_module("shelved").word == number

    threads = [threading.Thread(target=use, args=(0, 0.5, "first"))]
    threads[0].start()
    assert inside.wait(10)
    for number, name in ((1, "other"), (0, "behind")):
        threads.append(threading.Thread(target=use, args=(number, 0.0, name)))
        threads[-1].start()
        time.sleep(0.1)
    assert seen == ["first"]
    for thread in threads:
        thread.join(10)
    assert seen == ["first", "other", "behind"]


def test_those_of_one_version_run_at_the_same_time(tmp_path: Path) -> None:
    shelf, meeting = Shelf(str(tmp_path)), threading.Barrier(2)
    met: list[int] = []

    def use() -> None:
        with shelf.using(code(shelved="")):
            met.append(meeting.wait(10))

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(met) == [0, 1]


def test_packages_installed_inside_the_project_stay(tmp_path: Path) -> None:
    """A project often has its environment in its own folder."""
    own = tmp_path / ".venv" / "lib" / "site-packages" / "installed_there.py"
    module = ModuleType("installed_there")
    module.__file__ = str(own)
    sys.modules["installed_there"] = module
    (tmp_path / "shelved.py").write_text("")
    shelf = Shelf(str(tmp_path))
    for text in ("", "word = 1"):
        sent = code(str(tmp_path), shelved=text, installed_there="word = 'not this'")
        with shelf.using(sent):
            importlib.import_module("shelved")
            assert sys.modules["installed_there"] is module


def test_what_is_not_what_its_hash_says_is_refused(tmp_path: Path) -> None:
    sent = code(shelved="word = 1")
    wrong = Code(sent.sha256, (sent.folders[0]._replace(files={"shelved.py": b"word = 2"}),))
    with (
        pytest.raises(FlowError, match="the code of '/nowhere' is not what was sent"),
        Shelf(str(tmp_path)).using(wrong),
    ):
        pass
    assert not list(tmp_path.iterdir())


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of `sys.path` that is not that of the script."""
    (tmp_path / "project").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path, str(tmp_path / "project")])
    return tmp_path / "project"


def collected(folder: Path) -> list[str]:
    return sorted(name for each in collect_code().folders if each.path == str(folder) for name in each.files)


def test_what_is_collected(project: Path) -> None:
    write(
        project, "script.py", "package/__init__.py", "package/deep/data.txt", "package/__pycache__/x.pyc", "no-name.py"
    )
    write(project, "data/large.py", "data/x.csv", ".venv/lib/a.py", "package/.hidden", "package/.git/config", ".x.py")
    write(project, "package/venv/pyvenv.cfg", "package/venv/a.py", "package/node_modules/a.js")
    found = next(folder for folder in collect_code().folders if folder.path == str(project))
    assert sorted(found.files) == ["package/__init__.py", "package/deep/data.txt", "script.py"]
    assert found.names() == {"script", "package"}
    assert not [folder for folder in collect_code().folders if "site-packages" in folder.path or "src" in folder.path]


@pytest.mark.parametrize("how", ["current", "plugins"])
def test_folders_without_a_word_are_packages_where_the_script_is(
    project: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Else a task that imports one itself would not find it."""
    write(project, "code_dir/a.py", "code_dir/labels.csv", "code_dir/sub/b.py", "code_dir/whole/__init__.py")
    write(project, "code_dir/whole/data.txt", "code_dir/none/deeper/c.py", "none/deeper/c.py", "no-name/a.py")
    write(project, "envs/pyvenv.cfg", "envs/a.py", "conda/conda-meta/history", "conda/a.py", "node_modules/a.py")
    write(project, "json/a.py", "pytest/a.py", ".hidden/a.py")
    assert collected(project) == []
    if how == "current":
        monkeypatch.chdir(project)
    else:
        monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", f"/nowhere:{project}")
    expected = ["code_dir/a.py", "code_dir/sub/b.py", "code_dir/whole/__init__.py", "code_dir/whole/data.txt"]
    assert collected(project) == expected


def test_one_that_was_imported_is_sent_whole(project: Path) -> None:
    write(project, "code_dir/labels.csv")
    (project / "code_dir/a.py").write_text("")
    importlib.import_module("code_dir.a")
    assert "code_dir/labels.csv" in collected(project)


def test_links_out_of_a_package_stay_here(project: Path, tmp_path: Path) -> None:
    write(tmp_path, "store/__init__.py", "store/here.txt", "secret/key")
    for name, target in (("linked", "here.txt"), ("key", "../secret/key"), ("folder", "../secret"), ("gone", "gone")):
        (tmp_path / "store" / name).symlink_to(target)
    (project / "package").symlink_to(tmp_path / "store")
    assert collected(project) == ["package/__init__.py", "package/here.txt", "package/linked"]


def test_what_is_no_regular_file_stays_here(project: Path) -> None:
    write(project, "package/__init__.py")
    for name in ("package/pipe", "pipe.py"):
        os.mkfifo(project / name)
    (project / "gone.py").symlink_to("nowhere.py")
    assert collected(project) == ["package/__init__.py"]


def test_too_much_is_refused_before_it_is_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "package/__init__.py", "package/large.bin")
    os.truncate(project / "package/large.bin", 2**31)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(
        FlowError, match="the modules of .* are 20[0-9]+ MiB, and 64 MiB in 10,000 files are sent .* at most"
    ):
        collect_code()


def test_too_many_files_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(project)])
    monkeypatch.setattr("dioptra.executors._code._MOST_FILES", 3)
    write(project, "package/__init__.py", "package/1", "package/2")
    assert len(collected(project)) == 3
    write(project, "package/3")
    with pytest.raises(FlowError, match="have more than 3 files, .*; keep data out of the packages"):
        collect_code()


def test_hashes_tell_names_and_contents_apart(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    assert read_folder(tmp_path).sha256 == hash_of({"a.py": b"x"})
    assert len({hash_of(files) for files in ({"a": b"bc"}, {"ab": b"c"}, {"a": b"b", "c": b""}, {"a": b"b"})}) == 4
