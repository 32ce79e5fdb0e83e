"""Bytes: the home folder and what lies in it, and the one place that unpacks archives."""

from dioptra.storage._archives import BUNDLE_LIMITS, DATA_LIMITS, ArchiveLimits, unpack_tar
from dioptra.storage._home import AttemptPaths, Home, find_home, make_home, write_aside

__all__ = [
    "BUNDLE_LIMITS",
    "DATA_LIMITS",
    "ArchiveLimits",
    "AttemptPaths",
    "Home",
    "find_home",
    "make_home",
    "unpack_tar",
    "write_aside",
]
