"""Repositories and projects for tests of captures: made as a person would make them, and looked at byte for byte."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dioptra.experiment import Experiment

Content = tuple[str, bytes]  # "file", "program" or "link", and what is in it or where it leads
Take = Callable[..., dict[str, Content]]

PERSON = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
FREE = ("-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false")


def git(folder: Path, *args: str | bytes, ok: tuple[int, ...] = (0,)) -> str:
    """Run git as a person would in a folder, deaf to what this machine has configured, and return what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *PERSON, *FREE, *args],
        cwd=folder,
        env=kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode in ok, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def write(folder: Path, files: Mapping[str, str | bytes] | None = None, **more: str | bytes) -> Path:
    """Write files into a folder, with the folders that they lie in; `name=` is short for `{"name": }`."""
    for name, content in {**(files or {}), **more}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def repository(folder: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    """Make a repository in a folder with one commit of some files."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    write(folder, files or {"train.py": "print(0)\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def walk(folder: Path) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
    """Yield the path of everything below a folder, from the folder on and in full, with its status."""
    top = os.fsencode(folder)
    for parent, dirs, files in os.walk(top):
        for name in (*dirs, *files):
            full = os.path.join(parent, name)
            yield os.path.relpath(full, top), full, os.lstat(full)


def content_of(full: bytes, status: os.stat_result) -> bytes:
    """Return the bytes of a file, or where a link leads; nothing for all else."""
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(full)
    return Path(os.fsdecode(full)).read_bytes() if stat.S_ISREG(status.st_mode) else b""


def contents(folder: Path) -> dict[str, Content]:
    """Return all files and links below a folder, by their paths from there on."""
    found = {}
    for path, full, status in walk(folder):
        if not stat.S_ISDIR(status.st_mode):
            is_link = stat.S_ISLNK(status.st_mode)
            kind = "link" if is_link else "program" if status.st_mode & stat.S_IXUSR else "file"
            found[os.fsdecode(path)] = (kind, content_of(full, status))
    return found


def fingerprint(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """Return all that a program could have changed below a folder: what is there, its bytes, mode, owner and times."""
    found: dict[bytes, tuple[object, ...]] = {}
    for path, full, status in [(b".", os.fsencode(folder), folder.lstat()), *walk(folder)]:
        digest = hashlib.sha256(content_of(full, status)).hexdigest()
        found[path] = (status.st_mode, status.st_ino, status.st_uid, status.st_mtime_ns, status.st_ctime_ns, digest)
    return found


def taker(experiment: Experiment, folder: Path) -> Take:
    """Return a function that captures a project and returns the files that are then laid out in a new folder."""

    def take(project: Path, *, left_out: tuple[Path, ...] = ()) -> dict[str, Content]:
        snapshot = experiment.capture(project, conditions=dict, left_out=left_out).snapshot
        out = folder / f"laid-out-{len(list(folder.iterdir()))}"
        experiment.lay_out(snapshot, out)
        return contents(out)

    return take
