"""The code that a worker was sent: whole, one version at a time, and nothing of its own taken away."""

from __future__ import annotations

import importlib
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


def test_what_is_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "script.py",
        "package/__init__.py",
        "package/deep/data.txt",
        "package/__pycache__/x.pyc",
        "no-name.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for name in ("data/large.py", "data/x.csv", ".venv/lib/a.py", "package/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = next(folder for folder in collect_code().folders if folder.path == str(tmp_path))
    assert sorted(found.files) == ["package/__init__.py", "package/deep/data.txt", "script.py"]
    assert found.names() == {"script", "package"}
    assert not [folder for folder in collect_code().folders if "site-packages" in folder.path or "src" in folder.path]


def test_hashes_tell_names_and_contents_apart(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    assert read_folder(tmp_path).sha256 == hash_of({"a.py": b"x"})
    assert len({hash_of(files) for files in ({"a": b"bc"}, {"ab": b"c"}, {"a": b"b", "c": b""}, {"a": b"b"})}) == 4
