"""Repositories made to do harm: nothing of them is run, nothing is altered, and nothing leaves its folder."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dioptra.errors import CaptureError, GitError
from dioptra.experiment import Experiment
from tests.integration.repositories import Take, contents, fingerprint, git, repository, write

# --- Traps: each program that can be named somewhere leaves a mark when it is run -----------------------------------

HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout", "post-commit",
    "post-index-change", "post-merge", "post-rewrite", "post-update", "pre-applypatch", "pre-auto-gc", "pre-commit",
    "pre-merge-commit", "pre-push", "pre-receive", "prepare-commit-msg", "proc-receive", "push-to-checkout",
    "query-watchman", "reference-transaction", "sendemail-validate", "update",
)  # fmt: skip
ALIASED = ("ls-files", "rev-parse", "config", "update-index", "write-tree", "diff-index", "diff-files", "symbolic-ref")
PROGRAMS = (
    "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.editor", "core.pager", "core.askPass",
    "core.alternateRefsCommand", "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.external",
    "diff.x.command", "diff.x.textconv", "merge.x.driver", "gpg.program", "gpg.ssh.program", "gpg.x509.program",
    "sequence.editor", "credential.helper", "uploadpack.packObjectsHook", "trailer.x.command", "interactive.diffFilter",
    "man.x.cmd", "browser.x.cmd", "difftool.x.cmd", "mergetool.x.cmd", "pager.ls-files", "pager.config",
    "remote.origin.uploadpack", "remote.origin.receivepack", "gc.recentObjectsHook",
)  # fmt: skip
SWITCHES = {
    "commit.gpgSign": "true", "tag.gpgSign": "true", "filter.x.required": "true", "core.autocrlf": "true",
    "core.eol": "crlf", "core.safecrlf": "true", "core.fileMode": "false", "core.symlinks": "false",
    "core.untrackedCache": "true", "core.splitIndex": "true", "status.submoduleSummary": "true",
    "submodule.recurse": "true", "protocol.allow": "always", "protocol.ext.allow": "always",
    "core.sparseCheckout": "false", "gc.auto": "1", "feature.manyFiles": "true",
}  # fmt: skip
ATTRIBUTES = """[attr]evil filter=x diff=x merge=x text eol=crlf ident
* evil working-tree-encoding=UTF-16 export-subst
*.py export-ignore
"""


class Traps:
    """Programs that leave a mark, each under its name, and the ways to have git run them."""

    def __init__(self, folder: Path) -> None:
        self._marks, self._folder = folder / "marks", folder
        self._marks.mkdir(parents=True)

    @property
    def sprung(self) -> set[str]:
        return {mark.name for mark in self._marks.iterdir()}

    def program(self, name: str) -> str:
        """Return a script that leaves a mark, and fails."""
        script = self._folder / f"trap-{name.replace(' ', '-')}"
        script.write_text(f"#!/bin/sh\n: > '{self._marks}/{name}'\nexit 1\n")
        script.chmod(0o755)
        return str(script)

    def config(self) -> str:
        """Return a configuration with all traps in it."""
        lines = [(name, self.program(name)) for name in PROGRAMS]
        lines += [(f"alias.{name}", f"!{self.program('alias ' + name)}") for name in ALIASED]
        lines += [("submodule.lib.update", f"!{self.program('submodule update')}"), *SWITCHES.items()]
        file = self._folder / "config"
        for name, value in lines:
            git(self._folder, "config", "--file", str(file), name, value)
        return file.read_text()

    def hooks(self, folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        for name in HOOKS:
            Path(self.program(f"hook {name}")).rename(folder / name)
        return str(folder)


@pytest.fixture
def traps(tmp_path: Path) -> Traps:
    return Traps(tmp_path / "traps")


def in_its_config(project: Path, traps: Traps) -> None:
    with (project / ".git/config").open("a") as file:
        file.write(traps.config())
    traps.hooks(project / ".git/hooks")


def in_an_included_config(project: Path, traps: Traps) -> None:
    write(project, {".git/more": traps.config()})
    git(project, "config", "core.hooksPath", traps.hooks(project / "hooks"))
    git(project, "config", "include.path", "more")


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A repository with attributes that ask for everything."""
    files = {"train.py": "print(0)\r\n# $Id$ $Format:%H$\n", "a.txt": "a\n", "sub/b.txt": "b\n"}
    project = repository(tmp_path / "project", files)
    write(project, {".gitattributes": ATTRIBUTES, ".git/info/attributes": "* filter=x diff=x\n", "new": "\r\n"})
    return project


WAYS = pytest.mark.parametrize("arm", [in_its_config, in_an_included_config])
Arm = Callable[[Path, Traps], None]


@WAYS
def test_the_traps_work(evil: Path, traps: Traps, arm: Arm) -> None:
    arm(evil, traps)
    for command in ("status", "add -A", "update-ref refs/heads/new HEAD"):
        git(evil, *command.split(), ok=(0, 1, 128))

    assert traps.sprung >= {"core.fsmonitor", "filter.x.process", "hook reference-transaction"}


@WAYS
def test_nothing_of_a_repository_is_run_and_nothing_is_changed(
    experiment: Experiment, take: Take, evil: Path, traps: Traps, arm: Arm
) -> None:
    arm(evil, traps)
    before = fingerprint(evil)
    expected = {path: content for path, content in contents(evil).items() if not path.startswith(".git/")}

    assert take(evil) == expected
    assert take(evil) == expected
    assert fingerprint(evil) == before
    write(evil, {"train.py": "2\r\n", "sub/new": ""})
    os.utime(evil / "a.txt")
    before = fingerprint(evil)
    assert take(evil)["train.py"] == ("file", b"2\r\n")
    first, last = experiment.snapshots()
    assert "+2\r\n" in experiment.code.diff(first.commit, last.commit, experiment.code)
    assert not experiment.check_changes(evil)
    experiment.collect()
    assert fingerprint(evil) == before
    assert traps.sprung == set()


def test_nothing_that_the_user_has_configured_is_run_or_obeyed(
    take: Take, evil: Path, traps: Traps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignore_all = write(tmp_path, {"all": "*\n"}) / "all"
    config = traps.config() + f"[core]\nhooksPath={traps.hooks(tmp_path / 'hooks')}\nexcludesFile={ignore_all}\n"
    write(tmp_path / "home", {".gitconfig": config, ".config/git/config": config, ".config/git/ignore": "*\n"})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/.config"))

    assert set(take(evil)) == {"train.py", "a.txt", "sub/b.txt", "new", ".gitattributes"}
    write(evil, {"train.py": "2\r\n"})
    assert take(evil)["train.py"] == ("file", b"2\r\n")
    assert traps.sprung == set()


def test_nothing_in_the_environment_is_obeyed(
    take: Take, evil: Path, traps: Traps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository(tmp_path / "other", {"other": ""})
    before = fingerprint(other)
    write(evil, {"git": f"#!/bin/sh\nexec {traps.program('git of the folder')}\n"})
    (evil / "git").chmod(0o755)
    monkeypatch.chdir(evil)
    for name in ("EXTERNAL_DIFF", "SSH_COMMAND", "SSH", "PAGER", "EDITOR", "ASKPASS", "PROXY_COMMAND"):
        monkeypatch.setenv(f"GIT_{name}", traps.program(name))
    for name, value in {
        "PATH": f".::{os.environ['PATH']}",
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git/index"),
        "GIT_OBJECT_DIRECTORY": str(other / ".git/objects"),
        "GIT_EXEC_PATH": str(tmp_path),
        "GIT_NAMESPACE": "x",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_TRACE2_EVENT": str(tmp_path / "trace"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": traps.program("counted"),
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor'='{traps.program('parameters')}'",
        "GIT_ICASE_PATHSPECS": "1",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_ALLOW_PROTOCOL": "ext:file",
        "LC_ALL": "de_DE.UTF-8",
    }.items():
        monkeypatch.setenv(name, value)

    assert set(take(evil)) == {"train.py", "a.txt", "sub/b.txt", "new", ".gitattributes", "git"}
    assert set(take(evil / "sub")) == {"b.txt"}
    assert traps.sprung == set()
    assert fingerprint(other) == before
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("missing", ["HEAD", "HEAD^{tree}", "HEAD:train.py"])
def test_nothing_is_fetched_for_a_partial_clone(
    experiment: Experiment, take: Take, tmp_path: Path, traps: Traps, missing: str
) -> None:
    project = repository(tmp_path / "project", {"train.py": "1"})
    for name, value in {
        "remote.evil.url": f"ext::{traps.program('fetch')} %S",
        "remote.evil.promisor": "true",
        "extensions.partialClone": "evil",
        "protocol.ext.allow": "always",
    }.items():
        git(project, "config", name, value)
    oid = git(project, "rev-parse", missing)
    (project / ".git/objects" / oid[:2] / oid[2:]).unlink()
    write(project, {"train.py": "2"})

    assert take(project) == {"train.py": ("file", b"2")}
    recorded = experiment.capture(project).repository
    assert recorded is not None
    assert (recorded["branch"], recorded["remote"]) == ("main", "ext::")
    assert traps.sprung == set()
    git(project, "-c", "protocol.ext.allow=always", "cat-file", "-p", oid, ok=(128,))
    assert traps.sprung == {"fetch"}  # the trap works


@pytest.mark.parametrize(
    ("name", "value"), [("core.worktree", "/etc"), ("core.bare", "true"), ("core.ignoreCase", "true")]
)
def test_a_repository_cannot_say_where_its_files_are(take: Take, evil: Path, name: str, value: str) -> None:
    git(evil, "config", name, value)

    assert set(take(evil)) == {"train.py", "a.txt", "sub/b.txt", "new", ".gitattributes"}


@pytest.mark.parametrize("file", ["config", "index", "HEAD", "commondir"])
def test_a_broken_repository_is_one_sentence(take: Take, evil: Path, file: str) -> None:
    write(evil, {f".git/{file}": "[broken\n"})

    with suppress(GitError):
        assert set(take(evil)) >= {"train.py", "a.txt", "sub/b.txt", "new"}


# --- Names that lead out --------------------------------------------------------------------------------------------


def rename_in_index(project: Path, old: bytes, new: bytes) -> None:
    """Write a name into the index that git would not take."""
    assert len(old) == len(new)
    file = project / ".git/index"
    content = file.read_bytes()[:-20].replace(old, new)
    file.write_bytes(content + hashlib.sha1(content, usedforsecurity=False).digest())


@pytest.mark.parametrize("name", [b"../x", b"/etc", b"a//x", b"a/..", b"./xx"])
@pytest.mark.parametrize("mode", ["100644", "160000"])
def test_a_tracked_name_that_leads_out_is_passed_over(take: Take, tmp_path: Path, name: bytes, mode: str) -> None:
    project = repository(tmp_path / "project")
    write(tmp_path / "x", {"secret": ""}) if mode == "160000" else write(tmp_path, x="secret")
    if mode == "160000":
        repository(tmp_path / "x")
    head = git(project, "rev-parse", "HEAD" if mode == "160000" else "HEAD:train.py")
    git(project, "update-index", "--add", "--cacheinfo", f"{mode},{head},zzzz")
    rename_in_index(project, b"zzzz", name)
    assert os.fsdecode(name) in git(project, "ls-files")

    assert set(take(project)) == {"train.py"}


@pytest.mark.parametrize("name", ["sub\r", "sub\n", "-sub", "..."])
def test_submodules_of_odd_names(take: Take, tmp_path: Path, traps: Traps, name: str) -> None:
    project = repository(tmp_path / "project")
    repository(project / name, {"a": ""})
    git(project, "add", "-A")
    modules = f'[submodule "../../x"]\n\tpath = "{name}"\n\turl = ext::{traps.program("clone")}\n\tupdate = !x\n'
    write(project, {".gitmodules": modules, ".git/modules/sub/HEAD": "x"})
    traps.hooks(project / name / ".git/hooks")

    assert set(take(project)) == {"train.py", f"{name}/a", ".gitmodules"}
    assert traps.sprung == set()


@pytest.mark.parametrize("ignored", [False, True])
def test_a_tracked_folder_that_became_a_link_out(take: Take, tmp_path: Path, ignored: bool) -> None:
    outside = write(tmp_path / "outside", {"passwd": "the same", "shadow": "secret"})
    project = repository(tmp_path / "project", {"train.py": "", "etc/passwd": "the same", ".gitignore": "etc\n"})
    git(project, "add", "-f", "etc")
    assert set(take(project)) == {"train.py", ".gitignore", "etc/passwd"}
    (project / "etc/passwd").unlink()
    (project / "etc").rmdir()
    (project / "etc").symlink_to(outside)
    if ignored:
        assert set(take(project)) == {"train.py", ".gitignore"}
        return
    write(project, {".gitignore": ""})
    with pytest.raises(CaptureError, match="'etc' is a link that leads, or may lead, out"):
        take(project)


# --- Back again -----------------------------------------------------------------------------------------------------

ODD_NAMES = (
    b"new\nline", b"carriage\rreturn", b"tab\t", b'"', b"'", b"\\", b"back\\slash", b"-rf", b"--", b"*", b"?", b"[a-z]",
    b"**", b"!x", b"#x", b":x", b":(exclude)x", b" ", b" x ", b"x.", b"\xff\xfe", b"\xc3\x28", "ü".encode(),
    b"u\xcc\x88", b"\x01\x1b[31m", b"\x7f", b"~", b"$(x)", b"`x`", b"%s", b"&;|<>", b"n" * 250, b"git~1",
    b".gitmodules", b"aux", b"...", b"d\n/-f\r/\xff/*",
)  # fmt: skip
ODD_CONTENTS = (
    b"", b"\n", b"\r", b"\r\n", b"a\r\nb\nc\rd", b"\xef\xbb\xbfx", b"\xff\xfex\0", b"\0", b"\0" * 9000, b"no newline",
    b"x" * 3_000_000, b"$Id$", b"$Id: 0123 $", b"$Format:%H%n%an$", b"blob 3\0abc", b"tree", bytes(range(256)),
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", b"<<<<<<< HEAD\n", b"data 5\ndone\n",
)  # fmt: skip


@pytest.mark.parametrize("many", [False, True])
def test_odd_names_and_contents_come_back_as_they_were(take: Take, evil: Path, many: bool) -> None:
    for number, name in enumerate(ODD_NAMES):
        write(evil, {os.fsdecode(name): ODD_CONTENTS[number % len(ODD_CONTENTS)]})
    if many:
        write(evil, {f"many/{number}": f"{number}\r\n" for number in range(200)})
    write(evil, {".git/info/exclude": ""})
    expected = {path: content for path, content in contents(evil).items() if not path.startswith(".git/")}

    assert take(evil) == expected
    for name in ODD_NAMES:
        write(evil, {os.fsdecode(name): b"\r\n2"})
    taken = take(evil)
    assert {taken[os.fsdecode(name)] for name in ODD_NAMES} == {("file", b"\r\n2")}
    assert len(taken) == len(expected)


def test_ten_thousand_files(experiment: Experiment, take: Take, tmp_path: Path) -> None:
    project = write(tmp_path / "project", {f"d{n // 100}/f{n}.py": f"{n}\r\n" for n in range(10_000)})
    expected = contents(project)

    assert take(project) == expected
    write(project, {"d7/f777.py": "changed", "d7/new": ""})
    (project / "d99/f9999.py").unlink()
    changes = experiment.check_changes(project)
    assert (changes.modified, changes.removed, changes.untracked) == (("d7/f777.py",), ("d99/f9999.py",), ("d7/new",))


def test_an_enormous_file_is_refused_without_being_read(take: Take, evil: Path) -> None:
    with (evil / "huge").open("wb") as file:
        file.truncate(1_000_000_000_000)
    began = time.monotonic()
    with pytest.raises(CaptureError, match="'huge' has 1,000,000,000,000 bytes"):
        take(evil)
    assert time.monotonic() - began < 5
