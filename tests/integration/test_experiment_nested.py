"""Repositories inside a project, captured as the files that lie there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.repositories import Take, git, repository, write


def test_nested_repositories_are_plain_files_with_their_own_rules(take: Take, tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {"train.py": "", ".gitignore": "*.log\nhidden/\n"})
    repository(project / "vendor/lib", {".gitignore": "*.tmp\n", "lib.py": "", "a.log": "", "b.tmp": ""})
    repository(project / "vendor/lib/deep", {"c.tmp": "", "c.log": "", ".env": ""})
    repository(project / "hidden", {"d": ""})
    git(project / "vendor/lib", "init", "-q", "new")
    write(project, {"vendor/lib/new/e.log": "", "vendor/lib/new/.dioptraignore": "*\n", "vendor/f.log": ""})

    inner = {"lib.py", ".gitignore", "a.log", "deep/c.tmp", "deep/c.log", "new/e.log", "new/.dioptraignore"}
    expected = {"train.py", ".gitignore", *(f"vendor/lib/{name}" for name in inner)}
    assert set(take(project)) == expected
    write(project, {"vendor/lib/g.log": "", "vendor/lib/h.tmp": "", "vendor/lib/deep/c.log": "2"})
    assert set(take(project)) == {*expected, "vendor/lib/g.log"}
    write(project, {".dioptraignore": "deep\n/vendor/lib/new/\n"})
    assert not any("deep" in name or "new" in name for name in take(project))


def test_a_folder_becomes_a_repository_and_back(take: Take, tmp_path: Path) -> None:
    project = repository(tmp_path / "project", {".gitignore": "*.log\n", "sub/a": ""})
    write(project, {"sub/b.log": ""})
    assert set(take(project)) == {".gitignore", "sub/a"}
    git(project / "sub", "init", "-q")
    assert set(take(project)) == {".gitignore", "sub/a", "sub/b.log"}
    shutil.rmtree(project / "sub/.git")
    assert set(take(project)) == {".gitignore", "sub/a"}


@pytest.mark.parametrize("ignored", [False, True])
def test_submodules_are_plain_files_as_they_are_checked_out(
    take: Take, tmp_path: Path, module: Path, ignored: bool
) -> None:
    project = repository(tmp_path / "project")
    git(project, "submodule", "--quiet", "add", str(module), "vendor/lib")
    git(project, "submodule", "--quiet", "add", str(module), "vendor/away")
    git(project, "submodule", "--quiet", "deinit", "-f", "vendor/away")
    git(project, "commit", "-qm", "modules")
    write(project, {"vendor/lib/lib.py": "changed", "vendor/lib/new.py": "", "vendor/lib/b.tmp": ""})
    if ignored:
        write(project, {".git/info/exclude": "/vendor/\n"})

    taken = take(project)

    inner = {f"vendor/lib/{name}" for name in ("lib.py", "new.py", ".gitignore", "a.log")}
    assert set(taken) == {"train.py", ".gitmodules", *inner}
    assert taken["vendor/lib/lib.py"] == ("file", b"changed")


@pytest.mark.parametrize(
    "text", ["gitdir: nowhere\n", "gitdir: .git\n", "gitdir: /etc\n", "", "x" * 5000, "gitdir: \0"]
)
@pytest.mark.parametrize("place", ["", "sub"])
def test_a_git_file_that_leads_nowhere_is_passed_over(take: Take, tmp_path: Path, text: str, place: str) -> None:
    project = write(tmp_path / "project", {"train.py": "", "sub/a": "", ".gitignore": "*.log\n", "sub/b.log": ""})
    write(project / place, {".git": text})

    assert set(take(project)) == {"train.py", "sub/a", ".gitignore"}
    assert set(take(project / "sub")) == {"a", "b.log"}


def test_a_bare_repository_is_a_folder_like_any_other(take: Take, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "project")
    write(tmp_path / "project", {"train.py": ""})

    assert {"train.py", "HEAD", "config"} <= set(take(tmp_path / "project"))
