"""What a run has around it: Python, the platform, the packages that are installed."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["environment", "packages"]

_DISTRIBUTION = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+?)(?:-py[\d.]+)?\.(?:dist-info|egg-info)")


def environment(python: str = "", path: list[str] | None = None) -> dict[str, Any]:
    """Return Python's version, the platform, and name and version of each package that is installed.

    Args:
        python: The implementation and the version; by default those of this process.
        path: The folders that packages are looked for in; by default those of this process.
    """
    machine = os.uname()
    return {
        "python": python or f"{platform.python_implementation()} {platform.python_version()}",
        "platform": " ".join((machine.sysname, machine.release, machine.machine)),
        "cores": os.cpu_count(),
        "packages": packages(sys.path if path is None else path),
    }


def packages(path: list[str]) -> dict[str, str]:
    """Return the packages that can be imported from a path, by their normalized names, sorted.

    Name and version are read off the names of the metadata folders, which takes milliseconds
    (https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
    """
    found: dict[str, str] = {}
    for name, version in _distributions(path):
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)  # the first one on the path is imported
    return dict(sorted(found.items()))


def _distributions(path: list[str]) -> Iterator[tuple[str, str]]:
    for entry in path:
        folder = Path(entry or ".")
        try:
            names = os.listdir(folder)  # noqa: PTH208 - only the names are wanted
        except OSError:
            continue
        for name in names:
            if match := _DISTRIBUTION.fullmatch(name):
                yield match["name"], match["version"]
