"""Work in several threads ends soon after the first error."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from dioptra.storage._elsewhere import StoppedError, Told, in_threads


def test_results_have_the_order_of_the_items_and_all_pieces_are_told() -> None:
    told: list[tuple[int, int | None]] = []

    def work(item: int, tell: Told) -> int:
        time.sleep((3 - item) / 100)
        tell(item, 10)
        return item * 2

    assert in_threads(work, range(4), 4, lambda count, size: told.append((count, size))) == [0, 2, 4, 6]
    assert sorted(told) == [(0, 10), (1, 10), (2, 10), (3, 10)]


def test_the_first_error_ends_what_is_under_way_and_begins_little_more() -> None:
    ended: list[object] = []

    def work(item: int, tell: Told) -> None:
        if item == 0:
            time.sleep(0.05)
            raise ValueError("the first")
        try:
            for _ in range(1_000):
                time.sleep(0.01)
                tell(1, None)
        except StoppedError as error:
            ended.append(error)
            raise

    started = time.monotonic()
    with pytest.raises(ValueError, match="the first"):
        in_threads(work, range(50), 3)
    assert time.monotonic() - started < 5
    assert len(ended) < 6, "one or two may begin before it is known"


def test_storage_is_light_to_import() -> None:
    program = "import sys, dioptra.storage; print({'obstore', 'boto3', 'fsspec', 'aiohttp'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"
