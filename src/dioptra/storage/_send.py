"""Brings the files of a folder to a place, here or elsewhere, so that nobody takes them before they are all there."""

from __future__ import annotations

import os
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from dioptra.errors import CaptureError, StoreUnreachableError, UsageError
from dioptra.storage._archives import BUNDLE_LIMITS
from dioptra.storage._bundles import UPLOAD_MARK
from dioptra.storage._elsewhere import ChangedError, Elsewhere, RemoteFile, Told, connect, in_threads
from dioptra.storage._members import Member
from dioptra.storage._names import Names
from dioptra.storage._tree import FILE, FOLDER, walk

__all__ = ["Sent", "plan_send", "send_folder"]

_SKIPPED = frozenset({b"__pycache__", UPLOAD_MARK.encode()})
_COMPILED = ".pyc"


@dataclass(frozen=True)
class Sent:
    """What was done, or would be done, to make a place hold what a folder holds."""

    sent: tuple[str, ...]  # names of files that are new or other ones there
    removed: tuple[str, ...]  # names of files that lie there and not in the folder
    kept: int  # files that are there already


def plan_send(folder: Path, place: str) -> Sent:
    """Say what `send_folder` would do; see there."""
    return _plan(_files_of(folder), connect(place))[0]


def send_folder(
    folder: Path, place: str, *, remove: bool = True, marker_at: str | None = None, resume: bool = False
) -> Sent:
    """Make a place hold exactly what a folder holds, without compiled files.

    A mark lies there meanwhile: `fetch_bundle` and `pin` take nothing from a place with one, and nobody else sends to
    it. After an error it stays, and goes when that send is resumed. Only files that are not the same already are sent.

    Args:
        folder: What to send.
        place: A URI or a local folder; made where it does not exist.
        remove: Remove what lies there and is not in the folder.
        marker_at: Where to put the mark: of a place that is a part of a collection, the place of the collection.
        resume: A send to this place was cut off, and this one takes its place.

    Raises:
        UsageError: There is no file in the folder.
        ArchiveError: A name in it is none that a bundle may have, or it is too large.
        CaptureError: Something in it is no file and no folder.
        StoreUnreachableError: The store does not answer or let us in, or somebody else sends there.
    """
    files, there = _files_of(folder), connect(place)
    plan, listed = _plan(files, there)
    removed = plan.removed if remove else ()
    sign = _Mark(connect(marker_at) if marker_at else there, there.uri)
    if plan.sent or removed or resume:
        sign.put(resume=resume)
        in_threads(lambda name, told: there.put(name, files[name].read_bytes()), plan.sent, there.threads)
        in_threads(lambda name, told: there.delete(name), removed, there.threads)
    for name in listed:
        if name.rpartition("/")[2] == UPLOAD_MARK:  # of a send to here that was cut off
            there.delete(name)
    sign.remove()
    return Sent(plan.sent, removed, plan.kept)


@dataclass(frozen=True)
class _Mark:
    """The file that says that a place is not whole; it holds the place that is sent to."""

    where: Elsewhere
    uri: str
    sender: str = field(default_factory=lambda: uuid.uuid4().hex)

    def put(self, *, resume: bool) -> None:
        """Put it there, unless there is one; that of this place may be replaced to resume."""
        found = self._place_and_sender()
        if found and not (resume and found[0] in ("", self.uri)):
            raise self._taken(found[0])
        self.where.put(UPLOAD_MARK, f"{self.uri}\n{self.sender}".encode())
        found = self._place_and_sender()
        if found != (self.uri, self.sender):  # somebody else has put one at the same moment
            raise self._taken(found[0] if found else "")

    def remove(self) -> None:
        """Take it away, unless it is somebody else's."""
        if self._place_and_sender() == (self.uri, self.sender):
            self.where.delete(UPLOAD_MARK)

    def _taken(self, place: str) -> StoreUnreachableError:
        which = "add --resume" if place == self.uri else "push that again with --resume"
        return StoreUnreachableError(
            f"{(place or self.uri)!r} is not whole: something is being pushed there, or a push was cut off",
            hint=f"try again; if nobody pushes there, {which}",
        )

    def _place_and_sender(self) -> tuple[str, str] | None:
        with tempfile.TemporaryDirectory(prefix="dioptra-") as folder:
            file = Path(folder, "mark")
            try:
                self.where.get(RemoteFile(UPLOAD_MARK, None, ""), file, lambda count, size: None)
            except (ChangedError, FileNotFoundError):
                return None
            place, _, sender = file.read_text(errors="replace").partition("\n")
        return place, sender


def _plan(files: dict[str, Path], there: Elsewhere) -> tuple[Sent, list[str]]:
    """Return what is to be done, and all names that lie there."""
    listed = {file.name: file for file in there.files()}

    def is_same(name: str, told: Told) -> bool:
        return name in listed and there.holds(listed[name], files[name].read_bytes())

    same = dict(zip(files, in_threads(is_same, files, 4), strict=True))
    sent = tuple(name for name in files if not same[name])
    removed = tuple(name for name in listed if name not in files and not _is_left_alone(name))
    return Sent(sent, removed, len(files) - len(sent)), list(listed)


def _is_left_alone(name: str) -> bool:
    parts = name.split("/")
    return parts[-1] == UPLOAD_MARK or "__pycache__" in parts or name.endswith(_COMPILED)


def _files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by their names, if they are such as a bundle may have."""
    names, limits, total = Names(BUNDLE_LIMITS, repr(str(folder))), BUNDLE_LIMITS, 0
    found: dict[str, Path] = {}
    for entry in walk(os.fsencode(folder.absolute()), _SKIPPED):
        name = os.fsdecode(entry.path)
        if entry.kind not in (FILE, FOLDER) or entry.status is None:
            raise CaptureError(f"{str(folder / name)!r} is neither a file nor a folder", hint="move it away")
        if entry.kind == FOLDER or name.endswith(_COMPILED):
            continue
        names.claim(Member(name, entry.status.st_size, is_folder=False, is_executable=False))
        total += entry.status.st_size
        if entry.status.st_size > limits.member_bytes or total > limits.total_bytes or len(found) == limits.members:
            raise UsageError(
                f"{str(folder)!r} is more than can be sent, at {name!r}",
                hint=f"the limits: {limits.members} files of {limits.member_bytes} bytes, {limits.total_bytes} in all",
            )
        found[name] = folder / name
    if not found:
        raise UsageError(f"there is no file in the folder {str(folder)!r}", hint="name one with files")
    return found
