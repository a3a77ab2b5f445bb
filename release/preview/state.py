"""The state of a service stack as it lies in its bucket: one object, read without listing, its secrets sealed."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any

from components.naming import PROJECT, state_place
from release.canonical import sha256
from release.context import Context
from release.errors import ReleaseError
from release.ledger.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class StoredState:
    """A state as it is stored, its secrets sealed."""

    serial: str
    """SHA-256 of the object, which every update writes anew."""
    deployment: dict[str, Any]
    """Empty for a stack that nothing was ever deployed to."""


def stored_state(context: Context) -> StoredState | None:
    """Return the state of the stack; `None` where there is none, or where these credentials may not read it.

    A role that lists nothing cannot tell the two apart.

    Raises:
        ReleaseError: It is not as Pulumi writes it, or S3 does not answer.
    """
    bucket, key = _place(context)
    objects = ObjectStore(bucket, context.aws.s3, denied_is_missing=True)
    stored = objects.get(key) or objects.get(f"{key}.gz")
    if stored is None:
        return None
    try:
        body = gzip.decompress(stored.body) if stored.body[:2] == b"\x1f\x8b" else stored.body
        return StoredState(sha256(stored.body), dict(json.loads(body)["checkpoint"].get("latest") or {}))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"the state of stack {context.stack} is none of Pulumi's", why=str(error)) from error


def deployed_state(context: Context) -> StoredState:
    """Return the state of a stack that a release was deployed to.

    Raises:
        ReleaseError: As for `stored_state`, and where there is no state, or nothing in it.
    """
    found = stored_state(context)
    if found is None or not found.deployment:
        bucket, key = _place(context)
        raise ReleaseError(
            f"the state of stack {context.stack} could not be read",
            why=f"s3://{bucket}/{key} is missing or empty, or these credentials lack s3:GetObject there",
            next_step=f"pulumi up --refresh --stack {context.stack}-foundation gives the watch role its rights",
        )
    return found


def _place(context: Context) -> tuple[str, str]:
    bucket, folder = state_place(context.stack, context.suffix)
    return bucket, f"{folder}/.pulumi/stacks/{PROJECT}/{context.stack}.json"
