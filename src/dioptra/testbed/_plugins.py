"""The task plugins of a testbed: what there is, where it comes from, and which jobs used it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import DioptraError, NotFoundError, RefusedError, UsageError, did_you_mean, suggest
from dioptra.records import Job
from dioptra.storage import Home, is_remote, local_path
from dioptra.worker import Collection, Conditions, Pins, bundle_of, collections

if TYPE_CHECKING:
    from dioptra.pyplugs.source import PluginSource, PluginSources, Problem
    from dioptra.testbed._push import Pushed
    from dioptra.testbed._testbed import Testbed

__all__ = ["PluginCollection", "Plugins", "copy_files"]

_LOOKED_AT = 1_000  # jobs, the newest ones, that are looked at for the versions that they used


@dataclass(frozen=True)
class PluginCollection:
    """A collection of task plugins as it is at one moment."""

    name: str
    source: str  # the place of its content, without credentials
    said_by: str  # what names that place: a setting, `home` or `installed`
    sha256: str
    folder: Path  # a read-only copy of its content

    @cached_property
    def plugins(self) -> PluginSources:
        """Its functions, read and not imported."""
        from dioptra.pyplugs.source import read_plugins

        return read_plugins(self.folder, self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return {"collection": self.name, "source": self.source, "said_by": self.said_by, "sha256": self.sha256}


class Plugins:
    """The task plugins of a testbed. None of them is ever imported here."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed

    @property
    def _home(self) -> Home:
        return self._testbed.home

    def collections(self) -> list[PluginCollection]:
        """Return the collections that a job which is submitted now would get.

        Raises:
            UsageError: A setting cannot be understood.
            NotFoundError, StoreUnreachableError, CaptureError: Some cannot be had, or not whole.
        """
        self._home.make()
        found: dict[str, PluginCollection] = {}
        for each in (version for collection in collections(self._home) for version in self._versions(collection)):
            found.setdefault(each.name, each)
        return list(found.values())

    def collection(self, name: str, version: str = "") -> PluginCollection:
        """Return a collection as it is now, or as some job got it.

        Args:
            name: What scripts import.
            version: Its SHA-256, or the beginning of it.

        Raises:
            NotFoundError: There is none.
        """
        if version:
            return self._past(name, version)
        for collection in collections(self._home):
            if collection.name == name or collection.is_folder_of_packages:
                for found in self._versions(collection):
                    if found.name == name:
                        return found
        raise NotFoundError(
            f"there is no collection {name!r} of task plugins",
            hint=suggest(name, [each.name for each in self.collections()]),
        )

    def find(self, name: str, version: str = "") -> tuple[PluginCollection, PluginSource]:
        """Return a task plugin by its full name, or an end of it that only one has, and its collection.

        Raises:
            NotFoundError: There is none.
            UsageError: Several are meant.
        """
        first = name.partition(".")[0]
        found = [self.collection(first, version)] if version else self.collections()
        named = [each for each in found if each.name == first] or found
        matches = [(each, plugin) for each in named for plugin in each.plugins.matching(name)]
        if len(matches) > 1:
            names = ", ".join(plugin.name for _, plugin in matches[:4])
            raise UsageError(f"{name!r} may be several task plugins", hint=f"write more of it: {names}")
        if not matches:
            known = [text for each in named for plugin in each.plugins.functions for text in (plugin.name, plugin.func)]
            guess = did_you_mean(name, known) or did_you_mean(name.rpartition(".")[2], known)
            raise NotFoundError(f"there is no task plugin {name!r}", hint=guess or "see `dioptra plugin list`")
        return matches[0]

    def jobs(self, name: str) -> dict[str, list[Job]]:
        """Return which of the newest jobs used which version of a collection, the newest version first."""
        found: dict[str, list[Job]] = {}
        roots = [each.name for each in collections(self._home) if each.is_folder_of_packages]
        for job in reversed(self._testbed.jobs(limit=_LOOKED_AT) if self._testbed.has_jobs else []):
            used = self.used(job).hashes
            for key in (name, *roots):
                if key in used and (key == name or (self._home.plugins_dir / used[key] / name).is_dir()):
                    found.setdefault(used[key], []).append(job)
                    break
        return found

    def used(self, job: Job) -> Pins:
        """Return the hashes and the sources of the collections that a job gets, or got; nothing where none is known."""
        if job.request.get("plugins"):
            return Pins(job.request["plugins"], job.request.get("plugin_sources", {}))
        try:
            kept = Conditions.load(self._testbed.paths(job)) if job.attempt else None
        except DioptraError:
            return Pins()
        return Pins(kept.plugins, kept.plugin_sources) if kept else Pins()

    def pull(self, name: str, folder: Path, version: str = "") -> PluginCollection:
        """Copy a collection as it is now, or as some job got it, into a new folder.

        Raises:
            RefusedError: There is something in that folder.
        """
        found = self.collection(name, version)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RefusedError(f"{str(folder)!r} is there already", hint="name a folder that does not exist yet")
        copy_files(found.folder, folder)
        return found

    def names(self) -> list[str]:
        """Return the names of collections, and of the task plugins in those that lie here; nothing is fetched."""
        from dioptra.pyplugs.source import read_plugins

        found: list[str] = []
        for each in collections(self._home):
            place = Path(local_path(each.place))
            if is_remote(each.place) or not place.is_dir():
                found.append(each.name)
                continue
            for name, folder in each.packages(place).items():
                found += [name, *(plugin.name for plugin in read_plugins(folder, name).functions)]
        return list(dict.fromkeys(found))

    def check(self, source: Path, name: str = "") -> tuple[str, tuple[Problem, ...]]:
        """Say by which name a folder or archive of task plugins was looked at, and what is wrong with it."""
        from dioptra.testbed._push import check

        return check(self._home, source, name)

    def push(
        self,
        source: Path,
        to: str = "",
        *,
        remove: bool = False,
        unchecked: bool = False,
        resume: bool = False,
        only_say: bool = False,
    ) -> Pushed:
        """Bring a folder or archive of task plugins to the place of its collection: see `dioptra plugin push`.

        Args:
            source: A collection, or a package of one.
            to: `collection` or `collection.package`; by default the name of the folder, if that is a collection, else
                that of a package of `dioptra_custom`.
            remove: Remove what lies there and is not in the source.
            unchecked: Bring it there whatever is wrong with it.
            resume: A push to this place was cut off, and this one takes its place.
            only_say: Say what would be done, and do nothing.

        Raises:
            RefusedError: Something is wrong with it, it would remove something, or the collection is installed.
            StoreUnreachableError: The place cannot be written to.
        """
        from dioptra.testbed._push import push

        options = {"remove": remove, "unchecked": unchecked, "resume": resume, "only_say": only_say}
        return push(self._home, source, to, **options)

    def _versions(self, collection: Collection) -> Iterator[PluginCollection]:
        sha256 = collection.pin(self._home)
        bundle = self._home.plugins_dir / sha256
        for name, folder in collection.packages(bundle).items():
            yield PluginCollection(name, collection.source, collection.said_by, sha256, folder)

    def _past(self, name: str, version: str) -> PluginCollection:
        used = [sha256 for sha256 in self.jobs(name) if sha256.startswith(version)]
        if len(used) > 1:
            raise UsageError(f"{version!r} may be several versions of {name!r}", hint=f"write more: {', '.join(used)}")
        if used:
            bundle = bundle_of(self._home, name, used[0])
            folder = bundle / name if (bundle / name).is_dir() else bundle
            return PluginCollection(name, str(bundle), "home", used[0], folder)
        now = self.collection(name)
        if now.sha256.startswith(version):
            return now
        raise NotFoundError(
            f"no job of the newest {_LOOKED_AT} used version {version!r} of {name!r}", hint="see `dioptra plugin show`"
        )


def copy_files(folder: Path, target: Path) -> None:
    """Copy the files of a folder into another one, to be written to; a link stays one."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(folder.rglob("*")):
        place = target / file.relative_to(folder)
        if (file.is_file() or file.is_symlink()) and "__pycache__" not in place.parts:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place, follow_symlinks=False)
