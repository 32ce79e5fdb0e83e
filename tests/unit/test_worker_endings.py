"""The words for an ending."""

from __future__ import annotations

import signal

import pytest

from dioptra.worker import Ending
from dioptra.worker._endings import duration, size


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending(0, cancelled=False), ""),
        (Ending(3, cancelled=False), "exit code 3"),
        (Ending(0, cancelled=True), "cancelled"),
        (Ending(-signal.SIGSEGV, cancelled=False), "ended by SIGSEGV"),
        (Ending(-63, cancelled=False), "ended by signal 63"),
        (Ending(-signal.SIGKILL, cancelled=False), "ended by SIGKILL (out of memory?)"),
        (Ending(-signal.SIGKILL, cancelled=False, out_of_memory=True), "out of memory"),
        (Ending(-signal.SIGTERM, cancelled=False, timed_out=7200.0), "timed out after 2 h"),
        (Ending(0, cancelled=False, timed_out=0.5), "timed out after 0.5 s"),
        (Ending(-signal.SIGTERM, cancelled=False, lapsed=True), "ended because its lease was not renewed"),
        (Ending(0, cancelled=False, problem="the log could not be written"), "the log could not be written"),
    ],
)
def test_the_reason(ending: Ending, reason: str) -> None:
    assert ending.reason == reason


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "0.25 s"),
        (1, "1 s"),
        (59.5, "59.5 s"),
        (59.9999, "1 min"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (5400, "1 h 30 min"),
        (86_399.9, "1 d"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (10**8, "100 MB"), (2 * 10**9, "2 GB")]
)
def test_a_size(count: int, words: str) -> None:
    assert size(count) == words
