"""Bundles of what lies elsewhere: fetched once, and again only as far as it has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from dioptra.errors import ArchiveError, CaptureError, NotFoundError, StoreUnreachableError, UsageError
from dioptra.storage._archives import BUNDLE_LIMITS, is_archive, unpack
from dioptra.storage._bundles import SKIPPED, UPLOAD_MARK, beside, make_read_only, move_in, to_disk
from dioptra.storage._elsewhere import (
    ChangedError,
    Elsewhere,
    NoFileError,
    RemoteFile,
    Told,
    connect,
    in_threads,
    is_web,
)
from dioptra.storage._hashes import hash_content
from dioptra.storage._home import write_aside
from dioptra.storage._members import Member
from dioptra.storage._names import Names, folders_of

__all__ = ["fetch_bundle"]

_SKIPPED = frozenset(SKIPPED)
_TRIES = 5
_PAUSE_SECONDS = 0.2  # before the second try, and twice as long before each one after it
_VERSION = 1
_SHA256 = re.compile("[0-9a-f]{64}")


def fetch_bundle(uri: str, store: Path, *, cache: Path) -> str:
    """Keep the folder or archive at a URI as a bundle, and return its SHA-256: that which `pin` gives the same files.

    A folder costs one listing where nothing has changed. Else what has changed is fetched, and the folder is listed
    again: a bundle holds what was there at one moment.

    Args:
        uri: Where it lies; an archive is named so, and may lie on a web server.
        store: The folder of all bundles; made where it does not exist.
        cache: A folder that remembers what was there.

    Raises:
        NotFoundError: There is nothing at the URI, or no such bucket.
        StoreUnreachableError: The store does not answer or let us in, or what is there changes or is not whole.
        UsageError: It is no folder.
        ArchiveError: It holds more, or other names, than a bundle may.
        CaptureError: It cannot be written here.
        BaseOptionalDependencyError: The package for that kind of store is not installed.
    """
    place, memory = connect(uri), _Memory.load(cache, uri)
    name = unquote(PurePosixPath(urlsplit(uri).path).name)
    try:
        if is_archive(Path(name)):
            return _of_archive(place, name, store, memory)
        if is_web(uri):
            hint = "name an archive, such as one that ends in .zip"
            raise UsageError(f"{place.uri!r} is no archive, and a folder cannot be fetched by http", hint=hint)
        return _Folder(place, store, memory).sha256()
    except OSError as error:  # of the disk: those of the store have been translated
        message = f"{place.uri!r} cannot be kept in {str(store)!r} ({error.strerror or error})"
        raise CaptureError(message, hint="see whether the disk is full") from error


@dataclass
class _Memory:
    """What lay at a URI when it was last fetched. A file that cannot be read or written costs time and nothing else."""

    file: Path
    sha256: str = ""
    files: dict[str, RemoteFile] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, uri: str) -> _Memory:
        """Read what is remembered of a URI."""
        memory = cls(folder / f"{hashlib.sha256(uri.encode()).hexdigest()}.json")
        try:
            content: Any = json.loads(memory.file.read_bytes())
            if content["version"] == _VERSION and _SHA256.fullmatch(content["sha256"]):
                memory.files = {name: RemoteFile(name, *pair) for name, pair in content["files"].items()}
                memory.sha256 = content["sha256"]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):  # whatever the damage is
            memory.files = {}
        return memory

    def knows(self, files: list[RemoteFile], store: Path) -> bool:
        """Tell whether the same files lie there again, and their bundle is here."""
        same = bool(self.sha256) and files == list(self.files.values()) and all(file.version for file in files)
        return same and (store / self.sha256).is_dir()

    def forget_changed(self, store: Path) -> None:
        """Forget the files of a bundle that is not what its name says: nothing is copied from there."""
        with contextlib.suppress(NotFoundError, CaptureError):
            if self.sha256 and hash_content(store / self.sha256, skip=SKIPPED).sha256 == self.sha256:
                return
        self.files = {}

    def keep(self, files: list[RemoteFile], sha256: str) -> str:
        """Remember what lies there, and return the hash of its bundle."""
        content = {
            "version": _VERSION,
            "sha256": sha256,
            "files": {file.name: [file.size, file.version] for file in files},
        }
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_aside(self.file, json.dumps(content, separators=(",", ":")).encode(), durable=False)
        return sha256


@dataclass
class _Folder:
    """A folder elsewhere that becomes a bundle."""

    place: Elsewhere
    store: Path
    memory: _Memory

    def sha256(self) -> str:
        """Return the hash of the bundle, which is in the store then."""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
            files = self._files()
            if self.memory.knows(files, self.store):
                return self.memory.sha256
            if sha256 := self._fetched(files):
                return self.memory.keep(files, sha256)
        raise StoreUnreachableError(f"{self.place.uri!r} is being changed", hint="try again when it is whole")

    def _files(self) -> list[RemoteFile]:
        files = [file for file in self.place.files() if not _SKIPPED & set(file.name.split("/"))]
        if any(file.name.rpartition("/")[2] == UPLOAD_MARK for file in files):
            raise StoreUnreachableError(
                f"{self.place.uri!r} is not whole: something is being pushed there, or a push was cut off",
                hint="try again; if nobody pushes there, push again with --resume",
            )
        if not files:
            raise NotFoundError(f"there is nothing at {self.place.uri!r}")
        return files

    def _fetched(self, files: list[RemoteFile]) -> str:
        """Make the bundle and return its hash, or nothing if something else lies there meanwhile."""
        folders = _checked(files, self.place.uri)
        self.memory.forget_changed(self.store)
        with beside(self.store) as aside:
            copy = aside / "copy"
            for folder in folders:
                (copy / folder).mkdir()
            try:
                digests = in_threads(
                    lambda file, told: self._bring(file, copy, told),
                    files,
                    self.place.threads,
                    _limited(self.place.uri),
                )
            except ChangedError:
                return ""
            if self._files() != files:
                return ""
            sha256 = _hash({file.name: digest for file, digest in zip(files, digests, strict=True) if digest})
            if not (self.store / sha256).is_dir():
                for folder in reversed(folders):
                    (copy / folder).chmod(0o555)
                    to_disk(copy / folder)
                move_in(copy, self.store / sha256)
                to_disk(self.store)
            return sha256

    def _bring(self, file: RemoteFile, copy: Path, told: Told) -> bytes | None:
        """Write a file, as it was in the last bundle or as it is now, and return its SHA-256; None if it is no file."""
        path = copy / file.name
        try:
            digest = self._copied(file, path) or self.place.get(file, path, told)
        except NoFileError:
            return None
        return _finished(path, digest)

    def _copied(self, file: RemoteFile, path: Path) -> bytes | None:
        if not file.version or self.memory.files.get(file.name) != file:
            return None
        try:
            content = (self.store / self.memory.sha256 / file.name).read_bytes()
        except OSError:
            return None
        path.write_bytes(content)
        return hashlib.sha256(content).digest()


def _finished(path: Path, digest: bytes | None) -> bytes:
    """Make a file read-only and wait until it is on disk, beside other threads that fetch; return its SHA-256."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(handle, 0o444)
        os.fsync(handle)
    finally:
        os.close(handle)
    return digest or hashlib.sha256(path.read_bytes()).digest()


def _checked(files: list[RemoteFile], uri: str) -> list[str]:
    """Return the folders to make, the outer ones first, if the files are such as a bundle may have.

    Raises:
        ArchiveError: They are not.
    """
    limits, names, total = BUNDLE_LIMITS, Names(BUNDLE_LIMITS, repr(uri)), 0
    if len(files) > limits.members:
        raise ArchiveError(f"{uri!r} holds {len(files)} files", hint=f"the limit is {limits.members}")
    for file in files:
        names.claim(Member(file.name, file.size or 0, is_folder=False, is_executable=False))
        total += file.size or 0
        if (file.size or 0) > limits.member_bytes:
            hint = f"the limit is {limits.member_bytes}"
            raise ArchiveError(f"{file.name!r} at {uri!r} is {file.size} bytes", hint=hint)
    if total > limits.total_bytes:
        raise ArchiveError(f"{uri!r} holds {total} bytes", hint=f"the limit is {limits.total_bytes}")
    return ["", *sorted(folders_of(file.name for file in files))]


def _limited(uri: str) -> Told:
    """Return what ends a fetch that brings more than a bundle may hold, whatever was listed."""
    done, limit = 0, BUNDLE_LIMITS.total_bytes

    def told(count: int, size: int | None) -> None:
        nonlocal done
        done += count
        if done > limit:
            raise ArchiveError(f"{uri!r} gives more bytes than a bundle may have", hint=f"the limit is {limit}")

    return told


def _hash(digests: Mapping[str, bytes]) -> str:
    """Return what `hash_content` gives a folder with files of these SHA-256; its docstring says how."""
    records = {name.encode(): (b"file", digest) for name, digest in digests.items()}
    records |= {f"{name}/".encode(): (b"folder", b"") for name in folders_of(digests)}
    total = hashlib.sha256()
    for path, (kind, detail) in sorted(records.items()):
        total.update(b"%s %d:%s%d:%s" % (kind, len(path), path, len(detail), detail))
    return total.hexdigest()


def _of_archive(place: Elsewhere, name: str, store: Path, memory: _Memory) -> str:
    file = place.file()
    if file is None:
        raise NotFoundError(f"there is nothing at {place.uri!r}")
    if memory.knows([file], store):
        return memory.sha256
    if (file.size or 0) > BUNDLE_LIMITS.total_bytes:
        raise ArchiveError(f"{place.uri!r} is {file.size} bytes", hint=f"the limit is {BUNDLE_LIMITS.total_bytes}")
    with beside(store) as aside, _there(place):
        in_threads(lambda each, told: place.get(each, aside / name, told), [file], 1, _limited(place.uri))
        copy = unpack(aside / name, aside / "copy")
        sha256 = hash_content(copy, skip=SKIPPED).sha256
        make_read_only(copy)
        for entry in sorted(copy.rglob("*"), reverse=True):
            to_disk(entry)
        move_in(copy, store / sha256)
        to_disk(store)
    return memory.keep([file], sha256)


@contextlib.contextmanager
def _there(place: Elsewhere) -> Iterator[None]:
    try:
        yield
    except (ChangedError, NoFileError):
        raise NotFoundError(f"there is nothing at {place.uri!r}, or it is being changed") from None
