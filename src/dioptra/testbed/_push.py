"""How task plugins get to the place of their collection: looked at first, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import NotFoundError, RefusedError, UsageError
from dioptra.storage import (
    ARCHIVE_SUFFIXES,
    Home,
    Sent,
    fetch,
    is_archive,
    is_remote,
    local_path,
    plan_send,
    send_folder,
    unpack,
)
from dioptra.testbed._plugins import copy_files
from dioptra.worker import CUSTOM, Collection, collections

if TYPE_CHECKING:
    from dioptra.pyplugs.source import Problem

__all__ = ["Pushed", "check", "push"]


@dataclass(frozen=True)
class Pushed:
    """What a push did, or would do."""

    name: str  # of the collection, or `collection.package`
    place: str  # of the collection, without credentials
    changes: Sent
    problems: tuple[Problem, ...]
    sha256: str = ""  # of the collection afterwards; empty if nothing was sent

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return {
            "name": self.name,
            "place": self.place,
            "sent": list(self.changes.sent),
            "removed": list(self.changes.removed),
            "kept": self.changes.kept,
            "problems": [each.to_dict() for each in self.problems],
            "sha256": self.sha256,
        }


def check(home: Home, source: Path, name: str = "") -> tuple[str, tuple[Problem, ...]]:
    """Say by which name a folder or archive of task plugins was looked at, and what is wrong with it; see `push`."""
    with _folder_of(source) as folder:
        target = _Target(home, name or _usual_name(home, folder))
        return target.name, target.problems(folder)


def push(
    home: Home,
    source: Path,
    to: str = "",
    *,
    remove: bool = False,
    unchecked: bool = False,
    resume: bool = False,
    only_say: bool = False,
) -> Pushed:
    """Bring a folder or archive of task plugins to the place of its collection: the next submit sees it.

    Args:
        home: The home; its settings name the place.
        source: A collection, or a package of one.
        to: `collection` or `collection.package`; by default the name of the folder, if that is a collection, else that
            of a package of `dioptra_custom`.
        remove: Remove what lies there and is not in the source.
        unchecked: Bring it there whatever is wrong with it.
        resume: A push to this place was cut off, and this one takes its place.
        only_say: Say what would be done, and do nothing.

    Raises:
        RefusedError: Something is wrong with it, it would remove something, or the collection is an installed package.
        StoreUnreachableError: The place cannot be written to.
    """
    with _folder_of(source) as folder:
        target = _Target(home, to or _usual_name(home, folder))
        problems = target.problems(folder, is_whole=not resume)
        wrong = [each for each in problems if each.is_error]
        if wrong and not unchecked:
            raise _refusal(target.name, wrong)
        changes = plan_send(folder, target.uri)
        if changes.removed and not remove:
            raise RefusedError(
                f"{len(changes.removed)} of the files of {target.name} are not in {source.name!r}: "
                f"{', '.join(changes.removed[:3])}",
                hint="add --replace to remove them",
            )
        pushed = Pushed(target.name, target.collection.source, changes, problems)
        if only_say:
            return pushed
        send_folder(folder, target.uri, marker_at=target.collection.place, resume=resume)
        return replace(pushed, sha256=target.collection.pin(home))


class _Target:
    """The collection, or the package of one, that task plugins are meant for."""

    def __init__(self, home: Home, name: str) -> None:
        if not all(part.isidentifier() for part in name.split(".")):
            raise UsageError(
                f"{name!r} cannot be the name of task plugins", hint="use letters, digits and _: dioptra_custom.mine"
            )
        collection, *self._package = name.split(".")
        self._folder = Path(*self._package)
        self.name = name
        self._home = home
        self._known = collections(home)
        self.collection = self._place_of(collection)

    @property
    def uri(self) -> str:
        """Where it lies, or is to lie."""
        return "/".join([self.collection.place, *self._package])

    def problems(self, folder: Path, *, is_whole: bool = True) -> tuple[Problem, ...]:
        """Say what is wrong with a folder, were it there; what is there may be half of a push."""
        from dioptra.pyplugs.source import Problem, check_plugins, read_plugins

        with tempfile.TemporaryDirectory(prefix="dioptra-") as place:
            whole = Path(place, self.collection.name)
            if self._package:
                self._copy_present(whole, is_whole=is_whole)
            target = whole / self._folder
            shutil.rmtree(target, ignore_errors=True)
            copy_files(folder, target)
            others = [each.name for each in self._known if not each.is_folder_of_packages]
            found = check_plugins(whole, self.collection.name, others=others)
            functions = read_plugins(whole, self.collection.name).functions
        if not self._package:
            return found
        inside = tuple(each for each in found if each.file and Path(each.file).is_relative_to(self._folder))
        if inside or any(each.name.startswith(f"{self.name}.") for each in functions):
            return inside
        hint = "write @pyplugs.register above its functions"
        return (Problem("", 0, f"{self.name!r} registers no task plugin", hint, is_error=False),)

    def _place_of(self, name: str) -> Collection:
        for each in self._known:
            if each.is_folder_of_packages and Path(each.place, name).is_dir():
                return Collection(name, str(Path(each.place, name)), each.said_by)
            if each.name == name and each.is_installed:
                raise RefusedError(
                    f"{name!r} is an installed package, which nothing can be pushed to",
                    hint=f"name another place for it: DIOPTRA_PLUGINS={name}=PLACE",
                )
            if each.name == name:
                return each
        return Collection(name, str(self._home.collections_dir / name), "home")

    def _copy_present(self, into: Path, *, is_whole: bool) -> None:
        place = self.collection.place
        if not is_remote(place) and not Path(local_path(place)).is_dir():
            return
        with suppress(NotFoundError):  # nothing is there yet
            if is_whole:
                copy_files(self._home.plugins_dir / self.collection.pin(self._home), into)
            elif is_remote(place):
                copy_files(fetch(place, into.parent / "fetched"), into)
            else:
                copy_files(Path(local_path(place)), into)


def _usual_name(home: Home, folder: Path) -> str:
    known = {each.name for each in collections(home)} | {CUSTOM}
    return folder.name if folder.name in known else f"{CUSTOM}.{folder.name}"


@contextmanager
def _folder_of(source: Path) -> Iterator[Path]:
    """Give the folder of task plugins; an archive of one is unpacked for as long as the block runs.

    Raises:
        ArchiveError: The archive cannot be unpacked safely.
        NotFoundError: There is nothing.
    """
    if source.is_dir():
        yield source.resolve()
        return
    if not source.is_file():
        raise NotFoundError(f"there is no folder and no archive {str(source)!r}", hint="name one with task plugins")
    if not is_archive(source):
        have = ", ".join(ARCHIVE_SUFFIXES)
        raise UsageError(f"{str(source)!r} is neither a folder nor an archive", hint=f"archives are named {have}")
    with tempfile.TemporaryDirectory(prefix="dioptra-") as place:
        suffix = next(each for each in ARCHIVE_SUFFIXES if source.name.lower().endswith(each))
        folder = unpack(source, Path(place, source.name[: -len(suffix)] or "plugins"))
        inside = list(folder.iterdir())
        yield inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _refusal(name: str, wrong: list[Problem]) -> RefusedError:
    count = f"{len(wrong)} faults" if len(wrong) > 1 else "a fault"
    error = RefusedError(f"{name} has {count}: {wrong[0]}", hint="correct it, or push it with --unchecked")
    for each in wrong[1:]:
        error.add_note(str(each))
    return error
