"""What of a project is captured: which files, with what in them, and what is refused by name."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

import pytest

from dioptra.errors import CaptureError, InvalidProjectError
from dioptra.experiment import Library
from dioptra.experiment._blobs import blobs
from dioptra.experiment._files import Scope, WorkTree
from tests.integration.repositories import Take, contents, git, repository, taker, write


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that is no repository."""
    return write(tmp_path / "project", {"train.py": "print(0)\n"})


def test_files_are_taken_as_they_lie_on_disk(take: Take, tmp_path: Path) -> None:
    names = ("same", "changed", "staged", "both", "removed", "unstaged", "sub/deep/same")
    project = repository(tmp_path / "project", dict.fromkeys(names, "old\n"))
    write(project, changed="new\n", staged="new\n", both="in the index\n", added="new\n")
    git(project, "add", "staged", "both", "added")
    git(project, "rm", "-q", "--cached", "unstaged")
    write(project, both="on disk\n", untracked="new\n")
    (project / "removed").unlink()

    assert {name: content for name, (_, content) in take(project).items()} == {
        **dict.fromkeys(("same", "sub/deep/same", "unstaged"), b"old\n"),
        **dict.fromkeys(("changed", "staged", "added", "untracked"), b"new\n"),
        "both": b"on disk\n",
    }


def test_ignored_files_are_left_out_unless_git_tracks_them(take: Take, tmp_path: Path) -> None:
    rules = {".gitignore": "*.log\n/build/\n!keep.log\n", "sub/.gitignore": "local\n"}
    project = repository(tmp_path / "project", rules)
    ignored = ("a.log", "forced.log", "build/x", "sub/local", "sub/b.log", "excluded")
    write(project, dict.fromkeys((*ignored, "keep.log", "sub/keep.log", "sub/build/x", "local"), "x"))
    git(project, "add", "-f", "forced.log")
    with (project / ".git/info/exclude").open("a") as file:
        file.write("excluded\n")

    wanted = {"keep.log", "sub/keep.log", "sub/build/x", "local", "forced.log", ".gitignore", "sub/.gitignore"}
    assert set(take(project)) == wanted
    git(project, "rm", "-q", "--cached", "forced.log")
    assert set(take(project)) == wanted - {"forced.log"}


def test_files_that_are_ignored_only_now_are_left_out(take: Take, project: Path) -> None:
    write(project, {"out/a": "", "out/deep/b": "", "c": "1", "d.tmp": ""})
    assert set(take(project)) == {"train.py", "out/a", "out/deep/b", "c", "d.tmp"}
    write(project, {"out/.gitignore": "*\n"})  # as tools do, which also hides the rules themselves
    assert set(take(project)) == {"train.py", "c", "d.tmp"}
    write(project, {"c": "2", ".dioptraignore": "c\n"})  # changed and ignored at once
    assert set(take(project)) == {"train.py", "d.tmp", ".dioptraignore"}
    write(project, {"out/.gitignore": "*\n!a\n", ".dioptraignore": ""})
    assert set(take(project)) == {"train.py", "out/a", "c", "d.tmp", ".dioptraignore"}


def test_a_folder_that_is_no_repository_has_ignore_rules_too(take: Take, project: Path) -> None:
    write(project, {".gitignore": "*.log\n", "a.log": "", "sub/b.log": "", "sub/c.py": "", "sub/.gitignore": "!b.log"})

    assert set(take(project)) == {"train.py", ".gitignore", "sub/.gitignore", "sub/b.log", "sub/c.py"}


def test_dioptraignore_leaves_out_tracked_files_too(take: Take, tmp_path: Path) -> None:
    files = ("train.py", "big.bin", "small.bin", "data/a", "data/keep/b", "sub/data/c", "sub/big.bin", "notes ")
    rules = "*.bin\n!small.bin\n/data/*\n!/data/keep\n# train.py\nnotes\\ \n"
    project = repository(tmp_path / "project", {**dict.fromkeys(files, "x"), ".dioptraignore": rules})
    write(project, {"new.bin": "", "sub/small.bin": "", ".gitignore": "ignored\n", "ignored": ""})

    kept = {"train.py", "small.bin", "data/keep/b", "sub/data/c", "sub/small.bin", ".dioptraignore", ".gitignore"}
    assert set(take(project)) == kept
    write(project, {".dioptraignore": "!ignored\n"})  # it leaves out, and brings nothing back
    assert set(take(project)) == {*files, "new.bin", "sub/small.bin", ".dioptraignore", ".gitignore"}


NEVER = (".dioptra/a", ".venv/bin/a", ".env", ".env.local", ".envrc", "__pycache__/a.pyc", "mlruns/0/a", "mlflow.db",
         "mlflow.db-wal", "mlruns", ".venv")  # fmt: skip
NEARLY = (".environment.py"[1:], "venv/a", "my.env", "env", "mlruns.py", "mlflow_db", "pycache", ".github/a",
          ".gitattributes", ".dioptra.toml", "a mlflow.db", ".venv\n")  # fmt: skip


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("place", ["", "experiments/one"])
@pytest.mark.parametrize("depth", ["", "sub/deep"])
def test_some_names_are_never_captured(take: Take, tmp_path: Path, tracked: bool, place: str, depth: str) -> None:
    top = repository(tmp_path / "project")
    project = top / place
    write(project, {"train.py": ""})
    wanted = dict.fromkeys((f"{depth}/{name}".removeprefix("/") for name in NEARLY), "x")
    unwanted = [f"{depth}/{name}".removeprefix("/") for name in NEVER[:-2]]
    write(project, {**wanted, **dict.fromkeys(unwanted, "x")})
    write(project / "files", dict.fromkeys(NEVER[-2:], "x"))
    if tracked:
        git(top, "add", "-f", "-A")

    assert set(take(project)) == {"train.py", *wanted}


def test_a_project_may_lie_below_a_folder_of_such_a_name(take: Take, tmp_path: Path) -> None:
    top = repository(tmp_path / "project", {"mlruns/.env/one/train.py": ""})
    write(top / "mlruns/.env/one", {"new.py": "", ".env": ""})

    assert set(take(top / "mlruns/.env/one")) == {"train.py", "new.py"}


def test_the_executable_bit_is_kept(take: Take, project: Path) -> None:
    write(project, {"run.sh": "#!/bin/sh\n"})
    for mode, kind in ((0o755, "program"), (0o644, "file"), (0o700, "program"), (0o655, "file"), (0o4555, "program")):
        (project / "run.sh").chmod(mode)
        assert take(project)["run.sh"] == (kind, b"#!/bin/sh\n")


INSIDE = ["train.py", "sub", "./sub/", "sub/a.py", "sub/nothing", "nothing/at/all", ".", "sub/..x", "...", "nö\udcff"]
OUT = ["..", "../x", "/etc/passwd", "/", "sub/../..", "../project/train.py", "./..", "sub/back/../x", "sub/../train.py"]


@pytest.mark.parametrize("target", INSIDE)
def test_links_inside_the_project_stay_links(take: Take, project: Path, target: str) -> None:
    write(project, {"sub/a.py": ""})
    (project / "link").symlink_to(target)
    (project / "sub/deep").mkdir()
    (project / "sub/deep/link").symlink_to(f"../../{target}")

    taken = take(project)

    assert taken["link"] == ("link", os.fsencode(target))
    assert taken["sub/deep/link"] == ("link", os.fsencode(f"../../{target}"))


@pytest.mark.parametrize("place", ["", "inner"])
@pytest.mark.parametrize("target", OUT)
def test_links_that_lead_out_are_refused_by_name(take: Take, tmp_path: Path, target: str, place: str) -> None:
    top = repository(tmp_path / "project", {"x": "", "inner/x": ""})
    project = write(top / place, {"sub/a.py": "", "train.py": ""})
    (project / "sub/back").symlink_to("..")
    (project / "link").symlink_to(target)

    with pytest.raises(
        CaptureError, match=re.escape(f"{project}: 'link' is a link that leads, or may lead, out of the project")
    ):
        take(project)
    write(project, {".dioptraignore": "/link\n"})
    assert "link" not in take(project)


def test_links_through_links_never_lead_out(take: Take, project: Path, tmp_path: Path) -> None:
    """Each of these stays inside by what it says; together they must do so too."""
    write(project, {"p/q/a": "", "secret": ""})
    (project / "p/q/top").symlink_to("../..")
    (project / "chain").symlink_to("p/q/top/p/q/top/train.py")
    assert take(project)["chain"][0] == "link"

    (project / "evil").symlink_to("p/q/top/../secret")
    with pytest.raises(CaptureError, match="'evil' is a link that leads, or may lead, out"):
        take(project)


@pytest.mark.parametrize("count", [1, 150])
def test_an_edit_is_seen_that_changes_neither_size_nor_second(take: Take, tmp_path: Path, count: int) -> None:
    for attempt in range(9):
        files = {f"f{number}": "1" for number in range(count)}
        project = write(tmp_path / f"project{attempt}", files)
        sleep_until_the_next_second(0.2 * (attempt % 3))
        write(project, files)
        began = int(time.time())
        take(project)
        write(project, {"f0": "2"})
        if int(time.time()) == began:
            break
    sleep_until_the_next_second()

    for _ in range(3):
        assert take(project)["f0"] == ("file", b"2")


def sleep_until_the_next_second(more: float = 0.01) -> None:
    time.sleep(1 - time.time() % 1 + more)


def test_files_folders_and_links_take_each_others_place(take: Take, tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"a/x": "1", "b/x": "1", "c": "1", "d": "1"})
    take(project)
    for name in ("a", "b"):
        (project / name / "x").unlink()
        (project / name).rmdir()
    for name in ("c", "d"):
        (project / name).unlink()
    write(project, {"b": "2", "c/x": "2", "other/x": "1", "other/y": "2"})
    (project / "a").symlink_to("other")  # where x has the same content as before
    (project / "d").symlink_to("b")

    expected = {"a": ("link", b"other"), "b": ("file", b"2"), "c/x": ("file", b"2"), "d": ("link", b"b"),
                "other/x": ("file", b"1"), "other/y": ("file", b"2")}  # fmt: skip
    assert take(project) == expected
    (project / "a").unlink()
    (project / "other").rename(project / "a")
    (project / "d").unlink()
    write(project, {"d/x/y": "3"})
    assert take(project) == {"a/x": ("file", b"1"), "a/y": ("file", b"2"), "b": ("file", b"2"),
                             "c/x": ("file", b"2"), "d/x/y": ("file", b"3")}  # fmt: skip


def test_a_repository_sees_only_its_own_rules_above_the_project(take: Take, tmp_path: Path) -> None:
    files = {".gitignore": "*.log\n/one/top\n", "group/.gitignore": "secret\n", "other/x": "", "group/beside": ""}
    top = repository(tmp_path / "top", files)
    project = write(top / "group/one*", dict.fromkeys(("a.log", "secret", "top", "train.py", "-n", "sub/b.log"), "x"))
    write(top / "group/one", {"neighbour": ""})

    assert set(take(project)) == {"top", "train.py", "-n"}
    write(top, {"group/.gitignore": "!*.log\n"})
    assert set(take(project)) == {"top", "train.py", "-n", "a.log", "sub/b.log", "secret"}


def test_a_project_that_its_repository_ignores_stands_alone(take: Take, tmp_path: Path) -> None:
    top = repository(tmp_path / "top", {".gitignore": "/out/\n*.csv\n"})
    project = write(top / "out/one", {"train.py": "", "a.csv": "", ".gitignore": "b.csv\n", "b.csv": ""})

    assert set(take(project)) == {"train.py", "a.csv", ".gitignore"}
    write(project, {"train.py": "2"})
    assert take(project)["train.py"] == ("file", b"2")


@pytest.mark.parametrize("first", [False, True])
def test_a_project_without_a_file_that_its_repository_wants_stands_alone(
    take: Take, tmp_path: Path, first: bool
) -> None:
    top = repository(tmp_path / "top", {".gitignore": "*.csv\n", "one/train.py": ""})
    write(top / "one", {"a.csv": ""})
    if first:
        assert set(take(top / "one")) == {"train.py"}
    (top / "one/train.py").unlink()

    assert set(take(top / "one")) == {"a.csv"}


def test_files_over_the_limit_are_refused_by_name(take: Take, project: Path) -> None:
    with (project / "huge.bin").open("wb") as file:
        file.truncate(50_000_001)
    with pytest.raises(
        CaptureError, match="'huge.bin' has 50,000,001 bytes, the limit is 50,000,000; raise `file_limit`"
    ):
        take(project)
    (project / "huge.bin").open("r+b").truncate(1001)
    write(project, {"dioptra.toml": 'file_limit = "1001 B"\n'})
    assert set(take(project)) == {"train.py", "huge.bin", "dioptra.toml"}
    write(project, {"dioptra.toml": "file_limit = 1000\n"})  # the file was captured before
    with pytest.raises(CaptureError, match="'huge.bin' has 1,001 bytes, the limit is 1,000"):
        take(project)
    write(project, {".dioptraignore": "*.bin\n"})
    assert set(take(project)) == {"train.py", "dioptra.toml", ".dioptraignore"}


def test_several_problems_are_named_at_once(take: Take, project: Path) -> None:
    for number in range(7):
        (project / f"link{number}").symlink_to("/etc")
    (project / "huge").open("wb").truncate(3_000_000_000)

    with pytest.raises(CaptureError) as caught:
        take(project)

    assert "'huge' has 3,000,000,000 bytes" in caught.value.message
    assert "'link3' is a link" in caught.value.message
    assert caught.value.message.endswith("; and 3 more")
    assert (caught.value.where, caught.value.exit_code) == (str(project), 7)


@pytest.mark.parametrize("name", [".GIT/config", "sub/.Git", ".gitmodules"])
def test_names_that_git_cannot_keep_are_refused(take: Take, project: Path, name: str) -> None:
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).symlink_to("train.py" if name == ".gitmodules" else "x")

    with pytest.raises(CaptureError, match=re.escape(f"{name!r} has a name that git cannot keep")):
        take(project)


def test_files_that_go_or_turn_into_something_else_while_they_are_read(project: Path) -> None:
    write(project, dict.fromkeys(("a", "gone", "link", "folder", "pipe", "z"), "x"))
    found = blobs(Scope(WorkTree(project), project), [b"a", b"gone", b"link", b"folder", b"pipe", b"z"], 10)
    assert next(found)[0].path == b"a"
    for name in ("gone", "link", "folder", "pipe"):
        (project / name).unlink()
    (project / "link").symlink_to("a")
    (project / "folder").mkdir()
    os.mkfifo(project / "pipe")

    assert [(entry.path, entry.mode, content) for entry, content in found] == [
        (b"link", "120000", b"a"),
        (b"z", "100644", b"x"),
    ]


def test_what_is_neither_file_nor_link_is_no_code(take: Take, tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"train.py": "", "pipe": "was a file", "sub/x": ""})
    take(project)
    (project / "pipe").unlink()
    os.mkfifo(project / "pipe")
    os.mkfifo(project / "other")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(project / "socket"))
        (project / "empty").mkdir()
        assert set(take(project)) == {"train.py", "sub/x"}


@pytest.mark.parametrize("files", [(), ("ignored", ".gitignore"), (".env",), ("empty/folder/.venv/x",)])
def test_an_empty_project_is_refused(take: Take, tmp_path: Path, files: tuple[str, ...]) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write(project, dict.fromkeys(files, "*\n"))

    with pytest.raises(CaptureError, match=f"{project}: there is nothing to capture"):
        take(project)
    write(project, {"train.py": "", ".gitignore": ""})
    assert "train.py" in take(project)
    for file in project.iterdir():
        if file.is_file():
            file.unlink()
    with pytest.raises(CaptureError, match="there is nothing to capture"):
        take(project)


def test_settings_that_are_no_file_are_refused(take: Take, project: Path) -> None:
    (project / "dioptra.toml").symlink_to("/dev/zero")
    with pytest.raises(InvalidProjectError, match="dioptra.toml"):
        take(project)
    (project / "dioptra.toml").unlink()
    os.mkfifo(project / "dioptra.toml")
    with pytest.raises(InvalidProjectError, match="dioptra.toml"):
        take(project)


@pytest.mark.parametrize("is_repository", [False, True])
def test_the_home_is_never_captured(tmp_path: Path, project: Path, is_repository: bool) -> None:
    if is_repository:
        repository(project, {"train.py": "", ".git/info/exclude": "*.tmp\n"})
    home = project / "my home [1]"
    experiment = Library(home / "experiments").open_experiment("x")
    write(home, {"token": "secret", "jobs/1/log.txt": "", "jobs/1/a.tmp": ""})
    write(project, {"my home 1": "", "my home [1]2": ""})
    take = taker(experiment, tmp_path)

    assert set(take(project, left_out=(home,))) == {"train.py", "my home 1", "my home [1]2"}
    inner = {"1/log.txt"} if is_repository else {"1/log.txt", "1/a.tmp"}
    assert set(take(home / "jobs", left_out=(home,))) == inner  # a project may lie in it


def test_the_library_is_never_captured(tmp_path: Path, project: Path) -> None:
    experiment = Library(project / "library").open_experiment("x")

    assert set(taker(experiment, tmp_path)(project)) == {"train.py"}
    assert set(contents(project / "library")) > {"x/experiment.json"}


def test_shared_folders_are_not_captured(take: Take, tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"train.py": "", "data/tracked": "", "sub/data/x": "", "database": ""})
    write(project, {"dioptra.toml": 'share = ["data", "sub/data", "link", "module"]\n', "data/deep/new": ""})
    (project / "link").symlink_to(tmp_path)  # on another disk, say
    (project / "a").symlink_to("link/laid-out")
    repository(project / "module", {"x": ""})

    assert set(take(project)) == {"train.py", "dioptra.toml", "database", "a"}
    write(project, {"dioptra.toml": 'share = ["link"]\n'})
    assert set(take(project)) >= {"data/tracked", "data/deep/new", "sub/data/x", "module/x"}
