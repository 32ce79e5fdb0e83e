"""Fetches what lies behind a URI: one file or a whole folder, through fsspec."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from dioptra.errors import BaseOptionalDependencyError, DioptraError, NotFoundError, StoreUnreachableError, UsageError

__all__ = ["Progress", "fetch", "is_remote", "local_path"]

Progress = Callable[[int, int | None], object]  # bytes fetched so far, bytes in all where that is known

_CONNECT_SECONDS, _READ_SECONDS = 5, 60
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


def is_remote(text: str) -> bool:
    """Tell whether a text is a URI that has to be fetched; `file://` and plain paths have not."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is not None and scheme.lower() != "file"


def local_path(text: str) -> str:
    """Return the path that a text names: of a `file://` URI, or the text itself."""
    return unquote(urlsplit(text).path) if text.lower().startswith("file://") else text


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
    with _translated(uri):
        system, path = _connect(uri)
        files = _listing(system, path, uri)
        target = into / (unquote(PurePosixPath(urlsplit(uri).path).name) or "data")
        counter = _counter(progress, [size for _, size in files])
        for relative, _ in files:
            place = target / relative if relative else target
            place.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(f"{path}/{relative}" if relative else path, str(place), callback=counter)
    return target


def _counter(progress: Progress, sizes: list[int | None]) -> Any:
    """Return what fsspec tells about each piece, adding up over all files."""
    from fsspec.callbacks import Callback

    class Counter(Callback):  # type: ignore[misc]
        done = 0
        total = sum(size for size in sizes if size is not None) if None not in sizes else None

        def set_size(self, size: int | None) -> None:
            if len(sizes) == 1:
                self.total = size

        def relative_update(self, inc: int = 1) -> None:
            self.done += inc
            progress(self.done, self.total)

    return Counter()


def _connect(uri: str) -> tuple[Any, str]:
    import fsspec

    scheme, _, rest = uri.partition("://")
    system, path = fsspec.core.url_to_fs(f"{scheme.lower()}://{rest}", **_options(scheme.lower()))
    return system, str(path).rstrip("/")


def _options(scheme: str) -> dict[str, Any]:
    """Return what makes a client give up in seconds when nobody answers, and never in the middle of a long download."""
    if scheme in ("s3", "s3a"):
        limits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS, "retries": {"max_attempts": 2}}
        endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")  # the variable of 0.x; AWS_ENDPOINT_URL works too
        return {"config_kwargs": limits} | ({"endpoint_url": endpoint} if endpoint else {})
    if scheme in ("http", "https"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
        return {"client_kwargs": {"timeout": timeout}}
    return {}


def _listing(system: Any, path: str, uri: str) -> list[tuple[str, int | None]]:
    """Return the files below a path, relative to it, with their sizes; one file is the relative path ""."""
    if uri.lower().startswith(("http://", "https://")):  # one page; what it links to is not a folder
        if urlsplit(uri).path.endswith("/"):
            raise UsageError(f"{uri!r} is no file, and a folder cannot be fetched by http", hint="name a file")
        return [("", None)]
    if system.isfile(path):
        return [("", system.info(path).get("size"))]
    found = system.find(path, detail=True)
    files = [(_inside(name, path, uri), entry.get("size")) for name, entry in sorted(found.items())]
    files = [(name, size) for name, size in files if name]
    if not files:
        raise FileNotFoundError(path)
    return files


def _inside(name: str, path: str, uri: str) -> str:
    """Return a name relative to the folder that is fetched; one that would lead out of it is refused."""
    relative = name.removeprefix(path).lstrip("/")
    if name.endswith("/"):  # the marker of an empty folder
        return ""
    parts = relative.split("/")
    if not name.startswith(path) or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise UsageError(f"{uri!r} holds the name {name!r}, which leads out of the folder", hint="rename it there")
    return relative


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except DioptraError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"there is nothing at {uri!r}") from error
    except ImportError as error:
        extra = _EXTRAS.get(uri.partition("://")[0].lower())
        hint = f"pip install 'dioptra-testbed[{extra}]'" if extra else f"install the package that is missing ({error})"
        raise BaseOptionalDependencyError(f"a package is needed to read {uri!r}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"{uri!r} cannot be read ({error})", hint="use s3://, gs://, https:// or a path") from error
    except Exception as error:  # whatever kind of error a store's own package makes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = "check the address and the credentials"
        raise StoreUnreachableError(f"{uri!r} cannot be read ({reason})", hint=hint) from error
