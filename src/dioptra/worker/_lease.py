"""The lease of an attempt: how long it may go on unless its worker renews it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Lease"]


class Lease:
    """A lease in seconds, counted from the moment before it was asked for, as `time.monotonic()` told it.

    The thread that beats renews it; whoever runs the attempt is told. What is not renewed is ended before it is over.
    """

    def __init__(self, seconds: float, *, since: float | None = None) -> None:
        self._lock = threading.Lock()
        self._told: Callable[[float, float], object] = lambda seconds, since: None
        self._hold(seconds, since)

    def renew(self, seconds: float, *, since: float | None = None) -> None:
        """Hold the lease for so many seconds since a moment, or since now."""
        with self._lock:
            self._hold(seconds, since)
            self._told(*self._held)

    def left(self) -> float:
        """Return the seconds that are left."""
        seconds, since = self._held
        return since + seconds - time.monotonic()

    @property
    def margin(self) -> float:
        """Seconds before its end at which the supervisor kills what has not ended by then."""
        return min(1.0, self._held[0] / 5)

    def tell(self, told: Callable[[float, float], object]) -> None:
        """Tell `seconds, since` now and at each renewal."""
        with self._lock:
            self._told = told
            told(*self._held)

    def _hold(self, seconds: float, since: float | None) -> None:
        self._held = seconds, time.monotonic() if since is None else since
