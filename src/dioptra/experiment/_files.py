"""What of a project is code: which files are captured, and which never are."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dioptra.experiment._git import Git

__all__ = [
    "IGNORE_FILE",
    "Scope",
    "WorkTree",
    "find_work_tree",
    "folders_of",
    "is_folder",
    "is_inside",
    "is_never",
    "look_into",
    "names",
]

IGNORE_FILE = ".dioptraignore"
_PATH_MAX = 4096
_NEVER = (".git", ".dioptra", ".venv", ".env*", "__pycache__", "mlruns", "mlflow.db*")
_IS_NEVER = re.compile(rb"(?:^|/)(?:\.git|\.dioptra|\.venv|\.env[^/]*|__pycache__|mlruns|mlflow\.db[^/]*)(?:/|\Z)")
_LEADS_OUT = re.compile(rb"(?:^|/)\.{0,2}(?:/|\Z)")


@dataclass(frozen=True)
class WorkTree:
    """The folder that a project lies in: the top of a repository, or the project itself where there is none."""

    top: Path
    git_dir: Path | None = None

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return a folder as a work tree of its own, whatever lies around it."""
        return cls(folder, _git_dir(folder / ".git"))

    @property
    def index_file(self) -> Path | None:
        """The index of the user's repository."""
        return self.git_dir / "index" if self.git_dir else None

    @property
    def exclude_file(self) -> Path | None:
        """The ignore rules of the user's repository that stand outside its work tree."""
        return _common_dir(self.git_dir) / "info" / "exclude" if self.git_dir else None

    def refs(self) -> list[object] | None:
        """Return what changes when the commit does that is checked out; None when that cannot be told from files."""
        if self.git_dir is None:
            return []
        try:
            head = _text(self.git_dir / "HEAD")
            branch = _common_dir(self.git_dir) / head.removeprefix("ref: ").strip()
            if head.startswith("ref: ") and branch.is_file() and _text(branch).startswith("ref:"):
                return None
        except (OSError, ValueError):
            return None
        common = _common_dir(self.git_dir)
        files = (branch, common / "packed-refs", common / "reftable" / "tables.list")
        return [head, *map(_look, files)]

    @property
    def git(self) -> Git | None:
        """Commands that read the user's repository."""
        return Git(self.git_dir, self.top) if self.git_dir else None


@dataclass(frozen=True)
class Scope:
    """The part of a work tree that is captured: one project, without the folders that are left out."""

    work_tree: WorkTree
    project: Path
    left_out: tuple[Path, ...] = ()  # the home, and folders that are shared

    @property
    def prefix(self) -> bytes:
        """The project's place in the work tree, with a slash behind it; nothing at its top."""
        relative = os.path.relpath(self.project, self.work_tree.top)
        return b"" if relative == "." else os.fsencode(relative) + b"/"

    @property
    def ignore_file(self) -> Path:
        """The project's own ignore rules."""
        return self.project / IGNORE_FILE

    def excludes(self) -> list[str]:
        """Return the arguments that keep `git ls-files --others` out of what is never captured."""
        arguments = ["--exclude-per-directory=.gitignore"]
        if not _IS_NEVER.search(self.prefix):  # else the project would be left out with the folder that it lies in
            arguments += [f"--exclude={name}" for name in _NEVER]
        if (file := self.work_tree.exclude_file) and file.is_file():
            arguments.append(f"--exclude-from={file}")
        for folder in self.left_out:
            if folder.is_relative_to(self.work_tree.top) and not self.project.is_relative_to(folder):
                arguments.append(f"--exclude=/{_escaped(folder.relative_to(self.work_tree.top))}")
        return arguments

    def keep(self, paths: Iterable[bytes]) -> list[bytes]:
        """Leave out of some paths what is never captured."""
        start = len(self.prefix)
        apart = [folder for folder in self.left_out if not self.project.is_relative_to(folder)]
        out = tuple(os.fsencode(os.path.relpath(folder, self.work_tree.top)) for folder in apart)
        inside = tuple(folder + b"/" for folder in out)
        return [p for p in paths if not _IS_NEVER.search(p[start:]) and p not in out and not p.startswith(inside)]

    def pathspec(self) -> list[str]:
        """Return the arguments that limit a command to the project."""
        return ["--", os.fsdecode(self.prefix)] if self.prefix else []

    def rules(self) -> list[object]:
        """Return what decides which files are captured, besides the captured files themselves; equal when unchanged."""
        tree = self.work_tree
        above = [folder for folder in self.project.parents if folder.is_relative_to(tree.top)] if self.prefix else []
        config = _common_dir(tree.git_dir) / "config" if tree.git_dir else None
        files = [
            tree.index_file,
            tree.exclude_file,
            config,
            self.ignore_file,
            *(folder / ".gitignore" for folder in above),
        ]
        places = [str(self.project), str(tree.top), sorted(map(str, self.left_out))]
        return [*places, *(_look(file) for file in files if file)]


def find_work_tree(project: Path) -> WorkTree:
    """Return the work tree that a folder lies in; nothing is run for it."""
    found = (WorkTree.at(folder) for folder in (project, *project.parents))
    return next((tree for tree in found if tree.git_dir), WorkTree(project))


def folders_of(paths: Iterable[bytes]) -> set[bytes]:
    """Return all folders above some paths, the one that the paths start from too."""
    found = {b""}
    for path in paths:
        while (path := os.path.dirname(path)) not in found:
            found.add(path)
    return found


def look_into(top: Path, folders: Iterable[bytes], since: int | None = None) -> dict[str, Sequence[int]]:
    """Return what in some folders decides which of their files are captured; equal when unchanged.

    These are ignore rules, repositories that have been made there, and links that have taken a folder's place.

    Args:
        top: The work tree.
        folders: Paths from there on.
        since: A time in nanoseconds; what has changed later is given so that it is equal to nothing seen afterwards.
    """
    found: dict[str, Sequence[int]] = {}
    for folder in folders:
        full = os.path.join(os.fsencode(top), folder)
        if not is_folder(full):
            found[os.fsdecode(folder)] = [] if since is None else [since]
        for name in (b".gitignore", b".git") if folder else (b".gitignore",):
            if seen := _look(os.path.join(full, name)):
                place = os.fsdecode(os.path.join(folder, name))
                found[place] = seen if since is None or seen[1] < since else [since]
    return found


def is_inside(path: bytes) -> bool:
    """Tell whether a path is one that a file of a repository can have: an index need not have been written by git."""
    return not _LEADS_OUT.search(path)


def is_folder(path: bytes) -> bool:
    """Tell whether there is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def is_never(path: bytes) -> bool:
    """Tell whether a path, from the project on, is never captured."""
    return _IS_NEVER.search(path) is not None


def names(listing: bytes) -> list[bytes]:
    """Split what a command printed with `-z`."""
    return listing.split(b"\0")[:-1]


def _git_dir(place: Path) -> Path | None:
    """Return the repository's own folder that `.git` is or, in a linked work tree or a submodule, names."""
    try:
        if place.is_file():
            text = _text(place)
            place = place.parent / text.removeprefix("gitdir:").lstrip(" ") if text.startswith("gitdir:") else place
        common = _common_dir(place)
        return place if (place / "HEAD").is_file() and (common / "objects").is_dir() else None
    except (OSError, ValueError):
        return None


def _common_dir(git_dir: Path) -> Path:
    """Return the folder that linked work trees share."""
    try:
        return git_dir / _text(git_dir / "commondir")
    except (OSError, ValueError):
        return git_dir


def _text(file: Path) -> str:
    """Return what a small file says, without the end of its line."""
    if not file.is_file():  # a pipe would never end
        raise FileNotFoundError(file)
    with file.open("rb") as opened:
        return os.fsdecode(opened.read(_PATH_MAX)).rstrip("\r\n")


def _look(file: bytes | Path) -> Sequence[int] | None:
    """Return what changes when a file does."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino]


def _escaped(path: Path) -> str:
    return re.sub(r"([\\*?\[ ])", r"\\\1", str(path))
