"""Where a database is: the address taken apart, made absolute, and shown without secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from dioptra.errors import UsageError

__all__ = ["Address", "parse_address"]

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


@dataclass(frozen=True)
class Address:
    """Where a database is."""

    url: str
    name: str  # as people may see it
    file: Path | None = None  # of an SQLite database
    secrets: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """Return what to look at when it cannot be used."""
        return "check DIOPTRA_HOME" if self.file else "check DIOPTRA_DATABASE_URL"

    def without_secrets(self, text: str) -> str:
        """Return a text without the address's password."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse_address(url: str) -> Address:
    """Take an address apart.

    Raises:
        UsageError: It is no address of a database that can be used.
    """
    if url.startswith(_SQLITE) and (path := url.removeprefix(_SQLITE)) and path != ":memory:":
        file = Path(path).absolute()
        return Address(url=f"{_SQLITE}{file}", name=str(file), file=file)
    try:
        return _server(url)
    except ValueError:
        scheme = url.partition(":")[0][:20] if ":" in url else ""
        raise UsageError(
            f"the database's address ({scheme or 'without a scheme'}) cannot be used",
            hint="write sqlite:////folder/testbed.db or postgresql://user:password@host/name",
        ) from None


def _server(url: str) -> Address:
    parts = urlsplit(url)
    if parts.scheme not in _POSTGRESQL:
        raise ValueError(parts.scheme)
    if "@" in parts.path:  # a password with a slash that is not written as %2F
        raise ValueError(parts.scheme)
    query = dict(parse_qsl(parts.query))
    place = parts.netloc.rpartition("@")[2] or query.get("host", "")
    kept = {parts.password, unquote(parts.password or ""), query.get("password")}
    secrets = sorted((secret for secret in kept if secret), key=len, reverse=True)
    name = f"postgresql://{place}/{parts.path.strip('/')}" if parts.port != 0 else ""
    return Address(url=f"postgresql+psycopg{url[len(parts.scheme) :]}", name=name, secrets=tuple(secrets))
