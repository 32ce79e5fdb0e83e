"""The repository around a project: what is recorded of it, and that it is only looked at."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from dioptra.experiment import Experiment, Library
from tests.integration.repositories import Take, fingerprint, git, repository, write


def state(experiment: Experiment, project: Path) -> dict[str, Any]:
    """Return what is recorded of the repository, twice looked at, which must be the same."""
    first = experiment.capture(project, conditions=dict).repository
    again = experiment.capture(project, conditions=dict).repository
    assert first == again
    assert first is not None
    return first


def test_no_repository_is_recorded_as_none(experiment: Experiment, tmp_path: Path) -> None:
    project = write(tmp_path / "project", {"train.py": ""})

    assert experiment.capture(project).repository is None
    git(project, "init", "-q")
    recorded = state(experiment, project)
    assert (recorded["head"], recorded["branch"], recorded["remote"]) == (None, "main", None)


@pytest.mark.parametrize("place", ["", "inner"])
def test_commit_branch_and_root(experiment: Experiment, tmp_path: Path, place: str) -> None:
    top = repository(tmp_path / "project", {"inner/train.py": ""})
    project = top / place
    recorded = state(experiment, project)
    assert recorded["head"] == git(top, "rev-parse", "HEAD")
    assert (recorded["root"], recorded["branch"], recorded["dirty"]) == (str(top), "main", False)
    before = experiment.get_snapshot("last")
    git(top, "checkout", "-qb", "topic/one")
    git(top, "commit", "-q", "--allow-empty", "-m", "second")
    recorded = state(experiment, project)
    assert (recorded["head"], recorded["branch"]) == (git(top, "rev-parse", "HEAD"), "topic/one")
    git(top, "pack-refs", "--all")
    git(top, "update-ref", "refs/heads/topic/one", "HEAD^")
    assert state(experiment, project)["head"] == git(top, "rev-parse", "HEAD")
    git(top, "checkout", "-q", "--detach")
    assert state(experiment, project)["branch"] is None
    assert experiment.get_snapshot("last") == before  # the code is still the same


def change(project: Path) -> None:
    write(project, {"train.py": "changed"})


def stage(project: Path) -> None:
    git(project, "add", "-A")


def change_what_is_not_captured(project: Path) -> None:
    write(project, {".env": "changed"})


def change_and_back(project: Path) -> None:
    write(project, {"train.py": "changed"})
    write(project, {"train.py": "print(0)\n"})


def add(project: Path) -> None:
    write(project, {"untracked": ""})


def make_link_anew(project: Path) -> None:
    (project / "link").unlink()
    (project / "link").symlink_to("train.py")


@pytest.mark.parametrize(
    ("steps", "dirty"),
    [
        ([], False),
        ([change], True),
        ([change, stage], True),
        ([change, stage, change_and_back], True),
        ([change_what_is_not_captured], True),
        ([change_and_back], False),
        ([add], False),
        ([add, stage], True),
        ([make_link_anew], False),
        ([lambda project: (project / "train.py").chmod(0o755)], True),
        ([lambda project: (project / "train.py").unlink()], True),
        ([lambda project: git(project, "rm", "-q", "--cached", "train.py")], True),
    ],
)
def test_dirty_means_that_tracked_files_differ_from_the_commit(
    experiment: Experiment, tmp_path: Path, steps: list[Callable[[Path], object]], dirty: bool
) -> None:
    project = write(tmp_path / "project", {"train.py": "print(0)\n", ".env": "", "other": ""})
    (project / "link").symlink_to("train.py")
    repository(project, {"run.sh": ""})
    assert state(experiment, project)["dirty"] is False
    for step in steps:
        step(project)

    assert state(experiment, project)["dirty"] is dirty


def test_an_edit_within_the_second_of_the_commit_is_dirty(experiment: Experiment, tmp_path: Path) -> None:
    for attempt in range(9):
        time.sleep(1 - time.time() % 1)
        began = int(time.time())
        project = repository(tmp_path / f"project{attempt}", {"train.py": "1"})
        write(project, {"train.py": "2"})
        if int(time.time()) == began:
            break
    time.sleep(1.01 - time.time() % 1)

    assert state(experiment, project)["dirty"] is True


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://me:secret@example.org:8443/a/b.git?token=secret#secret", "https://example.org:8443/a/b.git"),
        ("https://secret@example.org/a@b/c", "https://example.org/a@b/c"),
        ("https://me:sec@ret@example.org/x", "https://example.org/x"),
        ("https://[::1]:80/x", "https://[::1]:80/x"),
        ("ssh://git@example.org/x", "ssh://example.org/x"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("/srv/git/a b.git", "/srv/git/a b.git"),
        ("../other", "../other"),
        ("file:///srv/x", "file:///srv/x"),
        ("https://me:sec/ret@example.org/x", None),
        ("https://me:sec#ret@example.org/x", None),
        ("https::https://me:secret@example.org/x", "https::"),
        ("ext::ssh -i key me:secret@example.org", "ext::"),
    ],
)
def test_the_remote_is_recorded_without_secrets(
    experiment: Experiment, tmp_path: Path, url: str, kept: str | None
) -> None:
    project = repository(tmp_path / "project")
    git(project, "config", "remote.up.url", url)

    assert state(experiment, project)["remote"] == kept


def test_the_remote_is_that_of_the_branch_else_origin(experiment: Experiment, tmp_path: Path) -> None:
    project = repository(tmp_path / "project")
    for name in ("a", "origin", "mine"):
        git(project, "remote", "add", name, f"https://example.org/{name}")
    assert state(experiment, project)["remote"] == "https://example.org/origin"
    git(project, "config", "branch.main.remote", "mine")
    assert state(experiment, project)["remote"] == "https://example.org/mine"


def conflict(project: Path, *command: str) -> None:
    """Leave a repository in the middle of a command that found a conflict."""
    for branch, text in (("topic", "1"), ("main", "2")):
        git(project, "checkout", "-q", "-B", branch, "HEAD" if branch == "topic" else "main")
        write(project, {"train.py": text, f"of-{branch}": ""})
        git(project, "add", "-A")
        git(project, "commit", "-qm", branch)
    git(project, *command, ok=(1,))


@pytest.mark.parametrize(("command", "branch"), [(("merge", "topic"), "main"), (("rebase", "topic"), None)])
def test_a_conflict_is_captured_as_it_lies_on_disk(
    experiment: Experiment, take: Take, tmp_path: Path, command: tuple[str, ...], branch: str | None
) -> None:
    project = repository(tmp_path / "project")
    conflict(project, *command)
    before = fingerprint(project)

    taken = take(project)

    assert taken["train.py"][1].startswith(b"<<<<<<<")
    assert set(taken) == {"train.py", "of-topic", "of-main"}
    recorded = state(experiment, project)
    assert (recorded["branch"], recorded["dirty"]) == (branch, True)
    assert fingerprint(project) == before


@pytest.mark.parametrize("bare", [False, True])
def test_a_linked_work_tree(experiment: Experiment, take: Take, tmp_path: Path, bare: bool) -> None:
    main = repository(tmp_path / "main", {"train.py": "", ".gitignore": "*.log\n"})
    write(main, {"only-here": ""})
    if bare:
        git(tmp_path, "clone", "-q", "--bare", "main", "bare")
        main = tmp_path / "bare"
    git(main, "worktree", "add", "-q", "-b", "topic", "../project")
    project = write(tmp_path / "project", {"new": "", "a.log": "", "excluded": ""})
    write(main, {"info/exclude" if bare else ".git/info/exclude": "excluded\n"})

    assert set(take(project)) == {"train.py", ".gitignore", "new"}
    recorded = state(experiment, project)
    assert (recorded["root"], recorded["branch"], recorded["dirty"]) == (str(project), "topic", False)
    git(project, "commit", "-q", "--allow-empty", "-m", "second")
    assert state(experiment, project)["head"] == git(project, "rev-parse", "HEAD")


def test_a_submodule_as_project(experiment: Experiment, take: Take, tmp_path: Path, module: Path) -> None:
    top = repository(tmp_path / "top", {".gitignore": "*.py\n"})
    git(top, "submodule", "--quiet", "add", str(module), "lib")

    assert set(take(top / "lib")) == {"lib.py", ".gitignore", "a.log"}
    recorded = state(experiment, top / "lib")
    assert (recorded["root"], recorded["remote"]) == (str(top / "lib"), str(module))


@pytest.mark.parametrize("kind", ["sha256", "split", "sparse", "cone", "v4", "untracked-cache"])
def test_other_kinds_of_repositories(experiment: Experiment, take: Take, tmp_path: Path, kind: str) -> None:
    project = tmp_path / "project"
    git(tmp_path, "init", "-q", "--object-format=sha256" if kind == "sha256" else "-q", "project")
    repository(project, {"train.py": "", "sub/a": "", "sub/deep/b": "", ".gitignore": "*.log\n"})
    write(project, {"a.log": "", "new": "", "sub/new": ""})
    expected = {"train.py", "sub/a", "sub/deep/b", ".gitignore", "new", "sub/new"}
    if kind == "split":
        git(project, "update-index", "--split-index")
    elif kind in ("sparse", "cone"):
        git(
            project,
            "sparse-checkout",
            "set",
            *(["--cone", "--sparse-index", "sub"] if kind == "cone" else ["--no-cone", "/sub/a"]),
        )
        expected -= {"sub/deep/b", "train.py", ".gitignore"} if kind == "sparse" else set()
        expected |= {"a.log"} if kind == "sparse" else set()
    elif kind == "v4":
        git(project, "update-index", "--index-version", "4")
    elif kind == "untracked-cache":
        git(project, "-c", "core.untrackedCache=true", "status")
    before = fingerprint(project)

    assert set(take(project)) == expected
    recorded = state(experiment, project)
    assert _without_times_of_objects(fingerprint(project)) == _without_times_of_objects(before)
    assert recorded["head"] == git(project, "rev-parse", "HEAD")
    assert recorded["dirty"] in ((None,) if kind in ("sha256", "split") else (False,))


def _without_times_of_objects(found: dict[bytes, tuple[object, ...]]) -> dict[bytes, tuple[object, ...]]:
    """Drop the times of what git "freshens" with each look at a split or sparse index."""
    fresh = (b".git/objects/", b".git/sharedindex.")
    return {path: status[:3] + status[5:] if path.startswith(fresh) else status for path, status in found.items()}


@pytest.mark.parametrize("filter_", ["blob:none", "tree:0"])
def test_a_partial_clone_fetches_nothing(experiment: Experiment, take: Take, tmp_path: Path, filter_: str) -> None:
    source = repository(tmp_path / "source", {"train.py": "1", "sub/a": "1"})
    git(source, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", f"--filter={filter_}", f"file://{source}", "project")
    project = tmp_path / "project"
    git(project, "config", "protocol.file.allow", "always")
    git(project, "read-tree", "HEAD") if filter_ == "blob:none" else None
    write(project, {"train.py": "2", "new": ""})
    before = fingerprint(project)

    assert set(take(project)) == {"train.py", "new"}
    assert state(experiment, project)["head"] == git(source, "rev-parse", "HEAD")
    assert fingerprint(project) == before


OTHER_USER = 65534
AsOtherUser = Callable[[Path], str]


@pytest.fixture
def as_other_user(experiment: Experiment, tmp_path: Path, open_folder: Path) -> AsOtherUser:
    """Capture a project as a user who may read it, and no more; only root can try this."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    experiment.capture(write(tmp_path / "any", {"x": ""}))  # imports what the other user may not be able to
    library = open_folder / "theirs"
    library.mkdir()
    library.chmod(0o777)

    def work(project: Path, answer: Connection) -> None:
        os.setgroups([])
        os.setgid(OTHER_USER)
        os.setuid(OTHER_USER)
        try:
            captured = Library(library).open_experiment("x").capture(project, conditions=dict)
            answer.send(f"{captured.repository and captured.repository['dirty']}")
        except BaseException as error:
            answer.send(f"{type(error).__name__} {error}")

    def capture(project: Path) -> str:
        fork = multiprocessing.get_context("fork")
        answer, end = fork.Pipe(duplex=False)
        process = fork.Process(target=work, args=(project, end))
        process.start()
        said = str(answer.recv())
        process.join()
        return said

    return capture


def test_a_repository_of_another_user_that_cannot_be_written(as_other_user: AsOtherUser, open_folder: Path) -> None:
    project = repository(open_folder / "project", {"train.py": "", "sub/a": ""})
    before = fingerprint(project)

    assert as_other_user(project) == "False"
    assert fingerprint(project) == before


@pytest.mark.parametrize("seen_before", [False, True])
@pytest.mark.parametrize("closed", ["sub", "train.py", "sub/deep", "later"])
@pytest.mark.parametrize("tracked", [False, True])
def test_what_cannot_be_read_is_refused_by_name(
    as_other_user: AsOtherUser, open_folder: Path, closed: str, tracked: bool, seen_before: bool
) -> None:
    files = {"train.py": "", "sub/a": "", "sub/deep/b": "", "other": ""}
    project = repository(open_folder / "project", files if tracked else {"other": ""})
    write(project, files)
    if seen_before:
        assert as_other_user(project) == "False"
    write(project, {"later/x": ""})
    (project / closed).chmod(0)

    said = as_other_user(project)
    assert said.startswith(f"CaptureError {project}: '{closed}")
    assert "cannot be read (Permission denied)" in said
    write(project, {".dioptraignore": f"/{closed}\n"})
    assert as_other_user(project) in ("False", "True")
