"""The journal of a run's data: operations that are only ever appended, by several processes at once."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from dioptra.errors import RefusedError, UsageError
from dioptra.records import now

__all__ = ["KINDS", "Contents", "DataJournal", "Journal", "MemoryJournal", "Operation", "nothing"]

logger = logging.getLogger("dioptra.experiment")

KINDS = ("train", "val", "test", "custom")
VERBS = ("store", "append", "model", "reset")
_TAIL = 64  # bytes of the last line, enough to hold its time

T = TypeVar("T")


@dataclass(frozen=True)
class Operation:
    """One step of a journal; a value is what JSON gives back."""

    do: str
    kind: str = ""
    name: str = ""
    value: Any = None


class Contents:
    """What the operations of a journal amount to."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self.models: list[str] = []

    def check(self, operations: Sequence[Operation]) -> None:
        """Raise UsageError if one of these operations appends to what is not a list."""
        is_list: dict[tuple[str, str], bool] = {}
        for step in operations:
            key = (step.kind, step.name)
            if step.do == "store":
                is_list[key] = isinstance(step.value, list)
            elif step.do == "append" and not is_list.get(key, self._takes_append(*key)):
                hint = "append to another name, or store a list first"
                raise UsageError(
                    f"the {step.kind} data {step.name!r} is not a list, nothing can be appended", hint=hint
                )

    def apply(self, operations: Sequence[Operation]) -> None:
        """Take these operations in; each name's own list grows in place, what lies deeper is never changed."""
        for step in operations:
            match step.do:
                case "store":
                    self.data[step.kind][step.name] = step.value
                case "append":
                    self.data[step.kind].setdefault(step.name, []).append(step.value)
                case "model":
                    self.models = [*(name for name in self.models if name != step.name), step.name]
                case "reset" if step.kind:
                    self.data[step.kind] = {}
                case "reset":
                    self.data, self.models = {kind: {} for kind in KINDS}, []

    def of(self, kind: str) -> dict[str, Any]:
        """Return the data of a kind as it is now, with own lists that nobody appends to."""
        values = dict(self.data[kind])  # at once: another thread may add a name meanwhile
        return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}

    def _takes_append(self, kind: str, name: str) -> bool:
        return isinstance(self.data[kind].get(name, []), list)


def nothing(_: Contents) -> None:
    """Do nothing before a write."""


class Journal(Protocol):
    """Where operations are kept."""

    def read(self, take: Callable[[Contents], T]) -> T:
        """Return what a function takes from the contents of now; it must not keep the contents."""
        ...

    def write(self, operations: Sequence[Operation], before: Callable[[Contents], None] = nothing) -> None:
        """Keep these operations, all or none, after `before` has run while nobody else can write.

        Raises:
            UsageError: One of them appends to what is not a list.
        """
        ...


class MemoryJournal:
    """A journal without a file."""

    def __init__(self) -> None:
        self._contents = Contents()

    def read(self, take: Callable[[Contents], T]) -> T:
        """Return what a function takes from the contents."""
        return take(self._contents)

    def write(self, operations: Sequence[Operation], before: Callable[[Contents], None] = nothing) -> None:
        """Keep these operations."""
        self._contents.check(operations)
        before(self._contents)
        self._contents.apply(operations)


class DataJournal:
    """A journal in a file, one JSON object a line, that is only ever appended to.

    Any number of objects, threads and processes may share a file. A write is one line, written at once under a lock;
    reading takes no lock, and takes only what is new. A line that a dying writer left unfinished is passed over.
    What was written outlives its process at once, and a power cut a few seconds later.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._start_over()

    def __reduce__(self) -> tuple[type[DataJournal], tuple[Path]]:
        return type(self), (self.file,)  # so that what holds a journal can be sent to another process

    def read(self, take: Callable[[Contents], T]) -> T:
        """Return what a function takes from the contents of now."""
        with self._lock:
            with self._naming_the_file("read"), self._reading() as file:
                self._catch_up(file)
            return take(self._contents)

    def write(self, operations: Sequence[Operation], before: Callable[[Contents], None] = nothing) -> None:
        """Append these operations, in one line."""
        if not operations:
            return
        line = json.dumps({"operations": [vars(step) for step in operations], "at": now().isoformat()}).encode()
        with self._lock, self._naming_the_file("written"), self._writing() as file:
            self._catch_up(file)
            self._contents.check(operations)
            before(self._contents)
            self._append(file, line + b"\n")

    def _start_over(self) -> None:
        self._contents = Contents()
        self._offset = 0  # just after the last whole line that was read
        self._tail = b""  # the end of that line

    def _reading(self) -> IO[bytes]:
        try:
            return self.file.open("rb")
        except FileNotFoundError:
            return io.BytesIO()

    @contextmanager
    def _writing(self) -> Iterator[IO[bytes]]:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        with os.fdopen(os.open(self.file, flags, 0o600), "a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield file
            finally:
                # Closing would not do: a process forked meanwhile has the file open too, and would keep the lock.
                fcntl.flock(file, fcntl.LOCK_UN)

    @contextmanager
    def _naming_the_file(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RefusedError(f"the data {str(self.file)!r} cannot be {done} ({error.strerror or error})") from error

    def _append(self, file: IO[bytes], line: bytes) -> None:
        size = os.fstat(file.fileno()).st_size
        data = line if size == self._offset else b"\n" + line  # what a dead writer left becomes a line of its own
        if file.write(data) != len(data):
            file.truncate(size)
            raise OSError("no space left for a whole line")

    def _catch_up(self, file: IO[bytes]) -> None:
        data = _read_from(file, self._offset - len(self._tail))
        if not data.startswith(self._tail):  # the file was cut or replaced
            self._start_over()
            data = _read_from(file, 0)
        whole = data[: data.rfind(b"\n") + 1]
        try:
            for line in whole[len(self._tail) :].split(b"\n"):
                self._take(line)
            self._offset += len(whole) - len(self._tail)
            self._tail = whole[-_TAIL:]
        except BaseException:  # an interrupt half way: the next look would take some lines twice
            self._start_over()
            raise

    def _take(self, line: bytes) -> None:
        if not line:
            return
        try:
            operations = _decoded(line)
            self._contents.check(operations)
        except (ValueError, TypeError, KeyError, RecursionError, UsageError) as error:
            logger.warning("%s: a line cannot be read and is passed over: %r (%s)", self.file, line[:80], error)
        else:
            self._contents.apply(operations)


def _read_from(file: IO[bytes], offset: int) -> bytes:
    file.seek(offset)
    return file.read()


def _decoded(line: bytes) -> list[Operation]:
    operations = [Operation(**fields) for fields in json.loads(line)["operations"]]
    for step in operations:
        if step.do not in VERBS or not isinstance(step.name, str):
            raise ValueError(f"no such operation: {step.do!r} {step.name!r}")
        if step.do in ("store", "append") and step.kind not in KINDS:
            raise ValueError(f"no such data: {step.kind!r}")
    return operations
