"""Files in a real S3, through the functions of the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dioptra.errors import UsageError
from dioptra.sdk.utilities.s3 import download_files, download_files_uri, get_s3_keys, s3_uri_to_bucket_prefix
from tests.integration.conftest import s3_client


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b c#d?e", ("bucket", "a/b c#d?e")),
        ("s3://bucket/a/bucket/", ("bucket", "a/bucket/")),
        ("s3://s/x/s", ("s", "x/s")),
        ("S3://3/3", ("3", "3")),
    ],
)
def test_a_uri_names_bucket_and_prefix(uri: str, expected: tuple[str, str]) -> None:
    assert s3_uri_to_bucket_prefix(uri) == expected


@pytest.mark.parametrize("uri", ["", "bucket/a", "http://bucket/a", "s3:///a", "s3:bucket"])
def test_what_is_no_uri(uri: str) -> None:
    with pytest.raises(UsageError, match="is no URI of S3; write s3://bucket/prefix"):
        s3_uri_to_bucket_prefix(uri)


@pytest.fixture(scope="module")
def client(s3: dict[str, str]) -> Any:
    client = s3_client(s3)
    client.create_bucket(Bucket="plugins")
    for key in ("a/one.py", "a/deep/two.py", "b/one.py"):
        client.put_object(Bucket="plugins", Key=key, Body=key.encode())
    client.put_object(Bucket="plugins", Key="a/folder/", Body=b"")
    return client


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_keys(client: Any) -> None:
    assert sorted(get_s3_keys(client, "plugins", "a/")) == ["a/deep/two.py", "a/folder/", "a/one.py"]
    assert len(get_s3_keys(client, "plugins")) == 4
    assert get_s3_keys(client, "plugins", "nothing") == []


def test_download_side_by_side_or_as_the_keys_say(client: Any, tmp_path: Path) -> None:
    download_files_uri(client, tmp_path / "flat", "s3://plugins/a/")
    download_files(client, str(tmp_path / "kept"), "plugins", preserve_key_paths=True)

    assert files(tmp_path / "flat") == {"one.py": "a/one.py", "two.py": "a/deep/two.py"}
    assert files(tmp_path / "kept") == {key: key for key in ("a/one.py", "a/deep/two.py", "b/one.py")}


def test_nothing_is_overwritten_by_another(client: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="s3://plugins/: several files have the same name; use preserve_key_paths"):
        download_files(client, tmp_path, "plugins")
    assert files(tmp_path) == {}


class Keys:
    """A client that lists what no server of ours would keep."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def get_paginator(self, name: str) -> Keys:
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, list[dict[str, str]]]]:
        yield from ({"Contents": [{"Key": key}]} for key in self.keys)
        yield {}


@pytest.mark.parametrize("key", ["../out.py", "a/../../out.py", "/etc/out.py"])
def test_no_key_leads_out_of_the_folder(key: str, tmp_path: Path) -> None:
    for preserve in (True, False):
        with pytest.raises(UsageError, match="would lead out of"):
            download_files(Keys("fine.py", key), tmp_path, "bucket", preserve_key_paths=preserve)


@pytest.mark.parametrize("keys", [("a", "a/b"), ("x", "d/a/b/c", "d/a")])
def test_no_key_is_a_file_and_a_folder(keys: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"s3://bucket/: the key '(a|d/a)' would be a file and a folder; choose another"
    ):
        download_files(Keys(*keys), tmp_path / "to", "bucket", preserve_key_paths=True)
    assert not (tmp_path / "to").exists()
