"""What fsspec reaches: files in stores other than S3, and pages."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dioptra.errors import (
    BaseOptionalDependencyError,
    DioptraError,
    NotFoundError,
    StoreUnreachableError,
    UsageError,
)
from dioptra.storage._addresses import shown, without_secrets
from dioptra.storage._elsewhere import ChangedError, RemoteFile, StoppedError, Told, is_web

__all__ = ["FsspecPlace"]

_CONNECT_SECONDS, _READ_SECONDS = 5, 60
_EXTRAS = {"gs": "gcs", "gcs": "gcs"}
_VERSIONS = ("etag", "ETag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "created")


class FsspecPlace:
    """What lies at a URI of a kind that fsspec knows."""

    def __init__(self, uri: str) -> None:
        """Read the URI.

        Raises:
            UsageError: It is of no kind that is known.
            BaseOptionalDependencyError: A package is missing.
        """
        self.uri = shown(uri)
        self._full_uri = uri
        with self._speaking("read"):
            import fsspec

            scheme, _, rest = uri.partition("://")
            options = _web_options() if is_web(uri) else {}
            self._system, path = fsspec.core.url_to_fs(f"{scheme.lower()}://{rest}", **options)
        self._path = str(path).rstrip("/")
        self.threads = 8 if self._system.async_impl else 1

    def file(self) -> RemoteFile | None:
        """See `Elsewhere`; a page is only asked for when it is fetched."""
        if is_web(self._full_uri):
            return None if urlsplit(self._full_uri).path.endswith("/") else RemoteFile("", None, "")
        with self._speaking("read"):
            if not self._system.isfile(self._path):
                return None
            return _file("", self._system.info(self._path))

    def files(self) -> list[RemoteFile]:
        """See `Elsewhere`."""
        if is_web(self._full_uri):
            raise UsageError(f"{self.uri!r} is no file, and a folder cannot be fetched by http", hint="name a file")
        with self._speaking("read"):
            self._system.invalidate_cache()
            try:
                found = self._system.find(self._path, detail=True)
            except FileNotFoundError:
                return []
        files = [_file(self._inside(name), entry) for name, entry in found.items()]
        return sorted((file for file in files if file.name), key=lambda file: file.name)

    def get(self, file: RemoteFile, path: Path, told: Told) -> bytes | None:
        """See `Elsewhere`."""
        with self._speaking("read"):
            try:
                self._system.get_file(self._of(file.name), str(path), callback=_callback(told))
            except FileNotFoundError:
                raise ChangedError(file.name) from None
        if file.size is not None and path.stat().st_size != file.size:
            raise ChangedError(file.name)
        return None

    def put(self, name: str, content: bytes) -> None:
        """See `Elsewhere`."""
        with self._speaking("written"):
            path = self._of(name)
            self._system.makedirs(posixpath.dirname(path), exist_ok=True)
            self._system.pipe_file(path, content)

    def delete(self, name: str) -> None:
        """See `Elsewhere`."""
        with self._speaking("written"):
            try:
                self._system.rm_file(self._of(name))
            except FileNotFoundError:
                return

    def holds(self, file: RemoteFile, content: bytes) -> bool:
        """See `Elsewhere`: what its versions are made of is not known."""
        return False

    def _of(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def _inside(self, name: str) -> str:
        """Return a name relative to the place; one that would lead out of it is refused."""
        relative = name.removeprefix(self._path).lstrip("/")
        if name.endswith("/"):  # the mark of an empty folder
            return ""
        parts = relative.split("/")
        out = any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)
        if not name.startswith(self._path) or out:
            hint = "rename it there"
            raise UsageError(f"{self.uri!r} holds the name {name!r}, which leads out of the folder", hint=hint)
        return relative

    @contextmanager
    def _speaking(self, done: str) -> Iterator[None]:
        """Say what somebody else's errors mean; they are not kept, as they may hold the whole URI."""
        try:
            yield
        except (DioptraError, ChangedError, StoppedError):
            raise
        except Exception as error:  # whatever kind of error a store's own package makes
            raise self._error(error, done) from None

    def _error(self, error: Exception, done: str) -> DioptraError:
        if isinstance(error, FileNotFoundError):
            return NotFoundError(f"there is nothing at {self.uri!r}")
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = without_secrets(reason, self._full_uri)
        if isinstance(error, ImportError):
            extra = _EXTRAS.get(self._full_uri.partition("://")[0].lower())
            install = f"pip install 'dioptra-testbed[{extra}]'"
            hint = install if extra else f"install the package that is missing ({reason})"
            return BaseOptionalDependencyError(f"a package is needed to read {self.uri!r}", hint=hint)
        if isinstance(error, ValueError):
            return UsageError(f"{self.uri!r} cannot be {done} ({reason})", hint="use s3://, gs://, https:// or a path")
        hint = "check the address and the credentials"
        return StoreUnreachableError(f"{self.uri!r} cannot be {done} ({reason})", hint=hint)


def _file(name: str, entry: Any) -> RemoteFile:
    version = next((str(entry[key]) for key in _VERSIONS if entry.get(key)), "")
    return RemoteFile(name, entry.get("size"), version)


def _web_options() -> dict[str, Any]:
    """Return what makes a client give up in seconds when nobody answers, and never in the middle of a long download."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
    return {"client_kwargs": {"timeout": timeout}}


def _callback(told: Told) -> Any:
    from fsspec.callbacks import Callback

    class Counter(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            told(inc, self.size)

    return Counter()
