"""Tiny packages that tests build themselves, so that an environment can be made of them without a network."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

__all__ = ["make_waiting_package", "make_wheel"]

_BACKEND = """
import os, pathlib, time, zipfile

def build_wheel(folder, settings=None, metadata=None):
    place = pathlib.Path({place!r})
    (place / "started").write_text(str(os.getpid()))
    while not (place / "go").exists():
        time.sleep(0.02)
    name = "waits-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        archive.writestr("waits-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: waits\\nVersion: 1.0\\n")
        wheel = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr("waits-1.0.dist-info/WHEEL", wheel)
        archive.writestr("waits-1.0.dist-info/RECORD", "")
    return name
"""


def make_wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """Make a wheel with one module of the package's name, whose `VERSION` is its version."""
    folder.mkdir(exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    file = folder / f"{stem}-py3-none-any.whl"
    needed = "".join(f"Requires-Dist: {need}\n" for need in needs)
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}.py", f"VERSION = {version!r}\n")
        for part, text in about.items():
            archive.writestr(f"{stem}.dist-info/{part}", text)
    return file


def make_waiting_package(folder: Path, place: Path) -> None:
    """Make the source of a package `waits`, whose build writes its id into `place/started` and waits for `place/go`."""
    folder.mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "waits"\nversion = "1.0"\n',
        "backend.py": _BACKEND.format(place=str(place)),
        "PKG-INFO": "Metadata-Version: 2.1\nName: waits\nVersion: 1.0\n",
    }
    with tarfile.open(folder / "waits-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"waits-1.0/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
