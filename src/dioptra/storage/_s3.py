"""Files in an S3 bucket, through obstore."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from dioptra.errors import DioptraError, NotFoundError, StoreUnreachableError, UsageError
from dioptra.storage._addresses import shown
from dioptra.storage._elsewhere import ChangedError, NoFileError, RemoteFile, Told
from dioptra.storage._names import folders_of
from dioptra.storage._s3_settings import endpoint_of, open_bucket

__all__ = ["S3Place"]

_AT_ONCE = 8 << 20  # bytes of a file that is read in one piece
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")
_MD5 = re.compile(r'"[0-9a-f]{32}"')
_SIGNS = ("AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")


class S3Place:
    """What lies at an `s3://` URI."""

    threads = 16

    def __init__(self, uri: str) -> None:
        """Read the URI and the settings.

        Raises:
            UsageError: It names no bucket, or a setting cannot be understood.
            StoreUnreachableError: There are credentials, and they cannot be had.
        """
        self.uri = shown(uri)
        self._bucket, _, key = uri.partition("://")[2].partition("/")
        if not _BUCKET.fullmatch(self._bucket):
            hint = "write s3://BUCKET/FOLDER; credentials belong into the environment"
            raise UsageError(f"{self.uri!r} does not begin with the name of a bucket", hint=hint)
        self._key = key.strip("/")
        self._store = open_bucket(self._bucket)

    def file(self) -> RemoteFile | None:
        """See `Elsewhere`."""
        import obstore

        if not self._key:
            return None
        try:
            with self._speaking("read"):
                return _file("", obstore.head(self._store, self._key))
        except ChangedError:
            return None

    def files(self) -> list[RemoteFile]:
        """See `Elsewhere`."""
        with self._speaking("read"):
            found = self._listed()
        start = len(self._key) + 1 if self._key else 0
        files = [_file(meta["path"][start:], meta) for meta in found]
        folders = folders_of(file.name for file in files)
        # An object `folder/` of no bytes shows that there is a folder. It is listed without its slash.
        kept = (file for file in files if file.name and not (file.size == 0 and file.name in folders))
        return sorted(kept, key=lambda file: file.name)

    def _listed(self) -> Any:
        """List again where the answer is cut off in the middle: all else obstore itself tries again."""
        import obstore

        for pause in (0.2, 1.0):
            try:
                return obstore.list(self._store, self._key or None, chunk_size=1_000).collect()
            except obstore.exceptions.GenericError as error:
                if "ListResponseBody" not in str(error):
                    raise
                time.sleep(pause)
        return obstore.list(self._store, self._key or None, chunk_size=1_000).collect()

    def get(self, file: RemoteFile, path: Path, told: Told) -> bytes | None:
        """See `Elsewhere`."""
        digest = hashlib.sha256() if (file.size or 0) <= _AT_ONCE else None
        done = 0
        chunks = self._chunks(file)
        first = next(chunks, b"")  # before a file is made
        with path.open("xb") as target:
            for chunk in chain([first], chunks):
                target.write(chunk)
                if digest:
                    digest.update(chunk)
                done += len(chunk)
                told(len(chunk), file.size)
        if file.size is not None and done != file.size:
            raise ChangedError(file.name)
        return digest.digest() if digest else None

    def put(self, name: str, content: bytes) -> None:
        """See `Elsewhere`."""
        import obstore

        with self._speaking("written"):
            obstore.put(self._store, self._path(name), content, use_multipart=False)

    def delete(self, name: str) -> None:
        """See `Elsewhere`."""
        import obstore

        with self._speaking("written"):
            obstore.delete(self._store, [self._path(name)])

    def holds(self, file: RemoteFile, content: bytes) -> bool:
        """See `Elsewhere`: an ETag is mostly the MD5 of the content, and else nothing is known."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return file.size == len(content) and file.version == f'"{md5}"'

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self._key, name) if part)

    def _chunks(self, file: RemoteFile) -> Iterator[bytes]:
        import obstore

        options: Any = {"if_match": file.version} if file.version.startswith('"') else None
        try:
            with self._speaking("read"):
                result = obstore.get(self._store, self._path(file.name), options=options)
                if file.size is not None and file.size <= _AT_ONCE:
                    yield bytes(result.bytes())
                    return
                stream = result.stream(min_chunk_size=_AT_ONCE // 2)
        except ChangedError:
            if file.size == 0:
                raise NoFileError(file.name) from None
            raise
        while True:
            with self._speaking("read"):
                chunk = next(stream, None)
            if chunk is None:
                return
            yield chunk

    @contextmanager
    def _speaking(self, done: str) -> Iterator[None]:
        """Say what the store's errors mean; their own words may hold keys and signatures, and are not shown."""
        from obstore.exceptions import BaseError, InvalidPathError, PreconditionError

        try:
            yield
        except InvalidPathError:
            raise UsageError(f"{self.uri!r} holds a name that no file can have", hint="rename it there") from None
        except (BaseError, FileNotFoundError) as error:
            text = str(error)
            if "NoSuchBucket" not in text and isinstance(error, FileNotFoundError | PreconditionError):
                raise ChangedError from None
            raise self._error(text, done) from None

    def _error(self, text: str, done: str) -> DioptraError:
        status = re.search(r"status code: (\d{3})", text)
        code = re.search(r"<Code>(\w{1,60})</Code>", text)
        if code and code[1] == "NoSuchBucket":
            return NotFoundError(
                f"there is no bucket {self._bucket!r}, which {self.uri!r} names", hint="make it, or correct the URI"
            )
        reason = code[1] if code else f"status {status[1]}" if status else _trouble(text)
        where = f" by {endpoint_of()}" if endpoint_of() else ""
        message = f"{self.uri!r} cannot be {done} ({reason}, said{where})" if code or status else ""
        return StoreUnreachableError(
            message or f"{self.uri!r} cannot be {done} ({reason}{where.replace(' by ', ' at ')})",
            hint=_hint(code[1] if code else "", int(status[1]) if status else 0, text),
        )


def _file(name: str, meta: Any) -> RemoteFile:
    return RemoteFile(name, int(meta["size"]), str(meta["e_tag"] or meta["version"] or ""))


def _trouble(text: str) -> str:
    if "certificate" in text.lower() or "UnknownIssuer" in text:
        return "a certificate is not trusted"
    if "kind: Timeout" in text or "TimedOut" in text:
        return "no answer in time"
    if "InvalidListResponse" in text:
        return "no answer as S3 gives it"
    return "nobody answers" if "kind: Connect" in text else "the connection was cut off"


def _hint(code: str, status: int, text: str) -> str:
    if status in (401, 403) or code in _SIGNS:
        return "check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if status in range(300, 400) or "redirect" in text.lower():
        return "set AWS_REGION to the region of the bucket"
    if status >= 500 or status == 429:
        return "try again later"
    if "certificate" in text.lower() or "UnknownIssuer" in text:
        return "set AWS_CA_BUNDLE to the file with the certificates to trust"
    return "check the address and the network; MLFLOW_S3_ENDPOINT_URL and AWS_ENDPOINT_URL name the server"
