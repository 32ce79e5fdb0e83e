"""Collections of task plugins: where they lie, as settings, the home and what is installed say."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from dioptra import settings
from dioptra.errors import DioptraError, UsageError
from dioptra.storage import Home, fetch_bundle, is_remote, local_path, pin, shown

__all__ = ["BUILTINS", "CUSTOM", "GROUP", "Collection", "collections", "installed"]

BUILTINS, CUSTOM = "dioptra_builtins", "dioptra_custom"
GROUP = "dioptra.plugins"  # of the entry points by which installed packages say that they are collections
_PAIR = re.compile(r"(?P<name>[^=/:]*)=(?P<place>.+)")


@dataclass(frozen=True)
class Collection:
    """A package of task plugins, or a folder that holds such packages.

    Args:
        name: What scripts import; of a folder of packages its path.
        place: The folder or URI of its content.
        said_by: What names the place: a setting, `home` or `installed`.
    """

    name: str
    place: str
    said_by: str

    @property
    def is_folder_of_packages(self) -> bool:
        """Whether it holds packages, and is none itself."""
        return Path(self.name).is_absolute()

    @property
    def is_installed(self) -> bool:
        """Whether Python finds it by itself."""
        return self.said_by == "installed"

    @property
    def source(self) -> str:
        """The place as records and pages may show it: without credentials."""
        return shown(self.place)

    def packages(self, folder: Path) -> dict[str, Path]:
        """Return the packages in a folder with its content, by what scripts import: itself, or those that it holds."""
        if not self.is_folder_of_packages:
            return {self.name: folder}
        found = [each for each in sorted(folder.iterdir()) if each.is_dir() and each.name.isidentifier()]
        return {each.name: each for each in found if next(each.rglob("*.py"), None)}

    def pin(self, home: Home) -> str:
        """Keep its content as it is now in the home, and return the hash; see `pin` and `fetch_bundle`."""
        try:
            if is_remote(self.place):
                return fetch_bundle(self.place, home.plugins_dir, cache=home.listings_dir)
            return pin(Path(local_path(self.place)), home.plugins_dir, cache=home.hashes_dir)
        except DioptraError as error:
            where = self.said_by if self.said_by.isupper() else ""
            error.where = error.where or f"task plugins {self.name!r}" + (f" of {where}" if where else "")
            raise


def collections(home: Home, environ: Mapping[str, str] | None = None) -> list[Collection]:
    """Return the collections that a job would get now; of one name, the one that counts.

    Raises:
        UsageError: A setting cannot be understood.
    """
    found: dict[str, Collection] = {}
    for source in (_named(environ), _of_s3_settings(environ), _of_home(home), _of_plugin_dir(environ), installed()):
        for collection in source:
            found.setdefault(collection.name, collection)
    return list(found.values())


def installed() -> Iterator[Collection]:
    """Yield the packages that are shipped, or installed and say that they are collections; none is imported."""
    names = {BUILTINS: None} | {entry.value.partition(":")[0]: None for entry in entry_points(group=GROUP)}
    for name in names:
        package = name.partition(".")[0]
        spec = find_spec(package)
        if spec and spec.submodule_search_locations:
            yield Collection(package, str(spec.submodule_search_locations[0]), "installed")


def _named(environ: Mapping[str, str] | None) -> Iterator[Collection]:
    seen: set[str] = set()
    for text in filter(None, map(str.strip, settings.get("plugins", environ).split(","))):
        match = _PAIR.fullmatch(text)
        name, place = (match["name"].strip(), match["place"].strip()) if match else (_last_part(text), text)
        if not name.isidentifier() or keyword.iskeyword(name):
            raise UsageError(
                f"{name!r} cannot be the name of a collection, as DIOPTRA_PLUGINS has it in {shown(text)!r}",
                hint="write NAME=PLACE, such as dioptra_custom=s3://plugins/dioptra_custom",
            )
        if name in seen:
            raise UsageError(f"DIOPTRA_PLUGINS names the collection {name!r} twice", hint="give one place for it")
        seen.add(name)
        yield _collection(name, place, "DIOPTRA_PLUGINS")


def _of_s3_settings(environ: Mapping[str, str] | None) -> Iterator[Collection]:
    for name, setting, variable in (
        (BUILTINS, "plugins_s3_uri", "DIOPTRA_PLUGINS_S3_URI"),
        (CUSTOM, "custom_plugins_s3_uri", "DIOPTRA_CUSTOM_PLUGINS_S3_URI"),
    ):
        if place := settings.get(setting, environ):
            yield _collection(name, place, variable)


def _collection(name: str, place: str, variable: str) -> Collection:
    if not is_remote(place) and not Path(local_path(place)).is_absolute():
        raise UsageError(
            f"{variable} names {place!r}, which is neither a URI nor an absolute path", hint="write it whole"
        )
    return Collection(name, place.rstrip("/"), variable)


def _of_home(home: Home) -> Iterator[Collection]:
    if home.collections_dir.is_dir():
        for folder in sorted(home.collections_dir.iterdir()):
            if folder.is_dir() and folder.name.isidentifier():
                yield Collection(folder.name, str(folder), "home")


def _of_plugin_dir(environ: Mapping[str, str] | None) -> Iterator[Collection]:
    for entry in settings.get("plugin_dir", environ).split(os.pathsep):
        if os.path.isabs(entry) and Path(entry).is_dir():  # noqa: PTH117  # an empty one is none
            yield Collection(entry, entry, "DIOPTRA_PLUGIN_DIR")


def _last_part(place: str) -> str:
    return PurePosixPath(urlsplit(place).path).name
