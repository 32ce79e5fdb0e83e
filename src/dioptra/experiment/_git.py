"""The one place that starts git: plumbing commands only, deaf to whatever a repository or a user has configured."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from dioptra.errors import GitError

__all__ = ["Git", "Running"]

# A repository's own configuration can name programs; each way from a command used here to one of them is shut.
_DEAF = (
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.attributesFile={os.devnull}"),
    *("-c", f"core.excludesFile={os.devnull}"),
    *("-c", "core.fileMode=true"),
    *("-c", "core.symlinks=true"),
    *("-c", "core.autocrlf=false"),
    *("-c", "core.protectNTFS=false"),  # names such as `git~1` are names like any other here
    *("-c", "core.protectHFS=false"),
    *("-c", "gc.auto=0"),
    *("-c", "core.fsync=loose-object,pack,pack-metadata,reference"),  # a snapshot must not outlive its code
)
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks; no configuration can undo this
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "HOME": os.devnull,  # versions before 2.32 know no other way to leave out ~/.gitconfig
    "XDG_CONFIG_HOME": os.devnull,
    "LC_ALL": "C",
}


@dataclass(frozen=True)
class Git:
    """Commands on one repository, named by its own folder: nothing is searched for, and its owner plays no part."""

    git_dir: Path
    work_tree: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def objects(self) -> str:
        """The folder of its objects, as `GIT_ALTERNATE_OBJECT_DIRECTORIES` names it: colons would part two."""
        common = self.git_dir / "commondir"
        top = self.git_dir / common.read_text().strip() if common.is_file() else self.git_dir
        return '"' + re.sub(r'(["\\])', r"\\\1", str(top / "objects")) + '"'

    def within(self, work_tree: Path | None = None, **environment: str | Path) -> Self:
        """Return the same with another work tree, or with more variables such as `GIT_INDEX_FILE`."""
        more = {name: str(value) for name, value in environment.items()}
        return replace(self, work_tree=work_tree or self.work_tree, environment={**self.environment, **more})

    def run(self, *args: str, data: bytes = b"", ok: tuple[int, ...] = (0,)) -> bytes:
        """Run a command to its end and return what it printed.

        Raises:
            GitError: It ended with a code that is not in `ok`, or git is not there.
        """
        return self.start(*args, stdin=subprocess.PIPE).end(data, ok=ok)

    def start(self, *args: str, stdin: int = subprocess.DEVNULL, held: tuple[int, ...] = ()) -> Running:
        """Start a command, so that several can run side by side; it holds these files open too, and locks with them."""
        command = [_program(), *_DEAF, f"--git-dir={self.git_dir}"]
        if self.work_tree is not None:
            command.append(f"--work-tree={self.work_tree}")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        folder = self.work_tree or self.git_dir
        try:
            process = subprocess.Popen(
                [*command, *args],
                cwd=folder,
                env={**kept, **_ENVIRONMENT, **self.environment},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=held,
            )
        except OSError as error:
            raise GitError(f"git cannot be started in {str(folder)!r} ({error.strerror})") from error
        return Running(process, args)


@dataclass
class Running:
    """A command that was started."""

    process: subprocess.Popen[bytes]
    args: tuple[str, ...]
    warnings: bytes = b""  # what it said besides, once it has ended

    def end(self, data: bytes | None = None, *, ok: tuple[int, ...] | None = (0,)) -> bytes:
        """Wait for the end, and return what was printed; `ok` names the codes that are no error, None means any.

        Raises:
            GitError: It ended with another code.
        """
        try:
            out, err = self.process.communicate(data)
        except BaseException:
            self.stop()
            raise
        self.warnings = err
        if ok is not None:
            self.check(ok)
        return out

    def check(self, ok: tuple[int, ...] = (0,)) -> None:
        """Raise GitError if the command, which has ended, did not end with one of these codes."""
        if self.code not in ok:
            raise GitError(f"git {self.args[0]} ended with {self.code} ({_last_line(self.warnings)})")

    def stop(self) -> None:
        """End the command, if it has not ended, and forget what it said."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()

    @property
    def code(self) -> int:
        """The exit code, once the command has ended."""
        return self.process.returncode


def _program() -> str:
    absolute = [entry for entry in os.get_exec_path() if entry.startswith("/")]  # never a `git` of the current folder
    found = shutil.which("git", path=os.pathsep.join(absolute))
    if found is None:
        raise GitError("git was not found on the PATH, and the code of runs is kept with it", hint="install git")
    return found


def _last_line(said: bytes) -> str:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
