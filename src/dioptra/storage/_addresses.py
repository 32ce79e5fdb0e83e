"""Addresses of what lies elsewhere, and how much of them may be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

__all__ = ["is_remote", "local_path", "shown", "without_secrets"]

_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_USER = re.compile(r"[^/?#]*@")
# A password with a character that should have been written as %2F; what looks like a port is one.
_BROKEN_USER = re.compile(r"[^/@?#]*:(?!\d+(?:[/?#]|$)).*@")
_SHORTEST = 4  # characters of what is taken for a secret


def is_remote(text: str) -> bool:
    """Tell whether a text is a URI that has to be fetched; `file://` and plain paths have not."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is not None and scheme.lower() != "file"


def local_path(text: str) -> str:
    """Return the path that a text names: of a `file://` URI, or the text itself."""
    return unquote(urlsplit(text).path) if text.lower().startswith("file://") else text


def shown(uri: str) -> str:
    """Return a URI as messages and records may show it: without a user, a password, a query and a fragment."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return uri
    user = _USER.match(rest) or _BROKEN_USER.match(rest)
    rest = rest[user.end() :] if user else rest
    return f"{scheme}://{re.split('[?#]', rest, maxsplit=1)[0]}"


def without_secrets(text: str, uri: str) -> str:
    """Return the words of somebody else's error without what a URI, or the environment, holds of credentials."""
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, "...")
    return re.sub(r"[A-Za-z][\w+.-]*://[^\s'\"<>()]+", lambda found: shown(found[0]), text)


def _secrets(uri: str) -> Iterator[str]:
    rest = uri.partition("://")[2]
    user = _USER.match(rest) or _BROKEN_USER.match(rest)
    found = [user[0][:-1], *user[0][:-1].split(":", 1)] if user else []
    if query := re.split("[?#]", rest[user.end() if user else 0 :], maxsplit=1)[1:]:
        found += [*query, *(pair.partition("=")[2] for pair in re.split("[?#&]", query[0]))]
    found += [os.environ.get(name, "") for name in _SECRET_VARIABLES]
    yield from (text for each in found for text in {each, unquote(each)} if len(text) >= _SHORTEST)
