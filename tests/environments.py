"""Virtual environments for peers that cannot live beside us: made once from the registry, kept in `.test-envs/`."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

__all__ = ["PREFECT_1", "PREFECT_3", "TORCH", "python_with"]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".test-envs"

# Prefect 1.4.1 does not say that it needs the older ones of these.
PREFECT_1 = ("prefect==1.4.1", "marshmallow<4", "marshmallow-oneofschema<3.2", "pendulum<3", "setuptools<81")
# Prefect's server does not start with a later FastAPI; constraints.txt pins one.
PREFECT_3 = ("prefect==3.8.8", "fastapi<0.155")
TORCH = ("-c", str(ROOT / "constraints.txt"), "torch", "safetensors")


def python_with(requirements: tuple[str, ...], folder: Path = FOLDER, *, beside: bool = False) -> Path:
    """Return the interpreter of an environment with these packages, which is made when it is not there yet.

    Args:
        requirements: What pip is to install.
        folder: Where environments are kept.
        beside: Let it find our own packages too, after its own, and give it the command.

    Raises:
        CalledProcessError: pip could not install them; its words are in the error's notes.
    """
    ours = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}) if beside else []
    name = sha256("\n".join([sys.version, *requirements, *ours]).encode()).hexdigest()[:16]
    place = folder / name
    python = place / "bin" / "python"
    folder.mkdir(exist_ok=True)
    with _lock(folder / f"{name}.lock"):
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)  # what an interrupted run left
            _call(sys.executable, "-m", "venv", str(place))
            if requirements:
                _call(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
            for path in place.glob("lib/python*/site-packages"):
                (path / "ours.pth").write_text("".join(f"import site; site.addsitedir({our!r})\n" for our in ours))
            if beside:
                _write_command(python)
            (place / "complete").write_text("\n".join(requirements) + "\n")
    return python


def _write_command(python: Path) -> None:
    command = python.with_name("dioptra")
    command.write_text(f"#!{python}\nfrom dioptra.cli import main\nmain()\n")
    command.chmod(0o755)


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _call(*argv: str) -> None:
    try:
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr[-4000:])
        raise
