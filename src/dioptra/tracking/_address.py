"""Addresses of tracking stores: made absolute, shown without secrets, and asked whether anybody answers."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from dioptra.errors import StoreUnreachableError

__all__ = ["absolute", "check_answers", "is_server", "without_secrets"]

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SECONDS = 5.0
_SQLITE = "sqlite:///"


def absolute(uri: str) -> str:
    """Return an address that means the same in another current folder."""
    if uri.startswith(_SQLITE) and not uri.startswith((f"{_SQLITE}/", f"{_SQLITE}:memory:")):
        return f"{_SQLITE}{Path(uri.removeprefix(_SQLITE)).absolute()}"
    if uri.startswith("file:") and not uri.startswith("file:/"):
        return Path(unquote(uri.removeprefix("file:"))).absolute().as_uri()
    if uri and not _split(uri).scheme:
        return str(Path(uri).expanduser().absolute())
    return uri


def _split(uri: str) -> SplitResult:
    """Return the parts of an address; all of one that cannot be taken apart is its place."""
    try:
        return urlsplit(uri)
    except ValueError:
        return SplitResult(uri.partition(":")[0], uri.partition("//")[2], "", "", "")


def is_server(uri: str) -> bool:
    """Tell whether an MLflow server stands behind an address, which then decides where artifacts go."""
    return _split(uri).scheme in ("http", "https", "databricks")


def check_answers(uri: str) -> None:
    """Raise StoreUnreachableError when nobody answers within seconds, where a client would try again for minutes."""
    parts = _split(uri)
    scheme = parts.scheme.partition("+")[0]
    try:
        if scheme in ("http", "https"):
            _ask(f"{uri.rstrip('/')}/health")
        elif scheme in _PORTS and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or _PORTS[scheme]), timeout=_SECONDS).close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)  # what urllib wraps
        reason = without_secrets(str(getattr(cause, "strerror", None) or cause), uri)
        raise StoreUnreachableError(
            f"the tracking store {without_secrets(uri, uri)} cannot be reached ({reason})",
            hint="check MLFLOW_TRACKING_URI",
        ) from error


def _ask(address: str) -> None:
    """Ask for a page; any answer but a failure of the server will do, for not every server has a page of that name."""
    plain = urlsplit(address)
    request = urllib.request.Request(urlunsplit(plain._replace(netloc=plain.netloc.rpartition("@")[2])))  # noqa: S310
    try:
        urllib.request.urlopen(request, timeout=_SECONDS).close()  # noqa: S310 - the scheme was looked at
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500:
            raise OSError(f"it answers {error.code} {error.reason}") from error


def without_secrets(text: str, uri: str) -> str:
    """Return a text without what an address must not show: user, password and query."""
    parts = _split(uri)
    user_info, _, place = parts.netloc.rpartition("@")
    text = text.replace(
        uri, urlunsplit((parts.scheme, place, parts.path, "", "")) if parts.netloc else uri.split("?")[0]
    )
    secrets = {user_info, parts.query, *user_info.split(":", 1)[1:]}
    secrets |= {value for name, value in parse_qsl(parts.query) if "pass" in name.lower() or "token" in name.lower()}
    for secret in sorted((s for s in secrets | set(map(unquote, secrets)) if len(s) > 2), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
