"""Asks whether a store can be reached, before a client starts to try again for minutes."""

from __future__ import annotations

import socket
from urllib.parse import unquote, urlsplit

from dioptra.errors import StoreUnreachableError

__all__ = ["check_reachable", "without_secrets"]

_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SECONDS = 5.0


def check_reachable(uri: str) -> None:
    """Raise StoreUnreachableError when nothing listens where a remote store should be."""
    parts = urlsplit(uri)
    default = _PORTS.get(parts.scheme.partition("+")[0])
    if default is None or not parts.hostname:
        return
    try:
        address = (parts.hostname, parts.port or default)
    except ValueError as error:
        raise StoreUnreachableError(f"the port in {without_secrets(uri, uri)} is not a number") from error
    try:
        socket.create_connection(address, timeout=_SECONDS).close()
    except OSError as error:
        raise StoreUnreachableError(
            f"the tracking store {without_secrets(uri, uri)} cannot be reached ({error.strerror or error})",
            hint="check MLFLOW_TRACKING_URI",
        ) from error


def without_secrets(text: str, uri: str) -> str:
    """Return a text without the user's name and password that a URI carries."""
    user_info = urlsplit(uri).netloc.rpartition("@")[0]
    if user_info:
        text = text.replace(f"{user_info}@", "")
        for secret in filter(None, {user_info, *user_info.split(":", 1)[1:]}):
            text = text.replace(secret, "***").replace(unquote(secret), "***")
    return text
