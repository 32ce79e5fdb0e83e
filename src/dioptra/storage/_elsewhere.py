"""What a place elsewhere can be asked for, whatever kind of store it is in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, cast

from dioptra.errors import BaseOptionalDependencyError
from dioptra.storage._addresses import is_remote, local_path, shown

__all__ = [
    "ChangedError",
    "Elsewhere",
    "NoFileError",
    "RemoteFile",
    "StoppedError",
    "Told",
    "connect",
    "in_threads",
    "is_web",
]

Told = Callable[[int, int | None], object]  # bytes of a piece that has come, bytes of the whole file where known
_What = TypeVar("_What")
_Result = TypeVar("_Result")


class ChangedError(Exception):
    """A file is not there any more as it was when it was listed."""


class NoFileError(Exception):
    """What was listed is no file: the mark by which a store shows an empty folder."""


class StoppedError(Exception):
    """Another thread had an error, or the user has interrupted."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file elsewhere, as its store lists it."""

    name: str  # relative to the place; empty where the place is the file
    size: int | None
    version: str  # another one whenever the content is another one; empty where the store has none


class Elsewhere(Protocol):
    """A file or folder in some store.

    Its methods raise `NotFoundError`, `StoreUnreachableError` or `UsageError`, none of which shows credentials.
    """

    uri: str  # as it may be shown
    threads: int  # that may use it at once

    def file(self) -> RemoteFile | None:
        """Return the file that the place is, or None if it is something else."""
        ...

    def files(self) -> list[RemoteFile]:
        """Return the files below the place in the order of their names, with one request where there are not many."""
        ...

    def get(self, file: RemoteFile, path: Path, told: Told) -> bytes | None:
        """Write a file to a new local file, and return its SHA-256 if that was no trouble.

        Args:
            file: What was listed.
            path: The local file.
            told: Called with each piece that has come.

        Raises:
            ChangedError: It is not there any more as it was listed.
            NoFileError: It is no file.
        """
        ...

    def put(self, name: str, content: bytes) -> None:
        """Keep a file: whole or not at all."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    def holds(self, file: RemoteFile, content: bytes) -> bool:
        """Tell whether a file is known to have a content."""
        ...


def connect(text: str) -> Elsewhere:
    """Return the place that a URI or a local path names; nothing is asked yet.

    Raises:
        UsageError: It is no address of a store.
        BaseOptionalDependencyError: The package for that kind of store is not installed.
    """
    if not is_remote(text):
        from dioptra.storage._local_place import LocalPlace

        return LocalPlace(Path(local_path(text)))
    if text.lower().startswith(("s3://", "s3a://")):
        from dioptra.storage._s3 import S3Place

        try:
            return S3Place(text)
        except ImportError as error:
            hint = "pip install 'dioptra-testbed[s3]'"
            raise BaseOptionalDependencyError(f"a package is needed to read {shown(text)!r}", hint=hint) from error
    from dioptra.storage._fsspec_place import FsspecPlace

    return FsspecPlace(text)


def is_web(uri: str) -> bool:
    """Tell whether a URI is that of a page: what it links to is no folder."""
    return uri.lower().startswith(("http://", "https://"))


def in_threads(
    work: Callable[[_What, Told], _Result],
    items: Iterable[_What],
    threads: int,
    told: Told = lambda count, size: None,
) -> list[_Result]:
    """Do something with each item, several at once; the first error ends it, and what is under way soon after.

    Args:
        work: Called with an item, and with what it has to call from time to time.
        items: What is to be done, in the order of the results.
        threads: How many at once.
        told: Called each time, never by two threads at once.
    """
    stopped, lock = threading.Event(), threading.Lock()

    def tell(count: int, size: int | None) -> None:
        if stopped.is_set():
            raise StoppedError
        with lock:
            told(count, size)

    found: dict[int, _Result] = {}
    waiting = iter(list(enumerate(items)))  # one for all threads: less to do than with a future for each item

    def take() -> None:
        while not stopped.is_set():
            with lock:
                number, item = next(waiting, (-1, None))
            if number < 0:
                return
            found[number] = work(cast("_What", item), tell)

    with ThreadPoolExecutor(threads, thread_name_prefix="elsewhere") as pool:
        try:
            started = [pool.submit(take) for _ in range(threads)]
            done, _ = wait(started, return_when=FIRST_EXCEPTION)
            for each in done:
                each.result()
            return [found[number] for number in sorted(found)]
        finally:
            stopped.set()
