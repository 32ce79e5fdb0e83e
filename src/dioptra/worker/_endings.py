"""How an attempt ended, and the words for it."""

from __future__ import annotations

import signal
from dataclasses import dataclass

__all__ = ["Ending", "duration", "size"]

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    exit_code: int  # negative: the number of the signal that ended it
    cancelled: bool
    timed_out: float = 0.0  # the time limit in seconds that it ran into
    lapsed: bool = False  # its lease was over and had not been renewed
    out_of_memory: bool = False
    problem: str = ""  # what else made an end of it: its supervisor was ended, its log could not be written

    @property
    def reason(self) -> str:
        """Say why the attempt did not end well; nothing when it did."""
        if self.problem:
            return self.problem
        if self.cancelled:
            return "cancelled"
        if self.timed_out:
            return f"timed out after {duration(self.timed_out)}"
        if self.lapsed:
            return "ended because its lease was not renewed"
        if self.out_of_memory:
            return "out of memory"
        if self.exit_code == -signal.SIGKILL:
            return "ended by SIGKILL (out of memory?)"
        if self.exit_code < 0:
            return f"ended by {_signal_name(-self.exit_code)}"
        return f"exit code {self.exit_code}" if self.exit_code else ""


def duration(seconds: float) -> str:
    """Say a duration with its two largest units: `2 h`, `1 min 30 s`, `0.5 s`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.3g} s"
    left, words = round(seconds), []
    for name, length in _UNITS:
        count, left = divmod(left, length)
        if count:
            words.append(f"{count} {name}")
        elif words:
            break
    return " ".join(words[:2])


def size(count: int) -> str:
    """Say a number of bytes: `100 MB`, `1.5 kB`."""
    for name, unit in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
