"""What `unpack` unpacks of zip files, and what it refuses; kinds of archives by their names."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra.errors import ArchiveError
from dioptra.storage import ARCHIVE_SUFFIXES, BUNDLE_LIMITS, ArchiveLimits, is_archive, unpack


def entry(name: str, content: bytes = b"x", *, mode: int = stat.S_IFREG | 0o644) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.create_system = 3
    return info, content


def packed(*members: tuple[zipfile.ZipInfo, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for info, content in members:
            archive.writestr(info, content, compress_type=kind)
    return file.getvalue()


def unpacked(tmp_path: Path, content: bytes, limits: ArchiveLimits = BUNDLE_LIMITS) -> dict[str, bytes]:
    (tmp_path / "archive.zip").write_bytes(content)
    into = unpack(tmp_path / "archive.zip", tmp_path / "into", limits=limits)
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


def refused(tmp_path: Path, content: bytes, message: str, limits: ArchiveLimits = BUNDLE_LIMITS) -> None:
    with pytest.raises(ArchiveError, match=message) as caught:
        unpacked(tmp_path, content, limits)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path, kind: int) -> None:
    members = [
        entry("a/", b"", mode=stat.S_IFDIR | 0o755),
        entry("a/b.txt", b"text" * 1000),
        entry("run.sh", b"#!", mode=stat.S_IFREG | 0o4777),
        entry("ü/empty", b"", mode=0),
    ]

    found = unpacked(tmp_path, packed(*members, kind=kind))

    assert found == {"a/b.txt": b"text" * 1000, "run.sh": b"#!", "ü/empty": b""}
    assert (tmp_path / "into" / "run.sh").stat().st_mode == stat.S_IFREG | 0o755
    assert (tmp_path / "into" / "a" / "b.txt").stat().st_mode == stat.S_IFREG | 0o644


def encrypted() -> bytes:
    content = bytearray(packed(entry("a")))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def tar_of(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


REFUSED: dict[str, tuple[bytes, str]] = {
    "up and out": (packed(entry("../evil")), r"'\.\./evil' leaves the folder"),
    "absolute": (packed(entry("/evil")), "'/evil' leaves the folder"),
    "backslash": (packed(entry("..\\evil")), "character that is not allowed"),
    "symbolic link": (packed(entry("link", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)), "'link' is neither"),
    "device": (packed(entry("null", b"", mode=stat.S_IFCHR | 0o666)), "'null' is neither"),
    "a folder that is called a file": (packed(entry("a", b"", mode=stat.S_IFDIR | 0o755)), "'a' is neither"),
    "a folder with a content": (packed(entry("a/", b"x")), "'a/' is a folder with a content"),
    "twice": (packed(entry("a"), entry("./a")), r"'\./a' comes twice"),
    "case": (packed(entry("readme"), entry("README")), "'README' comes twice"),
    "up in the middle": (packed(entry("a/../../evil")), "leaves the folder"),
    "newline": (packed(entry("a\nb")), "character that is not allowed"),
    "case of folders": (packed(entry("a/B"), entry("A/c")), "'A/c' lies in a folder whose name is taken"),
    "below a file": (packed(entry("a"), entry("a/b")), "'a/b' lies in a folder whose name is taken"),
    "deep": (packed(entry("/".join("abcdefghijklm"))), "path that is too long"),
    "long": (packed(entry("/".join(["a" * 50] * 5))), "path that is too long"),
    "sitecustomize": (packed(entry("src/sitecustomize.py")), "other programs act upon"),
    "usercustomize": (packed(entry("usercustomize.py")), "other programs act upon"),
    "pth": (packed(entry("evil.pth")), "other programs act upon"),
    "compiled": (packed(entry("a/__pycache__/b.pyc")), "other programs act upon"),
    "pipe": (packed(entry("pipe", b"", mode=stat.S_IFIFO | 0o666)), "'pipe' is neither"),
    "socket": (packed(entry("socket", b"", mode=stat.S_IFSOCK | 0o666)), "'socket' is neither"),
    "a tar file": (tar_of("a"), "damaged or of another kind"),
    "a gzip": (gzip.compress(packed(entry("a"))), "damaged or of another kind"),
    "git hook": (packed(entry(".git/hooks/post-checkout")), "other programs act upon"),
    "encrypted": (encrypted(), "'a' is encrypted"),
    "bzip2": (packed(entry("a"), kind=zipfile.ZIP_BZIP2), "'a' is packed in a way that is not read"),
    "nothing": (b"", "damaged or of another kind"),
    "text": (b"hello", "damaged or of another kind"),
    "cut off": (packed(entry("a", b"x" * 100))[:-30], "damaged or of another kind"),
    "a wrong sum": (packed(entry("a", b"hello"), kind=0).replace(b"hello", b"hallo"), "Bad CRC-32"),
    "a bomb": (packed(entry("zeros", bytes(20_000_000))), "'zeros' makes the archive unpack to more"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", REFUSED)
def test_what_could_do_harm_is_refused_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    refused(tmp_path, *REFUSED[what])


def test_a_name_is_not_cut_off_at_a_nul(tmp_path: Path) -> None:
    refused(tmp_path, packed(entry("a.txtX.py")).replace(b"a.txtX.py", b"a.txt\0.py"), "not allowed|damaged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": 2}, "more members than the limit of 2"),
        ({"member_bytes": 1000}, "'b' is 2000 bytes; the limit is 1000"),
        ({"total_bytes": 2500}, "'c' makes the archive unpack to more than it may"),
    ],
)
def test_limits_are_kept(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    members = [entry("a", b"x" * 100), entry("b", b"x" * 2000), entry("c", b"x" * 1000)]
    refused(tmp_path, packed(*members, kind=0), message, replace(BUNDLE_LIMITS, **change))


def in_directory(content: bytes, offset: int, value: bytes) -> bytes:
    """Change bytes of the last member's place in the directory."""
    place = content.rindex(b"PK\x01\x02") + offset
    return content[:place] + value + content[place + len(value) :]


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    content = packed(entry("a", b"x" * 50), entry("b", b"x" * 50), kind=0)
    refused(tmp_path, in_directory(content, 42, struct.pack("<L", 0)), "overlaps another")


def test_a_content_that_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    content = packed(entry("a", b"x" * 50))
    refused(tmp_path, in_directory(content, 24, struct.pack("<L", 5000)), "cut off|damaged")


def test_a_content_that_is_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    content = packed(entry("a", b"x" * 50))
    refused(tmp_path, in_directory(content, 24, struct.pack("<L", 5)), "longer than it says|damaged")


def test_a_directory_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    content = packed(*(entry(str(number), b"") for number in range(30)))
    lying = content[: content.rindex(b"PK\x05\x06") + 8] + b"\1\0\1\0" + content[content.rindex(b"PK\x05\x06") + 12 :]
    refused(tmp_path, lying, "more members than the limit of 1", replace(BUNDLE_LIMITS, members=1))


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_a_suffix_says_the_kind(tmp_path: Path, suffix: str) -> None:
    archive = tmp_path / f"Project{suffix.upper()}"
    if suffix == ".zip":
        archive.write_bytes(packed(entry("MLproject", b"name: a")))
    else:
        (tmp_path / "MLproject").write_text("name: a")
        mode: Any = {"r:": "w:", "r:gz": "w:gz", "r:bz2": "w:bz2", "r:xz": "w:xz"}[ARCHIVE_SUFFIXES[suffix]]
        with tarfile.open(archive, mode) as file:
            file.add(tmp_path / "MLproject", "MLproject")

    assert is_archive(archive)
    assert (unpack(archive, tmp_path / "into") / "MLproject").read_text() == "name: a"


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "project.rar").touch()
    assert not is_archive(tmp_path / "project.rar")
    with pytest.raises(
        ArchiveError, match=r"'project.rar' is no archive that can be unpacked; name it with one of: \.zip, "
    ):
        unpack(tmp_path / "project.rar", tmp_path / "into")


@pytest.mark.parametrize("name", [b"", b"\0", b"\0/"])
def test_a_member_without_a_name_is_refused(tmp_path: Path, name: bytes) -> None:
    content = packed(entry("n" * len(name) or "n", b""))
    if name:
        content = content.replace(b"n" * len(name), name)
    else:  # in the directory, its length becomes 0, and the name an extra field that is too short to be one
        place = content.rfind(b"PK\x01\x02")
        content = content[: place + 28] + b"\0\0\0\0" + content[place + 32 : place + 46] + content[place + 47 :]
        content = content[:-10] + struct.pack("<L", 46) + content[-6:]

    with pytest.raises(ArchiveError):
        unpacked(tmp_path, content)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]


SEED = packed(entry("a", b"1" * 600), entry("b/c"), entry("ü" * 20, b"2" * 90))


FUZZ_LIMITS = replace(BUNDLE_LIMITS, members=50, total_bytes=100_000, member_bytes=50_000)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    content = bytearray(SEED)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content) - 1))
        content[place : place + draw(st.integers(0, 1))] = draw(st.binary(max_size=1))
    return bytes(content)


@given(content=st.one_of(st.binary(max_size=500), damaged()))
@settings(max_examples=300, deadline=5000)
def test_any_bytes_become_a_tree_inside_the_folder_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    place = tmp_path_factory.mktemp("any")
    tried: Callable[[], dict[str, bytes]] = lambda: unpacked(place, content, FUZZ_LIMITS)  # noqa: E731
    try:
        found = tried()
    except ArchiveError as error:
        said = str(error)
        assert ([path.name for path in place.iterdir()], "\n" in said) == (["archive.zip"], False)
    else:
        assert {path.name for path in place.iterdir()} == {"archive.zip", "into"}
        assert sum(map(len, found.values())) <= FUZZ_LIMITS.total_bytes
        assert not any(path.is_symlink() for path in (place / "into").rglob("*"))
