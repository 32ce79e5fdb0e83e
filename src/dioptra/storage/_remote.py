"""Fetches what lies behind a URI: one file or a whole folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from dioptra.errors import NotFoundError, StoreUnreachableError
from dioptra.storage._elsewhere import ChangedError, Elsewhere, NoFileError, RemoteFile, Told, connect, in_threads

__all__ = ["Progress", "fetch", "files_at"]

Progress = Callable[[int, int | None], object]  # bytes fetched so far, bytes in all where that is known


def fetch(uri: str, into: Path, progress: Progress = lambda done, total: None) -> Path:
    """Download a file or a folder into a new folder, and return its local path.

    Args:
        uri: Where it lies: `s3://`, `gs://`, `http(s)://` and what else fsspec knows.
        into: The folder to make; the file or folder gets its own name in it.
        progress: Called with the number of bytes so far and in all.

    Raises:
        NotFoundError: There is nothing at the URI.
        StoreUnreachableError: The store does not answer, or does not let us in.
        BaseOptionalDependencyError: The package for that kind of store is not installed.
    """
    place = connect(uri)
    files = files_at(place)
    target = into / (unquote(PurePosixPath(urlsplit(uri).path).name) or "data")

    def bring(file: RemoteFile, told: Told) -> None:
        path = target / file.name if file.name else target
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.get(file, path, told)
        except NoFileError:
            return

    try:
        in_threads(bring, files, place.threads, _counter(progress, [file.size for file in files]))
    except ChangedError as error:
        if files[0].name:
            hint = "try again when it is whole"
            raise StoreUnreachableError(f"{place.uri!r} is being changed ({error})", hint=hint) from None
        raise NotFoundError(f"there is nothing at {place.uri!r}") from None
    return target


def files_at(place: Elsewhere) -> list[RemoteFile]:
    """Return the file that a place is, or those below it.

    Raises:
        NotFoundError: There is none.
    """
    file = place.file()
    if files := [file] if file else place.files():
        return files
    raise NotFoundError(f"there is nothing at {place.uri!r}")


def _counter(progress: Progress, sizes: list[int | None]) -> Told:
    """Return what adds up the pieces of all files."""
    total = sum(size for size in sizes if size is not None) if None not in sizes else None
    done = 0

    def told(count: int, size: int | None) -> None:
        nonlocal done
        done += count
        progress(done, size if len(sizes) == 1 else total)

    return told
