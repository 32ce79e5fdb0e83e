"""How a bucket is reached: endpoint, region, certificates and credentials, from where the AWS tools look for them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dioptra.errors import StoreUnreachableError, UsageError
from dioptra.storage._addresses import shown

__all__ = ["endpoint_of", "open_bucket"]

_ENDPOINTS = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # the first is the variable of 0.x
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_CERTIFICATES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
_CLIENT = {
    "allow_http": True,
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=60),  # without a byte
    "timeout": timedelta(days=30),  # in all: a long download is not cut off
}
_RETRY = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=9),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=3), "base": 3},
}


def open_bucket(bucket: str) -> Any:
    """Return obstore's client for a bucket; nothing is asked yet.

    Raises:
        UsageError: A setting cannot be understood.
        StoreUnreachableError: There are credentials, and they cannot be had.
    """
    from obstore.store import S3Store

    options: dict[str, Any] = {"region": _first(_REGIONS) or _profile().get("region") or "us-east-1"}
    if endpoint := endpoint_of():
        # Both, as the environment would be asked for the one that is not given.
        options |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
    certificate = _certificate()
    client = _CLIENT | ({"root_certificate": certificate} if certificate else {})
    options |= {"client_options": client, "retry_config": _RETRY, "disable_bulk_delete": True}  # not all stores know it
    return S3Store(bucket, **options, **_credentials())


def endpoint_of() -> str:
    """Return the address of the server; empty for Amazon's own.

    Raises:
        UsageError: It is none.
    """
    name = next((name for name in _ENDPOINTS if os.environ.get(name)), "the AWS profile")
    url = os.environ.get(name) or str(_profile().get("endpoint_url") or "")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
        raise UsageError(
            f"{name} has {shown(url)!r}, which is no address of a server", hint="write it as http://HOST:PORT"
        )
    return url.rstrip("/")


def _first(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _certificate() -> bytes | None:
    if not (file := _first(_CERTIFICATES)):
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        name = next(name for name in _CERTIFICATES if os.environ.get(name))
        raise UsageError(f"{name} names {file!r}, which cannot be read ({error.strerror})") from None


def _credentials() -> dict[str, Any]:
    """Return the keys in the environment; else what boto3 finds, which may change with time; else none at all."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        found = {"access_key_id": key, "secret_access_key": secret}
        token = os.environ.get("AWS_SESSION_TOKEN")
        return found | ({"session_token": token} if token else {})
    from boto3.session import Session
    from botocore.exceptions import BotoCoreError, ClientError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        session = Session()
        if session.get_credentials() is None:
            return {"skip_signature": True}  # a bucket may be open to all
        provider = Boto3CredentialProvider(session)
        provider()  # here, where it can be said what is wrong
    except (BotoCoreError, ClientError) as error:
        raise StoreUnreachableError(
            f"the credentials for S3 cannot be had ({type(error).__name__})",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in again if it is by SSO",
        ) from None
    return {"credential_provider": provider}


def _profile() -> Mapping[str, Any]:
    """Return what the profile in use says; the files of AWS are looked at only if there are any."""
    file = Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    if not os.environ.get("AWS_PROFILE") and not file.is_file():
        return {}
    import botocore.session
    from botocore.exceptions import BotoCoreError

    session = botocore.session.get_session()
    try:
        found: dict[str, Any] = session.get_scoped_config()
        services = session.full_config.get("services", {}).get(found.get("services"), {})
    except BotoCoreError as error:
        raise UsageError(f"the settings of AWS cannot be read ({error})", hint="see AWS_PROFILE") from None
    own = services.get("s3", {})
    return found | (own if isinstance(own, dict) else {})
