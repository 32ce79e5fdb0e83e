"""The environments that projects ask for: uv builds each once, by the hash of all that decides on it; jobs share it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from dioptra.errors import InvalidProjectError
from dioptra.experiment import environment
from dioptra.mlproject import PythonEnv
from dioptra.records import now
from dioptra.storage import Home, write_aside
from dioptra.worker._descendants import sweep
from dioptra.worker._own_requirement import own_needs, own_requirement
from dioptra.worker._uv import asks_for_no_index, run_uv

__all__ = ["BuiltEnv", "WantedEnv", "build_env"]

_FORMAT = 1
_AGAIN = 0.1  # seconds between two looks at a lock
_OWN = re.compile(r"dioptra[-_.]+testbed(?![\w.-])", re.IGNORECASE)


@dataclass(frozen=True)
class WantedEnv:
    """All that decides on an environment.

    Args:
        declared: What the project asks for.
        testbed: The line that installs the testbed; by default as it is installed here. Nothing: it is left out.
    """

    declared: PythonEnv
    testbed: str | None = None

    @property
    def python(self) -> str:
        """The version of Python that is wanted."""
        return self.declared.python or f"{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines that are installed: the project's, and that of the testbed unless the project names it."""
        own = own_requirement() if self.testbed is None else self.testbed
        wanted = self.declared.dependencies.lines
        return wanted if not own or any(map(_OWN.match, wanted)) else (*wanted, own)

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return {
            "format": _FORMAT,
            "python": self.python,
            "platform": sysconfig.get_platform(),
            "build_lines": list(self.declared.build_dependencies.lines),
            "build_constraints": list(self.declared.build_dependencies.constraints),
            "lines": list(self.lines),
            "constraints": list(self.declared.dependencies.constraints),
            "testbed": own_needs() if self.testbed is None else [],
        }

    @property
    def sha256(self) -> str:
        """The name of the environment: projects that want the same share one."""
        return sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def place(self, home: Home) -> BuiltEnv:
        """Return where it is, or would be."""
        return BuiltEnv(home.envs_dir / self.sha256)

    def describe(self, home: Home) -> dict[str, Any]:
        """Return what a run in it has around it; which packages these are is not known before it is built."""
        built = self.place(home)
        if built.is_whole:
            return built.describe()
        return {**environment(self.python, []), "python_env": self.sha256}


@dataclass(frozen=True)
class BuiltEnv:
    """An environment in its folder."""

    folder: Path

    @property
    def bin_dir(self) -> Path:
        """The folder with its programs."""
        return self.folder / "bin"

    @property
    def record_file(self) -> Path:
        """What was installed; it is written last, so that an environment without it is not whole."""
        return self.folder / "dioptra-env.json"

    @property
    def is_whole(self) -> bool:
        """Tell whether it was built to its end and its interpreter is still there."""
        return self.record_file.is_file() and os.access(self.bin_dir / "python", os.X_OK)

    def describe(self) -> dict[str, Any]:
        """Return what a run in it has around it."""
        paths = [str(path) for path in sorted(self.folder.glob("lib*/python*/site-packages"))]
        return {**environment(self.version(), paths), "python_env": self.folder.name}

    def version(self) -> str:
        """Return the implementation and the version of its Python, as `pyvenv.cfg` has them."""
        lines = (self.folder / "pyvenv.cfg").read_text().splitlines()
        values = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
        number = values.get("version_info") or values.get("version", "")
        return f"{values.get('implementation', 'CPython')} {number}"


def build_env(
    home: Home,
    wanted: WantedEnv,
    *,
    on_build: Callable[[str], object] = lambda sentence: None,
    cancel: threading.Event | None = None,
) -> BuiltEnv:
    """Return an environment, which is built when it is not there yet; who comes meanwhile waits and uses it.

    Args:
        home: Where environments are kept.
        wanted: What decides on it.
        on_build: Called with a sentence when it has to be built, or waited for.
        cancel: An event that ends the building when it is set.

    Raises:
        BaseOptionalDependencyError: There is no uv.
        InvalidProjectError: uv could not build it; the message has its reason.
        KeyboardInterrupt: It was cancelled.
    """
    built = wanted.place(home)
    if built.is_whole:
        return built
    cancel = cancel or threading.Event()
    file, count = wanted.declared.file.name, len(wanted.declared.dependencies.lines)
    home.make()
    home.envs_dir.mkdir(mode=0o700, exist_ok=True)
    with _lock(
        built.folder.with_suffix(".lock"),
        lambda: on_build(f"waiting for another process that builds the environment of {file} ..."),
        cancel,
    ):
        if not built.is_whole:
            on_build(
                f"building the environment of {file} ({count} {'dependency' if count == 1 else 'dependencies'}) ..."
            )
            _build(built, wanted, cancel)
    return built


@contextlib.contextmanager
def _lock(file: Path, on_wait: Callable[[], object], cancel: threading.Event) -> Iterator[None]:
    """Hold a lock that the system takes away from a process that ends."""
    with file.open("w") as handle:
        has_waited = False
        while not _try_to_lock(handle):
            if not has_waited:
                on_wait()
            has_waited = True
            if cancel.wait(_AGAIN):
                raise KeyboardInterrupt
        yield


def _try_to_lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(built: BuiltEnv, wanted: WantedEnv, cancel: threading.Event) -> None:
    """Build in place, for an environment cannot be moved; what is not whole is removed."""
    marker = f"env/{built.folder}"
    sweep(marker)  # what is left of a build whose process was killed
    shutil.rmtree(built.folder, ignore_errors=True)
    try:
        for step in _steps(built, wanted):
            if reason := _run(step, marker, cancel):
                raise InvalidProjectError(
                    f"the environment cannot be built ({reason})", where=str(wanted.declared.file)
                )
        described = built.describe()
        record = {
            "python": described["python"],
            "packages": described["packages"],
            "wanted": wanted.to_dict(),
            "created_at": now().isoformat(),
        }
        write_aside(built.record_file, json.dumps(record, indent=2).encode() + b"\n")
    except BaseException:
        shutil.rmtree(built.folder, ignore_errors=True)
        raise


def _steps(built: BuiltEnv, wanted: WantedEnv) -> Iterator[tuple[list[str], dict[str, tuple[str, ...]]]]:
    """Give what uv is to do, with the lines of the files that each step reads, by the option that names the file."""
    running = ".".join(map(str, sys.version_info[:3]))
    is_ours = f"{running}.".startswith(f"{wanted.python}.")
    yield ["venv", "--python", sys.executable if is_ours else wanted.python, str(built.folder)], {}
    install = ["pip", "install", "--python", str(built.bin_dir / "python")]
    install += ["--no-index"] if asks_for_no_index(os.environ) else []
    first = wanted.declared.build_dependencies
    if first.lines:
        yield install, {"-r": first.lines, "-c": first.constraints}
    if wanted.lines:
        yield install, {"-r": wanted.lines, "-c": wanted.declared.dependencies.constraints}


def _run(step: tuple[list[str], dict[str, tuple[str, ...]]], marker: str, cancel: threading.Event) -> str:
    arguments, files = step
    with tempfile.TemporaryDirectory(prefix="dioptra-env-") as folder:
        for option, lines in files.items():
            file = Path(folder) / f"lines{option}.txt"
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            arguments = [*arguments, option, str(file)]
        return run_uv(arguments, marker=marker, cancel=cancel)
