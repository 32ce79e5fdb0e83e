"""uv, which builds environments: found, started, ended, and what it says made fit for one sentence.

Its documentation: https://docs.astral.sh/uv/pip/
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dioptra.errors import BaseOptionalDependencyError
from dioptra.worker._environment import for_jobs
from dioptra.worker._process import run_command

__all__ = ["asks_for_no_index", "find_uv", "run_uv", "uv_environment", "without_credentials"]

_GRACE = 5.0  # seconds between TERM and KILL
_LONGEST = 600  # characters of a reason
# What would lead it to another environment than the one that it is to build, or Python astray.
_ASTRAY = frozenset(
    """
    CONDA_PREFIX PYTHONHOME PYTHONPATH UV_BREAK_SYSTEM_PACKAGES UV_NO_BUILD_ISOLATION UV_PREFIX UV_PROJECT
    UV_PROJECT_ENVIRONMENT UV_PYTHON UV_SYSTEM_PYTHON UV_TARGET UV_WORKING_DIR UV_WORKING_DIRECTORY VIRTUAL_ENV
    """.split()  # noqa: SIM905 - readable as it stands
)
# pip's settings, and those of uv that take their place.
_OF_PIP = {
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS",),
}
_OF_INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/]*@)?([^\s?#`'\"<>()]*)(?:\?[^\s#`'\"<>()]*)?")
_ERROR = re.compile(r"^\s*(?:error:|\u00d7)\s*", re.MULTILINE)
_CAUSE = re.compile(r"\s*\n\s*(?:cause:|Caused by:|\u2570\u2500\u25b6)\s*")
_DRAWN = re.compile(r"[\u00d7\u2500-\u257f\u25b6]\s*")


def find_uv(environ: Mapping[str, str] | None = None) -> str:
    """Return the path of uv: the one that is installed beside the testbed, else the first on the PATH.

    Raises:
        BaseOptionalDependencyError: There is none.
    """
    environ = os.environ if environ is None else environ
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv", path=environ.get("PATH"))
    if found is None:
        raise BaseOptionalDependencyError(
            "uv, which builds the environments of projects, is not installed",
            hint="pip install 'dioptra-testbed[envs]', or use --env-manager local",
        )
    return found


def run_uv(arguments: Sequence[str], *, marker: str, cancel: threading.Event) -> str:
    """Run uv to its end, and return the reason when it failed, else nothing.

    Args:
        arguments: What it is to do.
        marker: Its processes carry it, so that those of a worker that died can be found and ended.
        cancel: An event that ends it when it is set.

    Raises:
        BaseOptionalDependencyError: There is no uv.
        KeyboardInterrupt: It was cancelled.
    """
    said: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="dioptra-uv-") as folder:  # what it says may hold credentials
        ending = run_command(
            [find_uv(), *arguments],
            cwd=Path("/"),  # uv reads the settings of the folders above it, and a home may lie in a project
            environment=uv_environment(os.environ),
            log_file=Path(folder) / "log.txt",
            on_output=said.append,
            cancel=cancel,
            grace=_GRACE,
            marker=marker,
        )
    if ending.cancelled:
        raise KeyboardInterrupt
    if not ending.reason:
        return ""
    text = b"".join(said).decode(errors="replace")
    return without_credentials(_reason(text), os.environ) or ending.reason


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that uv runs with: those of the user, with pip's settings where uv's are not set."""
    # What it builds runs code of the project's choice: it sees no more than a job does.
    kept = {name: value for name, value in for_jobs(environ).items() if name not in _ASTRAY}
    kept = {name: value for name, value in kept.items() if not name.startswith("DIOPTRA_")}
    for theirs, ours in _OF_PIP.items():
        if (value := kept.get(theirs)) and not any(name in kept for name in ours):
            kept[ours[0]] = ",".join(value.split()) if theirs == "PIP_FIND_LINKS" else value
    return kept | {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"}


def asks_for_no_index(environ: Mapping[str, str]) -> bool:
    """Tell whether pip's settings ask for no index, and none of uv's names one; uv has no such variable itself."""
    names_one = any(environ.get(name) for ours in _OF_INDEXES for name in _OF_PIP[ours])
    return environ.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on") and not names_one


def without_credentials(text: str, environ: Mapping[str, str]) -> str:
    """Return a text whose addresses have no user, no password and no query, and which holds no password of an index."""
    text = _URL.sub(r"\1\2", text)
    for secret in _secrets(environ):
        text = text.replace(secret, "****")
    return text


def _secrets(environ: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    for name, value in environ.items():
        if name.startswith(("UV_", "PIP_")):
            if name.endswith(("_PASSWORD", "_TOKEN")):
                found.add(value)
            for url in re.findall(r"\S+://[^\s,]+", value):
                user = urlsplit(url).netloc.rpartition("@")[0]
                found |= {user.partition(":")[2], unquote(user.partition(":")[2])}
    return {secret for secret in found if secret}


def _reason(said: str) -> str:
    """Return what uv says of a failure, from its first word of it on, as one line."""
    begins = _ERROR.search(said)
    said = said[begins.end() :] if begins else said[-_LONGEST:]
    text = " ".join(_DRAWN.sub(" ", _CAUSE.sub(": ", said)).split()).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
