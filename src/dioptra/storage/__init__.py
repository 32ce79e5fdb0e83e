"""Bytes: the home and what lies in it, what is fetched from elsewhere, and the one place that unpacks archives."""

from dioptra.storage._addresses import is_remote, local_path, shown
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
from dioptra.storage._remote import Progress, fetch
from dioptra.storage._send import Sent, plan_send, send_folder
from dioptra.storage._sync import fetch_bundle

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
    "Sent",
    "fetch",
    "fetch_bundle",
    "find_home",
    "hash_content",
    "is_archive",
    "is_remote",
    "local_path",
    "make_home",
    "pin",
    "plan_send",
    "read_arrays",
    "send_folder",
    "shown",
    "unpack",
    "unpack_tar",
    "with_member",
    "write_aside",
]
