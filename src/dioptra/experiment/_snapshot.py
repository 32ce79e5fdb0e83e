"""Snapshots: the exact code that ran, what it ran with, and what it produced."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from dioptra.errors import RefusedError
from dioptra.experiment._data import DATA_FILE, Data, DataFolder
from dioptra.experiment._journal import MemoryJournal
from dioptra.records import now
from dioptra.storage import write_aside

__all__ = ["NO_COMMENT", "SNAPSHOT_FILE", "DummySnapshot", "Snapshot", "SnapshotRecord"]

SNAPSHOT_FILE = "snapshot.json"
NO_COMMENT = "(no comment)"

_TEXTS = ("name", "uid", "commit", "tree", "script", "comment", "project_dir")


@dataclass(frozen=True, kw_only=True)
class SnapshotRecord:
    """What is fixed about a snapshot.

    Args:
        name: The name of its folder, `YYYYMMDD-HHMMSS-xxxxxxxx` in UTC.
        uid: The letters after the second dash of the name.
        commit: The commit in the experiment's own history.
        tree: The tree of that commit: the same for the same code.
        created_at: When it was made; aware.
        script: The file that was run.
        comment: What the user said about it.
        project_dir: The folder that was captured.
        repository: HEAD, branch, remote and whether it was dirty, of the repository around that folder, if any.
        conditions: What it ran with.
    """

    name: str
    uid: str
    commit: str
    tree: str
    created_at: datetime
    script: str = ""
    comment: str = NO_COMMENT
    project_dir: str = ""
    repository: dict[str, Any] | None = None
    conditions: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The uid."""
        return self.uid

    @property
    def timestamp(self) -> datetime:
        """When it was made."""
        return self.created_at

    def to_dict(self) -> dict[str, Any]:
        """Return the record as values that JSON can hold."""
        return dataclasses.asdict(self) | {"created_at": self.created_at.isoformat()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build the record again from what `to_dict` returned.

        Raises:
            TypeError, KeyError, ValueError: A field is missing or is not what it should be.
        """
        known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
        for name in _TEXTS:
            _expect(name, known.get(name, ""), str)
        _expect("repository", known.get("repository"), dict | None)
        _expect("conditions", known.get("conditions", {}), dict)
        return cls(**known | {"created_at": _aware(values["created_at"])})


def _expect(name: str, value: Any, kind: Any) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}")


def _aware(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"created_at {text!r} has no time zone")
    return time.astimezone(UTC)


class _Described:
    """Gives the fields of a record."""

    record: SnapshotRecord

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.record.name

    @property
    def uid(self) -> str:
        """The letters after the second dash of the name."""
        return self.record.uid

    @property
    def id(self) -> str:
        """The uid."""
        return self.record.uid

    @property
    def commit(self) -> str:
        """The commit in the experiment's own history."""
        return self.record.commit

    @property
    def tree(self) -> str:
        """The tree of the commit: the same for the same code."""
        return self.record.tree

    @property
    def created_at(self) -> datetime:
        """When it was made, in UTC."""
        return self.record.created_at

    @property
    def timestamp(self) -> datetime:
        """When it was made, in UTC."""
        return self.record.created_at

    @property
    def script(self) -> str:
        """The file that was run."""
        return self.record.script

    @property
    def comment(self) -> str:
        """What the user said about it."""
        return self.record.comment

    @property
    def project_dir(self) -> str:
        """The folder that was captured."""
        return self.record.project_dir

    @property
    def repository(self) -> dict[str, Any] | None:
        """The state of the repository around that folder, if there was one; a copy."""
        return copy.deepcopy(self.record.repository)

    @property
    def conditions(self) -> dict[str, Any]:
        """What it ran with; a copy."""
        return copy.deepcopy(self.record.conditions)


class Snapshot(_Described, DataFolder):
    """One state of an experiment's code that was run, with what it produced.

    Args:
        folder: The snapshot's folder.
        record: What is fixed about it.
    """

    reserved = (SNAPSHOT_FILE, DATA_FILE)

    def __init__(self, folder: Path, record: SnapshotRecord) -> None:
        super().__init__(folder)
        self.record = record

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the snapshot that lies in a folder.

        Raises:
            RefusedError: Its record is missing or damaged.
        """
        file = folder / SNAPSHOT_FILE
        try:
            return cls(folder, SnapshotRecord.from_dict(json.loads(file.read_bytes())))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RefusedError(
                f"the snapshot {str(file)!r} cannot be read ({type(error).__name__}: {error})",
                hint="what it left lies beside it",
            ) from error

    @classmethod
    def create(cls, folder: Path, record: SnapshotRecord) -> Self:
        """Make the folder of a new snapshot, closed to other users, and keep the record in it.

        Raises:
            RefusedError: The folder exists, or cannot be made.
        """
        content = json.dumps(record.to_dict(), indent=2).encode() + b"\n"
        try:
            folder.mkdir(parents=True, mode=0o700)
            write_aside(folder / SNAPSHOT_FILE, content)
        except OSError as error:
            raise RefusedError(f"the snapshot {str(folder)!r} cannot be made ({error.strerror})") from error
        return cls(folder, record)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return (self.folder, self.name) == (other.folder, other.name)

    def __hash__(self) -> int:
        return hash((self.folder, self.name))

    def __repr__(self) -> str:
        return f"<Snapshot {self.name}, commit {self.commit[:7]}, {self.comment}>"


class DummySnapshot(_Described, Data):
    """A snapshot without code and without a folder: its data live as long as it does."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.record = SnapshotRecord(name="", uid="", commit="", tree="", created_at=now())

    def make_path(self, filename: str | os.PathLike[str]) -> Path:
        """Refuse: there is no folder."""
        raise RefusedError(
            f"there is no folder for {str(filename)!r}: this task is not run as an experiment",
            hint="run its script from the command line to make a snapshot",
        )

    def __repr__(self) -> str:
        return "<DummySnapshot>"
