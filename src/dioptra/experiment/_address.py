"""Addresses: the ways to name a snapshot, and what stands against an answer."""

from __future__ import annotations

import re
from pathlib import Path

from dioptra.errors import RefusedError, SnapshotNotFoundError, UsageError
from dioptra.experiment._snapshot import Snapshot

__all__ = ["SECOND", "is_last", "nth_last", "select", "sure"]

SECOND = 15  # characters of a snapshot's name that tell the second
_LAST = re.compile(r"last(?:~(\d{1,9}))?")


def select(address: str, found: list[Snapshot], place: str) -> Snapshot:
    """Return the one snapshot that was found for an address.

    Raises:
        SnapshotNotFoundError: There is none.
        UsageError: There are several.
    """
    if not found:
        raise SnapshotNotFoundError(f"no snapshot {address!r} in {place}", hint="see `dioptra snapshot list`")
    if len(found) > 1 and len({snapshot.commit for snapshot in found}) == 1 and address == found[0].commit:
        return max(found, key=lambda snapshot: snapshot.created_at)
    if len(found) > 1:
        some = ", ".join(snapshot.name for snapshot in found[:4])
        raise UsageError(f"snapshot {address!r} is ambiguous", hint=f"write more of it: {some}")
    return found[0]


def sure(address: str, found: list[Snapshot], broken: list[Path]) -> list[Snapshot]:
    """Return what `last` was found to mean, unless one of the damaged records may be newer.

    Raises:
        RefusedError: One may be.
    """
    for file in reversed(broken):
        if not found or file.parent.name[:SECOND] >= found[0].name[:SECOND]:
            raise RefusedError(
                f"the record {str(file)!r} cannot be read, so that {address!r} may be another snapshot",
                hint="name the one that is meant",
            )
    return found


def is_last(address: str) -> bool:
    """Tell whether an address counts from the newest snapshot."""
    return _LAST.fullmatch(address) is not None


def nth_last(snapshots: list[Snapshot], address: str) -> list[Snapshot]:
    """Return the snapshot that `last` or `last~2` means, of those given oldest first; none if there are not so many."""
    match = _LAST.fullmatch(address)
    back = int(match[1] or 0) if match else 0
    return snapshots[-1 - back :][:1] if back < len(snapshots) else []
