"""Experiment: a named line of work, with the history of its code and its snapshots."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import secrets
import shutil
import string
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from dioptra.errors import GitError, RefusedError, SnapshotNotFoundError, UsageError
from dioptra.experiment._address import SECOND, is_last, nth_last, select, sure
from dioptra.experiment._code import Code
from dioptra.experiment._environment import environment
from dioptra.experiment._index import Taken
from dioptra.experiment._live import import_task
from dioptra.experiment._settings import read_settings
from dioptra.experiment._snapshot import NO_COMMENT, SNAPSHOT_FILE, Snapshot, SnapshotRecord
from dioptra.records import now
from dioptra.storage import find_home, write_aside

__all__ = ["Capture", "Changes", "Experiment"]

_RECORD = "experiment.json"
_ID_LENGTH = 8  # lower-case letters: 2e11 of them, and a taken one is drawn again


@dataclass(frozen=True)
class Changes:
    """What of a project differs from a snapshot: paths from the project on."""

    modified: tuple[str, ...]
    removed: tuple[str, ...]
    untracked: tuple[str, ...]

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.modified or self.removed or self.untracked)


@dataclass(frozen=True)
class Capture:
    """What a capture gave: a snapshot, whether it is new, and the state of the repository at this moment."""

    snapshot: Snapshot
    is_new: bool
    repository: dict[str, Any] | None


class Experiment:
    """One experiment of a library.

    Args:
        path: Its folder, named as the experiment is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.code = Code(path)
        self._snapshots = path / "snapshots"
        self._record = self._read()

    @classmethod
    def make(cls, path: Path) -> Self:
        """Make the folder of a new experiment, whole or not at all.

        Raises:
            RefusedError: There is one already.
        """
        aside = path.parent / f".{path.name}.{secrets.token_hex(4)}"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside.mkdir(mode=0o700)
        (aside / "snapshots").mkdir()
        try:
            Code(aside).make()
            record = {"name": path.name, "created_at": now().isoformat()}
            write_aside(aside / _RECORD, json.dumps(record, indent=2).encode() + b"\n")
            aside.rename(path)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            if path.exists():
                raise RefusedError(f"there is an experiment {path.name!r} already", where=str(path.parent)) from error
            raise
        return cls(path)

    def capture(
        self,
        project: str | os.PathLike[str] | None = None,
        *,
        message: str = NO_COMMENT,
        script: str = "",
        conditions: Callable[[], dict[str, Any]] | None = None,
        left_out: tuple[Path, ...] = (),
    ) -> Capture:
        """Capture a project as it is on disk now; if nothing has changed, the last snapshot is given again.

        Args:
            project: Its folder; by default the one that is linked.
            message: What to say about a new snapshot.
            script: The file that is run.
            conditions: Gives what a new snapshot is run with; by default the environment.
            left_out: Folders that are no part of the project though they lie in it.

        Raises:
            CaptureError: A file cannot be captured.
            InvalidProjectError: The project's `dioptra.toml` is not valid.
        """
        return self._capture(self._project(project), message, script, conditions, left_out, always=False)

    def make_snapshot(
        self,
        message: str = NO_COMMENT,
        *,
        project: str | os.PathLike[str] | None = None,
        script: str = "",
        conditions: Callable[[], dict[str, Any]] | None = None,
    ) -> Snapshot:
        """Capture a project and make a new snapshot of it, changed or not; see `capture`."""
        return self._capture(self._project(project), message, script, conditions, (), always=True).snapshot

    def amend(
        self, snapshot: Snapshot, *, project: str | os.PathLike[str] | None = None, message: str | None = None
    ) -> Snapshot:
        """Let a snapshot stand for the code as it is now, or say something else about it; its data stay.

        What it stood for before is kept in its conditions, under `amended`.
        """
        with self.code.in_use():
            taken = self._take(self._project(project), ())
            with self._locked():
                record = Snapshot.load(snapshot.folder).record
                comment = record.comment if message is None else message
                before = {"commit": record.commit, "comment": record.comment, "at": now().isoformat()}
                amended = record.conditions | {"amended": [*record.conditions.get("amended", []), before]}
                is_same = taken.tree == record.tree  # then jobs may have run it
                commit = record.commit if is_same else self.code.commit(taken.tree, comment, now())
                changed: dict[str, Any] = {
                    "commit": commit,
                    "tree": taken.tree,
                    "comment": comment,
                    "conditions": amended,
                }
                record = dataclasses.replace(record, repository=taken.repository, **changed)
                write_aside(snapshot.folder / SNAPSHOT_FILE, json.dumps(record.to_dict(), indent=2).encode() + b"\n")
        return Snapshot.load(snapshot.folder)

    def check_changes(self, project: str | os.PathLike[str] | None = None, *, since: Snapshot | None = None) -> Changes:
        """Return what of a project has changed since a snapshot, by default the last; without one all is new."""
        with self.code.in_use():
            taken = self._take(self._project(project), ())
            last = since or self._last()
            found = self.code.changes(last.tree if last else None, taken.tree)
        return Changes(tuple(found["M"]), tuple(found["D"]), tuple(found["A"]))

    def link_local_repo(self, path: str | os.PathLike[str]) -> None:
        """Remember the folder of the project, so that it need not be named again."""
        folder = Path(path).resolve()
        if not folder.is_dir():
            raise UsageError(f"{str(folder)!r} is not a folder", hint="name the folder of the project")
        with self._locked():
            self._record = self._read() | {"project_dir": str(folder)}
            write_aside(self.path / _RECORD, json.dumps(self._record, indent=2).encode() + b"\n")

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots that can be read, oldest first; `broken` names the others."""
        found = [snapshot for name in self._names() if (snapshot := self._try_to_load(name))]
        return sorted(found, key=lambda snapshot: snapshot.created_at)

    def broken(self) -> list[Path]:
        """Return the records of snapshots that cannot be read."""
        return [self._snapshots / name / SNAPSHOT_FILE for name in self._names() if self._try_to_load(name) is None]

    def get_last_snapshot(self) -> Snapshot:
        """Return the newest snapshot.

        Raises:
            SnapshotNotFoundError: There is none.
        """
        return self.get_snapshot("last")

    def get_snapshot(self, address: str) -> Snapshot:
        """Return the snapshot with a name or an id, or with a unique prefix of one or of its commit; or `last~2`.

        Raises:
            SnapshotNotFoundError: There is none.
            UsageError: Several begin so.
        """
        return select(address, self.matches(address), f"experiment {self.name!r}")

    def matches(self, address: str) -> list[Snapshot]:
        """Return the snapshots that an address can mean."""
        if is_last(address):
            return sure(address, nth_last(self.snapshots(), address), self.broken())
        if not address:
            return []
        found = [name for name in self._names() if name.startswith(address) or _uid(name).startswith(address)]
        exact = [name for name in found if address in (name, _uid(name))]
        if found:
            return [Snapshot.load(self._snapshots / name) for name in exact or found]
        return [snapshot for snapshot in self.snapshots() if snapshot.commit.startswith(address)]

    def remove(self, snapshot: Snapshot) -> None:
        """Remove a snapshot with its data; `collect` frees what its code took.

        Raises:
            SnapshotNotFoundError: It is not there any more.
        """
        with self._locked():
            aside = snapshot.folder.with_name(f".{snapshot.name}")
            try:
                snapshot.folder.rename(aside)  # at once: it is never there by half
            except FileNotFoundError as error:
                raise SnapshotNotFoundError(f"snapshot {snapshot.name} is not there any more") from error
            shutil.rmtree(aside)

    def collect(self) -> int:
        """Free what no snapshot needs, and return how many bytes that were."""
        with self.code.in_use(alone=True), self._locked():
            if self.broken():
                raise RefusedError(
                    f"experiment {self.name!r} has snapshots that cannot be read, and what they need is not known",
                    hint=f"repair or remove {', '.join(map(str, self.broken()[:3]))}",
                )
            for folder in self._snapshots.iterdir():
                if folder.name.startswith(".") or not (folder / SNAPSHOT_FILE).exists():  # its making was cut short
                    shutil.rmtree(folder)
            return self.code.collect({snapshot.tree for snapshot in self.snapshots()})

    def lay_out(self, snapshot: Snapshot, folder: str | os.PathLike[str]) -> None:
        """Write the files of a snapshot into a folder, which must be empty or not there.

        Raises:
            GitError: Its code is damaged; the next capture stores all files anew.
        """
        try:
            with self.code.in_use():
                self.code.lay_out(snapshot.tree, Path(folder))
        except GitError as error:
            self.code.doubt()
            raise GitError(
                f"the code of snapshot {snapshot.name} is damaged: {error.message}",
                hint="what is on disk is stored anew with the next run",
            ) from error

    def import_snapshot(self, snapshot: str | Snapshot) -> Any:
        """Return the task of a snapshot as its own code makes it, live beside all others; nothing is laid out on disk.

        Args:
            snapshot: It, or what `get_snapshot` finds it by.

        Raises:
            SnapshotNotFoundError: This experiment has no such snapshot.
            NotFoundError: The snapshot does not hold its script.
            RefusedError: Its script ended early, or did not make exactly one task.
            UsageError: It is neither a snapshot nor text.
        """
        if not isinstance(snapshot, str | Snapshot):
            raise UsageError(f"{snapshot!r} is no snapshot", hint="give a snapshot, or its name or id")
        return import_task(self.code, self.get_snapshot(snapshot) if isinstance(snapshot, str) else snapshot)

    def _capture(
        self,
        project: Path,
        message: str,
        script: str,
        conditions: Callable[[], dict[str, Any]] | None,
        left_out: tuple[Path, ...],
        *,
        always: bool,
    ) -> Capture:
        with self.code.in_use():
            taken = self._take(project, left_out)
            last = None if always else self._last()
            if last and last.tree == taken.tree:
                return Capture(last, False, taken.repository)
            ran_with = (conditions or _conditions)()
            with self._locked():
                last = self._last()  # another process may have been quicker
                if last and last.tree == taken.tree and not always:
                    return Capture(last, False, taken.repository)
                return Capture(self._new(taken, project, message, script, ran_with), True, taken.repository)

    def _take(self, project: Path, left_out: tuple[Path, ...]) -> Taken:
        settings = read_settings(project)
        ours = (self.path.parent.resolve(), find_home().path.resolve())
        apart = (*ours, *left_out, *settings.shared_dirs(project.resolve()).values())
        return self.code.take(project, left_out=apart, limit=settings.file_limit)

    def _new(self, taken: Taken, project: Path, message: str, script: str, ran_with: dict[str, Any]) -> Snapshot:
        last = self._last()
        at = max(now(), last.created_at + timedelta(microseconds=1)) if last else now()
        uid = self._new_uid()
        name = f"{at:%Y%m%d-%H%M%S}-{uid}"
        record = SnapshotRecord(
            name=name,
            uid=uid,
            commit=self.code.commit(taken.tree, message, at),
            tree=taken.tree,
            created_at=at,
            script=script,
            comment=message,
            project_dir=str(project),
            repository=taken.repository,
            conditions=ran_with,
        )
        return Snapshot.create(self._snapshots / name, record)

    def _new_uid(self) -> str:
        taken = {_uid(name) for name in os.listdir(self._snapshots)}  # noqa: PTH208 - only the names are wanted
        while True:
            uid = "".join(secrets.choice(string.ascii_lowercase) for _ in range(_ID_LENGTH))
            if uid not in taken:
                return uid

    def _project(self, given: str | os.PathLike[str] | None) -> Path:
        found = given if given is not None else self._record.get("project_dir")
        if found is None:
            raise UsageError(
                f"experiment {self.name!r} does not know its project", hint="link_local_repo(FOLDER) first"
            )
        if not Path(found).is_dir():
            raise UsageError(f"{str(found)!r} is not a folder", hint="name the folder of the project")
        return Path(found).absolute()

    def _last(self) -> Snapshot | None:
        """Return the newest snapshot: names tell the second, records tell which of one second is the newest."""
        for _, names in groupby(sorted(self._names(), reverse=True), key=lambda name: name[:SECOND]):
            found = [snapshot for name in names if (snapshot := self._try_to_load(name))]
            if found:
                return max(found, key=lambda snapshot: snapshot.created_at)
        return None

    def _names(self) -> list[str]:
        with os.scandir(self._snapshots) as entries:
            names = (entry for entry in entries if not entry.name.startswith("."))
            return sorted(entry.name for entry in names if os.path.exists(f"{entry.path}/{SNAPSHOT_FILE}"))  # noqa: PTH110

    def _try_to_load(self, name: str) -> Snapshot | None:
        try:
            return Snapshot.load(self._snapshots / name)
        except RefusedError:
            return None

    def _read(self) -> dict[str, Any]:
        """Return what is kept about the experiment; a damaged one is refused."""
        try:
            record = json.loads((self.path / _RECORD).read_bytes())
            if record["name"] != self.name:
                raise ValueError(f"its name is {record['name']!r}")
            for needed in (self.code.git_dir, self._snapshots):
                if not needed.is_dir():
                    raise FileNotFoundError(f"{needed.name} is missing")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RefusedError(
                f"the experiment in {str(self.path)!r} is broken ({type(error).__name__}: {error})",
                hint="repair it, or move the folder away",
            ) from error
        return dict(record)

    def __repr__(self) -> str:
        return f"<Experiment {self.name}>"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change the list of snapshots."""
        try:
            file = (self.path / "lock").open("ab")
        except OSError as error:
            raise RefusedError(f"{str(self.path)!r} cannot be written to ({error.strerror})") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _conditions() -> dict[str, Any]:
    """Return what is known of a program that captures its own code."""
    return {"argv": sys.argv, "parameters": {}, "environment": environment()}


def _uid(name: str) -> str:
    return name[16:]
