"""Who may read: callers that know the dashboard's API key. Without a configured key nobody may."""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from logs import log

_KEPT_SECONDS = 300
"""A rotated key is honoured, and the old one refused, after five minutes at most."""
_AWS = Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
_CLOSED = ""


def is_allowed(headers: Mapping[str, str]) -> bool:
    """Whether the request carries the configured key.

    Raises:
        ClientError: the secret store failed in another way than "there is no such secret".
    """
    offered = _offered_key(headers)
    # Callers without a key are turned away without a question to the secret store.
    if not offered:
        return False
    configured = _keys.configured()
    return configured != _CLOSED and hmac.compare_digest(_bytes(offered), _bytes(configured))


def _bytes(key: str) -> bytes:
    # surrogatepass: no header that a stranger can send may raise, or strangers could ring the alarm of errors.
    return key.encode(errors="surrogatepass")


def _offered_key(headers: Mapping[str, str]) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key", "").strip()


class _Keys:
    """The configured key, read from the secret store at most every five minutes."""

    def __init__(self) -> None:
        self._key = _CLOSED
        self._stale_at = float("-inf")

    def configured(self) -> str:
        if time.monotonic() >= self._stale_at:
            self._key = _read_key()
            self._stale_at = time.monotonic() + _KEPT_SECONDS
        return self._key

    def forget(self) -> None:
        self._stale_at = float("-inf")


_keys = _Keys()


def forget_key() -> None:
    """Read the key again at the next request."""
    _keys.forget()


def _read_key() -> str:
    """The key, or closed when there is none: an empty secret must never match an empty header."""
    name = os.environ.get("DASHBOARD_KEY_SECRET", "")
    if not name:
        return _closed("DASHBOARD_KEY_SECRET is not set")
    try:
        answer = boto3.client("secretsmanager", config=_AWS).get_secret_value(SecretId=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return _closed("the secret does not exist or has no value")
        raise
    try:
        document: Any = json.loads(answer["SecretString"])
        key = document["api_key"]
    except (KeyError, TypeError, ValueError):
        return _closed("the secret is not JSON with an api_key")
    return key.strip() if isinstance(key, str) and key.strip() else _closed("the secret's api_key is empty")


def _closed(reason: str) -> str:
    log("error", "dashboard_closed", reason=reason)
    return _CLOSED
