"""Bytes: the home and what lies in it, what is fetched from elsewhere, and the one place that unpacks archives."""

from dioptra.storage._archives import (
    ARCHIVE_SUFFIXES,
    BUNDLE_LIMITS,
    DATA_LIMITS,
    ArchiveLimits,
    is_archive,
    unpack,
    unpack_tar,
    with_member,
)
from dioptra.storage._arrays import read_arrays
from dioptra.storage._bundles import pin
from dioptra.storage._hashes import ContentHash, hash_content
from dioptra.storage._home import PROJECT_HOME, AttemptPaths, Home, find_home, make_home, write_aside
from dioptra.storage._remote import Progress, fetch, is_remote, local_path

__all__ = [
    "ARCHIVE_SUFFIXES",
    "BUNDLE_LIMITS",
    "DATA_LIMITS",
    "PROJECT_HOME",
    "ArchiveLimits",
    "AttemptPaths",
    "ContentHash",
    "Home",
    "Progress",
    "fetch",
    "find_home",
    "hash_content",
    "is_archive",
    "is_remote",
    "local_path",
    "make_home",
    "pin",
    "read_arrays",
    "unpack",
    "unpack_tar",
    "with_member",
    "write_aside",
]
