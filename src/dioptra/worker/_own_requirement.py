"""What an environment of a project has to install so that its scripts can import the testbed that runs them."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["OWN_NAME", "own_needs", "own_requirement"]

OWN_NAME = "dioptra-testbed"


def own_needs() -> list[str]:
    """Return the version of the testbed and what it needs, which a line that names a folder does not tell."""
    found = distribution(OWN_NAME)
    return [found.version, *sorted(found.requires or ())]


def own_requirement(found: Distribution | None = None) -> str:
    """Return the line that installs the testbed from where it was installed here, else its version from an index.

    The place is what `direct_url.json` says:
    https://packaging.python.org/en/latest/specifications/direct-url-data-structure/
    """
    found = found or distribution(OWN_NAME)
    pinned = f"{OWN_NAME}=={found.version}"
    try:
        origin: dict[str, Any] = json.loads(found.read_text("direct_url.json") or "{}")
        url = str(origin["url"])
    except (ValueError, KeyError, TypeError, OSError):
        return pinned
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{OWN_NAME} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    parts = urlsplit(url)
    if parts.scheme != "file":
        return f"{OWN_NAME} @ {url}"
    path = Path(unquote(parts.path))
    if not path.exists():  # a wheel that was downloaded and removed, a folder that was moved
        return pinned
    return f"-e {path}" if origin.get("dir_info", {}).get("editable") else f"{OWN_NAME} @ {path.as_uri()}"
