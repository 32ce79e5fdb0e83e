"""Past versions as live objects: the task of a snapshot, made by the snapshot's own code, beside other versions."""

from __future__ import annotations

import importlib
import os
import posixpath
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dioptra.errors import DioptraError, NotFoundError, RefusedError, SnapshotNotFoundError
from dioptra.experiment._code import Code
from dioptra.experiment._snapshot import Snapshot

if TYPE_CHECKING:
    from dioptra.experiment._live_files import Files
    from dioptra.experiment._live_modules import Modules

__all__ = ["ImportContext", "current_import", "import_task", "version_of"]


PREFIX = "dioptra_snapshot_"  # of the names of modules


@dataclass(frozen=True)
class ImportContext:
    """An import of a past version that is going on in this thread.

    Args:
        module_name: The `__name__` of the version's script.
        snapshot: The version.
    """

    module_name: str
    snapshot: Snapshot
    tasks: list[Any] = field(default_factory=list)

    def accept(self, task: object) -> None:
        """Take the task that the script has made; it is what the import gives."""
        if not any(task is known for known in self.tasks):
            self.tasks.append(task)


_CURRENT: ContextVar[ImportContext | None] = ContextVar("dioptra_import", default=None)


def version_of(thing: object) -> Modules | None:
    """Return the modules of the past version whose own code defines an object's class; None if that is no such code."""
    name = type(thing).__module__
    if not name.startswith(PREFIX):
        return None
    from dioptra.experiment._live_modules import living

    return living(name)


def current_import() -> ImportContext | None:
    """Return the import of a past version that this code is loaded by; None where there is none."""
    return _CURRENT.get()


def import_task(code: Code, snapshot: Snapshot) -> Any:
    """Run the script of a snapshot as a module, with all that it imports of its own, and return the task that it made.

    Raises:
        SnapshotNotFoundError: The snapshot is another experiment's.
        NotFoundError: It does not hold its script.
        RefusedError: The script ended early, or did not make exactly one task.
    """
    if snapshot.folder.parent.parent != code.git_dir.parent:
        raise SnapshotNotFoundError(f"snapshot {snapshot.name} is not in {str(code.git_dir.parent)!r}")
    from dioptra.experiment._live_files import files_of  # only those who need it pay for it

    return load_task(files_of(code, snapshot), snapshot)


def load_task(files: Files, snapshot: Snapshot) -> Any:
    """Do what `import_task` does, with files that are at hand."""
    from dioptra.experiment._live_modules import Modules

    script = _script(files, snapshot)
    modules = Modules(files, f"{PREFIX}{snapshot.uid}", script, snapshot.project_dir)
    context = ImportContext(modules.script_name, snapshot)
    token = _CURRENT.set(context)
    try:
        with _WORKING_DIRECTORY.kept():
            modules.load(context.module_name)
    except (Exception, SystemExit) as error:
        error.__traceback__ = _without_ours(error.__traceback__)
        raise _ended_early(error, snapshot, script, files) from error
    finally:
        _CURRENT.reset(token)
    return _only_one(context, script)


def _script(files: Files, snapshot: Snapshot) -> str:
    if not snapshot.script:
        raise RefusedError(
            f"snapshot {snapshot.name} cannot be imported, because it was made without naming a script",
            hint="import one that a script has made",
        )
    named = Path(snapshot.script)
    if named.is_absolute() and named.is_relative_to(snapshot.project_dir or named):
        named = named.relative_to(snapshot.project_dir)
    path = posixpath.normpath(named)
    if not files.is_file(path):
        raise NotFoundError(f"snapshot {snapshot.name} does not hold its script {snapshot.script!r}")
    return path


def _only_one(context: ImportContext, script: str) -> Any:
    if len(context.tasks) == 1:
        return context.tasks[0]
    snapshot = f"snapshot {context.snapshot.name} cannot be imported, because its script {script!r}"
    if not context.tasks:
        raise RefusedError(
            f"{snapshot} calls main() of no task when it is imported",
            hint='call it at the end of the script, and not beneath `if __name__ == "__main__"`',
        )
    kinds = ", ".join(type(task).__name__ for task in context.tasks)
    raise RefusedError(f"{snapshot} calls main() of {len(context.tasks)} tasks ({kinds})", hint="one script, one task")


def _ended_early(error: BaseException, snapshot: Snapshot, script: str, files: Files) -> DioptraError:
    if isinstance(error, SystemExit):
        said = f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    else:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        said = ": ".join(filter(None, (type(error).__name__, text)))
    return RefusedError(
        f"snapshot {snapshot.name} cannot be imported ({said})", where=_place(error, files) or repr(script)
    )


def _place(error: BaseException, files: Files) -> str:
    """Return the last place in the version's own files that an error came through."""
    found = ""
    at = error.__traceback__
    while at:
        if (path := files.path_of(at.tb_frame.f_code.co_filename)) is not None:
            found = f"{path} line {at.tb_lineno}"
        at = at.tb_next
    if isinstance(error, SyntaxError) and (path := files.path_of(error.filename or "")) is not None:
        found = f"{path} line {error.lineno}"
    return found


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of importing, as Python does with its own."""
    kept = []
    while traceback:
        name = traceback.tb_frame.f_code.co_filename
        if name != importlib.__file__ and not name.startswith(("<frozen importlib", __file__.removesuffix(".py"))):
            kept.append(traceback)
        traceback = traceback.tb_next
    for each in reversed(kept):
        traceback = TracebackType(traceback, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return traceback


class _WorkingDirectory:
    """Goes back to the working directory when a script has left it; of imports side by side, the last one does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: Path | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Be as before at the end."""
        with self._lock:
            if not self._users:
                self._before = _here()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._before and _here() != self._before:
                    with suppress(OSError):  # it was removed meanwhile
                        os.chdir(self._before)


def _here() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed
        return None


_WORKING_DIRECTORY = _WorkingDirectory()
