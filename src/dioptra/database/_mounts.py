"""Which kind of file system a folder is on: SQLite's locks and shared memory do not work across a network."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

__all__ = ["network_file_system", "read_mounts"]

_NETWORK = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs|panfs|pvfs2|smb3|smbfs|vboxsf|virtiofs"
    r"|fuse\.(beegfs|ceph|cephfs|gcsfuse|glusterfs|juicefs|lustre|mfs|moosefs|nfs|rclone|s3fs|smbnetfs|sshfs)"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def read_mounts() -> str:
    """Return this process's mounts, as Linux lists them; nothing where a system has no such list."""
    try:
        return Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return ""


def network_file_system(folder: Path, mounts: str) -> str:
    """Return the type of the file system that a folder, an absolute path without links, is on, if it is a network's."""
    place, kind = PurePosixPath("/"), ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mounted = PurePosixPath(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if folder.is_relative_to(mounted) and mounted.is_relative_to(place):  # the last one hides those before it
            place, kind = mounted, after.split(" ")[0]
    return kind if _NETWORK.fullmatch(kind) else ""
