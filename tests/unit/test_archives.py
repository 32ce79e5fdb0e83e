"""What `unpack_tar` unpacks, what it refuses, and that nothing is left behind when it refuses."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dioptra.errors import ArchiveError
from dioptra.storage._archives import BUNDLE_LIMITS, DATA_LIMITS, ArchiveLimits, unpack_tar

Members = list[tuple[tarfile.TarInfo, bytes]]


def entry(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """Make a member of an archive: a file, unless the fields say otherwise."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def tar(members: Members, **options: object) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:  # type: ignore[call-overload]
        for member, content in members:
            archive.addfile(member, io.BytesIO(content) if content else None)
    return file.getvalue()


def unpack(tmp_path: Path, content: bytes, mode: str = "r:", limits: ArchiveLimits = BUNDLE_LIMITS) -> Path:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(content)
    return unpack_tar(archive, tmp_path / "into", mode=mode, limits=limits)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz", ""])
def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path, mode: str) -> None:
    source = tmp_path / "data"
    (source / "0").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "0" / "zwei Öre.png").write_bytes(b"pixels")
    (source / "notes.txt").write_bytes(b"")
    with tarfile.open(tmp_path / "a.tar", cast("Any", f"w:{mode}")) as archive:
        archive.add(source, arcname=".")

    into = unpack_tar(tmp_path / "a.tar", tmp_path / "new" / "into", mode=f"r:{mode}")

    assert tree(into) == {"0/zwei Öre.png": b"pixels", "notes.txt": b""}
    assert (into / "empty").is_dir()


def test_only_the_right_to_run_survives_of_the_modes(tmp_path: Path) -> None:
    into = unpack(tmp_path, tar([entry("run.sh", mode=0o6777), entry("read.txt", mode=0o600)]))

    assert stat.S_IMODE((into / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((into / "read.txt").stat().st_mode) == 0o644


def test_an_existing_folder_keeps_its_files_and_gets_the_new_ones(tmp_path: Path) -> None:
    into = tmp_path / "into"
    (into / "a").mkdir(parents=True)
    (into / "a" / "old.txt").write_text("old")
    (into / "a" / "both.txt").write_text("old")

    unpack(tmp_path, tar([entry("a/both.txt", b"new"), entry("a/b/new.txt", b"new")]))

    assert tree(into) == {"a/old.txt": b"old", "a/both.txt": b"new", "a/b/new.txt": b"new"}


@pytest.mark.parametrize("in_the_way", ["link to a folder", "link to a file", "file for a folder", "folder for a file"])
def test_links_and_other_kinds_in_an_existing_folder_are_not_written_through(tmp_path: Path, in_the_way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    into = tmp_path / "into"
    into.mkdir()
    if in_the_way == "link to a folder":
        (into / "a").symlink_to(outside)
    elif in_the_way == "link to a file":
        (into / "a").mkdir()
        (into / "a" / "x").symlink_to(outside / "x")
    elif in_the_way == "file for a folder":
        (into / "a").write_text("a file")
    else:
        (into / "a" / "x").mkdir(parents=True)

    with pytest.raises(ArchiveError, match="in the way"):
        unpack(tmp_path, tar([entry("0-first"), entry("a/x")]))

    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in into.iterdir()) == ["a"], "nothing of the archive was moved"


REFUSED: dict[str, tuple[Members, str]] = {
    "up and out": ([entry("../evil")], r"'\.\./evil' leaves the folder"),
    "up in the middle": ([entry("a/../../evil")], "leaves the folder"),
    "absolute": ([entry("/tmp/evil")], "'/tmp/evil' leaves the folder"),  # noqa: S108
    "the folder itself as a file": ([entry("./.")], "leaves the folder"),
    "symbolic link": ([entry("link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "'link' is neither"),
    "hard link": ([entry("a"), entry("b", b"", type=tarfile.LNKTYPE, linkname="a")], "'b' is neither"),
    "link to the folder": ([entry("here", b"", type=tarfile.SYMTYPE, linkname=".")], "'here' is neither"),
    "write through a link": (
        [entry("a", b"", type=tarfile.SYMTYPE, linkname=".."), entry("a/evil")],
        "'a' is neither",
    ),
    "hard link out": ([entry("b", b"", type=tarfile.LNKTYPE, linkname="../../etc/passwd")], "'b' is neither"),
    "long chain of links": (
        [
            *(entry("d" * 50, b"", type=tarfile.DIRTYPE) for _ in range(2)),
            entry("d" * 50 + "/l", b"", type=tarfile.SYMTYPE, linkname="/".join(["d" * 50, *[".."] * 20])),
        ],
        "is neither",
    ),
    "block device": ([entry("disk", b"", type=tarfile.BLKTYPE)], "'disk' is neither"),
    "sparse file": ([entry("holes", b"", type=tarfile.GNUTYPE_SPARSE)], "neither|damaged"),
    "device": ([entry("null", b"", type=tarfile.CHRTYPE)], "'null' is neither"),
    "pipe": ([entry("pipe", b"", type=tarfile.FIFOTYPE)], "'pipe' is neither"),
    "twice": ([entry("a"), entry("a")], "'a' comes twice"),
    "twice by another spelling": ([entry("a"), entry("./a")], r"'\./a' comes twice"),
    "case": ([entry("a/B"), entry("A/c")], "'A/c' lies in a folder whose name is taken"),
    "case of files": ([entry("readme"), entry("README")], "'README' comes twice"),
    "below a file": ([entry("a"), entry("a/b")], "'a/b' lies in a folder whose name is taken"),
    "a file in place of a folder": ([entry("a/b"), entry("a")], "'a' comes twice"),
    "newline": ([entry("a\nb")], "character that is not allowed"),
    "backslash": ([entry("..\\evil")], "character that is not allowed"),
    "right-to-left mark": ([entry("gnp.\u202egpj")], "character that is not allowed"),
    "deep": ([entry("/".join("abcdefghijklm"))], "path that is too long"),
    "long": ([entry("/".join(["a" * 50] * 5))], "path that is too long"),
    "long part": ([entry("a" * 256)], "path that is too long"),
    "git hook": ([entry(".git/hooks/post-checkout")], "other programs act upon"),
    "git hook in capitals": ([entry("a/.GIT/config")], "other programs act upon"),
    "sitecustomize": ([entry("src/sitecustomize.py")], "other programs act upon"),
    "usercustomize": ([entry("usercustomize.py")], "other programs act upon"),
    "compiled": ([entry("a/__pycache__/b.pyc")], "other programs act upon"),
    "pth in capitals": ([entry("a/EVIL.PTH")], "other programs act upon"),
    "one letter in two spellings": ([entry("\u00e9"), entry("e\u0301")], "comes twice"),
    "escape sequence": ([entry("a\x1b[2J")], "character that is not allowed"),
    "pth": ([entry("evil.pth")], "other programs act upon"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_member_that_could_do_harm_is_refused_by_name_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    members, message = REFUSED[what]

    with pytest.raises(ArchiveError, match=message) as caught:
        unpack(tmp_path, tar([entry("fine"), *members]))

    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.tar"]


def test_a_name_that_looks_like_an_option_is_a_name(tmp_path: Path) -> None:
    assert tree(unpack(tmp_path, tar([entry("-rf", b"1"), entry("--help", b"2")]))) == {"-rf": b"1", "--help": b"2"}


def test_data_may_hold_what_code_may_not(tmp_path: Path) -> None:
    into = unpack(tmp_path, tar([entry("weights.pth")]), limits=DATA_LIMITS)

    assert tree(into) == {"weights.pth": b"x"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": 2}, "'c' is one too many; the limit is 2"),
        ({"member_bytes": 1000}, "'b' is 2000 bytes; the limit is 1000"),
        ({"total_bytes": 2500}, "'c' makes the archive unpack to more than it may"),
    ],
)
def test_limits_name_the_first_member_beyond_them(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    members = [entry("a", b"x" * 100), entry("b", b"x" * 2000), entry("c", b"x" * 1000)]

    with pytest.raises(ArchiveError, match=message):
        unpack(tmp_path, tar(members), limits=replace(BUNDLE_LIMITS, **change))


def test_limits_are_met_exactly(tmp_path: Path) -> None:
    limits = replace(BUNDLE_LIMITS, members=2, member_bytes=1000, total_bytes=1500)

    assert len(tree(unpack(tmp_path, tar([entry("a", b"x" * 500), entry("b", b"x" * 1000)]), limits=limits))) == 2


def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(tar([entry("zeros", bytes(5_000_000))]))
    assert len(bomb) < 20_000

    with pytest.raises(ArchiveError, match="'zeros' makes the archive unpack to more"):
        unpack(tmp_path, bomb, mode="r:gz")


def test_a_header_of_many_megabytes_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    member, content = entry("a")
    member.pax_headers = {"comment": "x" * 10_000_000}

    with pytest.raises(ArchiveError, match="damaged header"):
        unpack(tmp_path, gzip.compress(tar([(member, content)], format=tarfile.PAX_FORMAT)), mode="r:gz")


def header_of_negative_size() -> bytes:
    """A header that sends the reader back to itself (CVE-2025-8194)."""
    block = bytearray(entry("loop", b"")[0].tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = (2**96 - 512).to_bytes(12, "big")  # minus 512 in base 256
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def test_a_header_of_negative_size_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="member 'loop' has a damaged header"):
        unpack(tmp_path, header_of_negative_size() * 3 + bytes(1024))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"\x1f\x8b", id="start of gzip"),
        pytest.param(tar([entry("a")])[:-10_000], id="no end"),
        pytest.param(tar([entry("a")])[:700], id="cut in a file"),
        pytest.param(tar([entry("a"), entry("b")])[:1300], id="cut in a header"),
        pytest.param(gzip.compress(tar([entry("a")])), id="compressed"),
    ],
)
def test_damaged_archives_are_an_error_and_leave_nothing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"archive\.tar: "):
        unpack(tmp_path, content)

    assert [path.name for path in tmp_path.iterdir()] == ["archive.tar"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-6], lambda data: data[:-8] + b"00000000", lambda data: data[:99]]
)
def test_a_gzip_that_is_cut_off_or_has_a_wrong_checksum_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(tmp_path, damage(gzip.compress(tar([entry("a", b"content" * 100)]))), mode="r:gz")


def test_a_gzip_of_a_gzip_and_of_a_zip_are_refused(tmp_path: Path) -> None:
    once = gzip.compress(tar([entry("a")]))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", b"1")
    for content in (gzip.compress(once), gzip.compress(packed.getvalue()), packed.getvalue()):
        with pytest.raises(ArchiveError, match="damaged"):
            unpack(tmp_path, content, mode="r:gz")
    assert [path.name for path in tmp_path.iterdir()] == ["archive.tar"]


def test_more_than_may_be_unpacked_is_refused_before_it_is_written(tmp_path: Path) -> None:
    limit = BUNDLE_LIMITS.total_bytes
    members = [entry(f"{number}", b"") for number in range(5)]
    for member, _ in members:
        member.size = limit // 4
    with pytest.raises(ArchiveError, match="'0' is cut off|damaged|more than it may"):
        unpack(tmp_path, b"".join(member.tobuf() for member, _ in members))


def test_a_mode_and_a_file_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"no mode 'r\|gz' .* have: r:, r:gz"):
        unpack_tar(tmp_path / "a", tmp_path / "b", mode="r|gz")
    with pytest.raises(ArchiveError, match=r"no archive .*/a"):
        unpack_tar(tmp_path / "a", tmp_path / "b")


SEED_ARCHIVES = [
    tar([entry("a", b"1" * 600), entry("b/c"), entry("d" * 120)], format=tarfile.GNU_FORMAT),
    tar([entry("a"), entry("ü" * 60), entry("é", pax_headers={"mtime": "1.5"})], format=tarfile.PAX_FORMAT),
]


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "r:": lambda content: content,
    "r:gz": gzip.compress,
    "r:bz2": bz2.compress,
    "r:xz": lzma.compress,
}
FUZZ_LIMITS = replace(BUNDLE_LIMITS, members=50, total_bytes=100_000, member_bytes=50_000)


@st.composite
def damaged_archives(draw: st.DrawFn) -> tuple[str, bytes]:
    """An archive with a few bytes changed, left out or put in; most bytes of its headers mean something."""
    mode = draw(st.sampled_from(sorted(PACKERS)))
    content = draw(st.sampled_from(SEED_ARCHIVES))
    if draw(st.booleans()):  # inside what is compressed
        content = damaged_bytes(draw, content)
    packed = PACKERS[mode](content)
    return mode, damaged_bytes(draw, packed) if draw(st.booleans()) else packed


def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(changed) - 1, 0)))
        size = draw(st.sampled_from([0, 1, 1, 1, 512]))
        changed[place : place + size] = draw(st.binary(max_size=1) if size < 2 else st.just(b""))
    return bytes(changed)


@given(found=st.one_of(st.tuples(st.sampled_from(sorted(PACKERS)), st.binary(max_size=2000)), damaged_archives()))
@settings(max_examples=300, deadline=5000)
def test_any_bytes_become_a_tree_inside_the_folder_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, found: tuple[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        into = unpack(folder, found[1], mode=found[0], limits=FUZZ_LIMITS)
    except ArchiveError as error:
        said = str(error)
        assert ([path.name for path in folder.iterdir()], "\n" in said) == (["archive.tar"], False)
    else:
        assert {path.name for path in folder.iterdir()} == {"archive.tar", "into"}
        paths = list(into.rglob("*"))
        assert all((path.is_dir() or path.is_file()) and not path.is_symlink() for path in paths)
        assert sum(path.stat().st_size for path in paths if path.is_file()) <= FUZZ_LIMITS.total_bytes
