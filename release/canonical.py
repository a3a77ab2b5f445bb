"""The one spelling of a JSON document, and the digest of bytes: the identity of releases and of ledger entries."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(document: Any) -> bytes:
    """Return the one spelling that digests are taken of: sorted keys, no spaces, ASCII, no line end."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def sha256(body: bytes) -> str:
    """Return the digest in hex."""
    return hashlib.sha256(body).hexdigest()
