"""The log of an attempt and its limit."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dioptra.worker._log_file import LOG_LIMIT, LogFile

NOTE = b"... the log ends here: it has reached its limit of 10 bytes; the job goes on\n"


@pytest.mark.parametrize(
    ("chunks", "kept"),
    [
        ([b"0123456789"], b"0123456789"),
        ([b"0123456789", b"a", b"b"], b"0123456789\n" + NOTE),
        ([b"012345678\n", b"a"], b"012345678\n" + NOTE),
        ([b"0123", b"4567890123", b"more"], b"0123456789\n" + NOTE),
        ([b"x" * 100], b"x" * 10 + b"\n" + NOTE),
    ],
)
def test_the_limit(tmp_path: Path, chunks: list[bytes], kept: bytes) -> None:
    with LogFile(tmp_path / "log.txt", 10) as log:
        returned = b"".join(map(log.write, chunks))

    assert (tmp_path / "log.txt").read_bytes() == kept == returned


def test_what_lies_there_counts(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"01234567\n")

    with LogFile(tmp_path / "log.txt", 10) as log:
        log.write(b"abc")

    assert (tmp_path / "log.txt").read_bytes() == b"01234567\na\n" + NOTE


def test_the_limit_that_is_set_by_default() -> None:
    assert LOG_LIMIT == 100_000_000


def test_a_full_disk_is_an_error() -> None:
    with LogFile(Path("/dev/full")) as log, pytest.raises(OSError, match="No space") as caught:
        log.write(b"x")

    assert caught.value.errno == errno.ENOSPC
