"""Environments that the real uv builds of packages that the tests made: once, whole or not at all, and reused."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra.errors import InvalidProjectError
from dioptra.mlproject import read_project, read_python_env
from dioptra.storage import Home
from dioptra.worker import BuiltEnv, WantedEnv, build_env
from tests.acceptance.workbench import is_gone, wait_for
from tests.wheels import make_waiting_package, make_wheel

_BUILD = """
import sys
from pathlib import Path
from dioptra.mlproject import read_project, read_python_env
from dioptra.storage import Home
from dioptra.worker import WantedEnv, build_env
wanted = WantedEnv(read_python_env(read_project(Path(sys.argv[1]))), testbed="")
print(build_env(Home(Path(sys.argv[2])), wanted, on_build=lambda said: print(said, flush=True)).folder)
"""


@pytest.fixture(autouse=True)
def _only_these_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    make_wheel(tmp_path / "wheels", "tiny", "1.0")
    make_wheel(tmp_path / "wheels", "tiny", "2.0")
    make_wheel(tmp_path / "wheels", "other-one", "3.0", "tiny<2")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


Asking = Callable[..., WantedEnv]


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    """Return what a project asks for; the testbed is left out, for it would need an index."""

    def ask(text: str, **files: str) -> WantedEnv:
        (tmp_path / "project").mkdir(exist_ok=True)
        (tmp_path / "project" / "MLproject").write_text("python_env: python_env.yaml")
        (tmp_path / "project" / "python_env.yaml").write_text(text)
        for stem, content in files.items():
            (tmp_path / "project" / f"{stem}.txt").write_text(content)
        declared = read_python_env(read_project(tmp_path / "project"))
        assert declared is not None
        return WantedEnv(declared, testbed="")

    return ask


def version_in(env: BuiltEnv, module: str = "tiny") -> str:
    code = f"import {module}; print({module}.VERSION)"
    done = subprocess.run([env.bin_dir / "python", "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_is_asked_for_is_installed_and_recorded_and_used_again(home: Home, asking: Asking) -> None:
    wanted = asking("dependencies: [-r requirements.txt]", requirements="# packages\nother_one\n")
    said: list[str] = []

    env = build_env(home, wanted, on_build=said.append)
    again = build_env(home, wanted, on_build=said.append)

    assert said == ["building the environment of python_env.yaml (1 dependency) ..."]
    assert again == env == wanted.place(home)
    assert (version_in(env), version_in(env, "other_one")) == ("1.0", "3.0")
    described, recorded = env.describe(), json.loads(env.record_file.read_text())
    assert described["packages"] == recorded["packages"] == {"other-one": "3.0", "tiny": "1.0"}
    assert described["python"] == recorded["python"] == f"CPython {sys.version.split()[0]}"
    assert described["python_env"] == wanted.sha256
    assert recorded["wanted"]["lines"] == ["other_one"]
    assert wanted.describe(home) == described


def test_constraints_and_build_dependencies_count(home: Home, asking: Asking) -> None:
    limited = build_env(home, asking("dependencies: [tiny, -c limits.txt]", limits="tiny<2"))
    newest = build_env(home, asking("dependencies: [tiny]"))
    first = build_env(home, asking("build_dependencies: [other-one]\ndependencies: []"))

    assert [version_in(env) for env in (limited, newest, first)] == ["1.0", "2.0", "1.0"]


def test_two_processes_that_ask_at_once_build_once(home: Home, asking: Asking, tmp_path: Path) -> None:
    wanted = asking("dependencies: [tiny]")
    home.make()
    home.envs_dir.mkdir()
    argv = [sys.executable, "-c", _BUILD, str(tmp_path / "project"), str(home.path)]
    with (home.envs_dir / f"{wanted.sha256}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        waiting = [each.stdout.readline() for each in both if each.stdout]
    said = [each.communicate(timeout=60)[0] for each in both]

    assert waiting == ["waiting for another process that builds the environment of python_env.yaml ...\n"] * 2
    assert "".join(said).count("building the environment") == 1
    assert "".join(said).count(str(wanted.place(home).folder)) == 2


def test_two_threads_that_ask_at_once_build_once(home: Home, asking: Asking) -> None:
    wanted, said = asking("dependencies: [tiny]"), list[str]()
    threads = [threading.Thread(target=build_env, args=(home, wanted), kwargs={"on_build": said.append}) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([sentence for sentence in said if sentence.startswith("building")]) == 1
    assert version_in(wanted.place(home)) == "2.0"


def test_a_build_that_was_killed_is_not_used_and_made_anew(home: Home, asking: Asking, tmp_path: Path) -> None:
    make_waiting_package(tmp_path / "wheels", tmp_path / "place")
    wanted = asking("dependencies: [waits, tiny]")
    argv = [sys.executable, "-c", _BUILD, str(tmp_path / "project"), str(home.path)]
    builder = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    backend = int(wait_for(tmp_path / "place" / "started"))
    builder.send_signal(signal.SIGSTOP)
    (supervisor,) = Path(f"/proc/{builder.pid}/task/{builder.pid}/children").read_text().split()
    for pid in (int(supervisor), builder.pid):  # nobody is left who would end uv
        os.kill(pid, signal.SIGKILL)
    builder.wait()

    assert not is_gone(backend, seconds=0.2)
    assert not wanted.place(home).is_whole
    (tmp_path / "place" / "started").unlink()
    again = threading.Thread(target=build_env, args=(home, wanted))
    again.start()
    wait_for(tmp_path / "place" / "started")
    assert is_gone(backend)  # it is ended: it would still wait
    (tmp_path / "place" / "go").touch()
    again.join(30)
    assert version_in(wanted.place(home)) == "2.0"


def test_a_build_that_is_cancelled_ends_all_of_it_and_leaves_nothing(
    home: Home, asking: Asking, tmp_path: Path
) -> None:
    make_waiting_package(tmp_path / "wheels", tmp_path / "place")
    wanted, cancel, ended = asking("dependencies: [waits]"), threading.Event(), list[type[BaseException]]()

    def build() -> None:
        try:
            build_env(home, wanted, cancel=cancel)
        except BaseException as error:
            ended.append(type(error))

    builder = threading.Thread(target=build)
    builder.start()
    backend = int(wait_for(tmp_path / "place" / "started"))
    cancel.set()
    builder.join(30)

    assert ended == [KeyboardInterrupt]
    assert is_gone(backend)
    assert not wanted.place(home).folder.exists()


def test_who_waits_can_be_cancelled(home: Home, asking: Asking) -> None:
    wanted, cancel = asking("dependencies: [tiny]"), threading.Event()
    home.make()
    home.envs_dir.mkdir()
    with (home.envs_dir / f"{wanted.sha256}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(KeyboardInterrupt):
            build_env(home, wanted, on_build=lambda said: cancel.set(), cancel=cancel)


def test_an_environment_whose_python_is_gone_is_made_anew(home: Home, asking: Asking) -> None:
    wanted = asking("dependencies: [tiny]")
    (build_env(home, wanted).bin_dir / "python").unlink()

    assert version_in(build_env(home, wanted)) == "2.0"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dependencies: [tiny>2]", "tiny"),
        ("dependencies: [not-there]", "not-there was not found in the provided package locations"),
        ("dependencies: [other-one, tiny>=2]", "other-one"),
        ("python: '3.99'\ndependencies: [tiny]", "No interpreter found for Python 3.99"),
    ],
)
def test_what_cannot_be_built_is_one_sentence_with_uvs_reason(
    home: Home, asking: Asking, text: str, sentence: str
) -> None:
    wanted = asking(text)
    with pytest.raises(InvalidProjectError) as caught:
        build_env(home, wanted)

    assert str(caught.value).startswith(f"{wanted.declared.file}: the environment cannot be built (")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not wanted.place(home).folder.exists()


def test_no_credentials_are_told(
    home: Home, asking: Asking, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:pass-word@127.0.0.1:9/simple?token=abc")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(InvalidProjectError, match="http://127.0.0.1:9/simple") as caught:
        build_env(home, asking("dependencies: [not-there]"))

    for text in (str(caught.value), *capfd.readouterr()):
        assert not [word for word in ("somebody", "pass-word", "abc") if word in text]


def test_settings_of_the_projects_folder_are_not_read(
    tmp_path: Path, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "uv.toml").write_text("not toml")
    monkeypatch.chdir(tmp_path / "project")

    env = build_env(Home(tmp_path / "project" / ".dioptra"), asking("dependencies: [tiny]"))

    assert version_in(env) == "2.0"
