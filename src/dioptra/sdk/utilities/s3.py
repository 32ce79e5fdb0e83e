"""Files in S3, through a client of boto3 that the caller makes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from dioptra.errors import UsageError

__all__ = ["download_files", "download_files_uri", "get_s3_keys", "s3_uri_to_bucket_prefix"]


def s3_uri_to_bucket_prefix(uri: str) -> tuple[str, str]:
    """Return the bucket and the prefix that a URI such as `s3://bucket/some/prefix` names.

    Raises:
        UsageError: It is no URI of S3.
    """
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise UsageError(f"{uri!r} is no URI of S3", hint="write s3://bucket/prefix")
    return parts.netloc, uri.partition("://")[2].removeprefix(parts.netloc).lstrip("/")


def get_s3_keys(s3: Any, bucket: str, prefix: str | None = None) -> list[str]:
    """Return the keys of all objects of a bucket that begin with a prefix, however many they are.

    Args:
        s3: A client: `boto3.client("s3")`.
        bucket: The bucket.
        prefix: What the keys begin with; everything by default.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix or "")
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def download_files_uri(s3: Any, dest_dir: str | Path, s3_uri: str, preserve_key_paths: bool = False) -> None:
    """Download all objects below a URI such as `s3://bucket/some/prefix`; see `download_files`."""
    bucket, prefix = s3_uri_to_bucket_prefix(s3_uri)
    download_files(s3, dest_dir, bucket, prefix, preserve_key_paths)


def download_files(
    s3: Any, dest_dir: str | Path, bucket: str, prefix: str | None = None, preserve_key_paths: bool = False
) -> None:
    """Download all objects of a bucket whose keys begin with a prefix.

    Args:
        s3: A client: `boto3.client("s3")`.
        dest_dir: The folder to download to; it is made when it is not there.
        bucket: The bucket.
        prefix: What the keys begin with; everything by default.
        preserve_key_paths: Make the folders that the keys name; otherwise all files lie next to each other.

    Raises:
        UsageError: A key would lead out of the folder, two files would get one name, or one that of a folder. Nothing
            is downloaded then.
    """
    keys = [key for key in get_s3_keys(s3, bucket, prefix) if not key.endswith("/")]
    places = {key: _place(Path(dest_dir), key, preserve_key_paths) for key in keys}
    where = f"s3://{bucket}/{prefix or ''}"
    if len(set(places.values())) < len(places):
        raise UsageError("several files have the same name", where=where, hint="use preserve_key_paths=True")
    folders = {folder for place in places.values() for folder in place.parents}
    if both := [key for key, place in places.items() if place in folders]:
        raise UsageError(f"the key {both[0]!r} would be a file and a folder", where=where, hint="choose another prefix")
    for key, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(place))


def _place(folder: Path, key: str, preserve_key_paths: bool) -> Path:
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts or "\x00" in key:
        raise UsageError(f"the key {key!r} would lead out of {str(folder)!r}")
    return folder / (path if preserve_key_paths else path.name)
