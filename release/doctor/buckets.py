"""Buckets: what keeps their objects from being read, lost or overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.policies.bucket import deployment_bucket
from components.policies.documents import Document
from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.check import Notes, Unseen, check, differs
from release.doctor.place import ALLOWED_CALL, DENIED_CALL, CannotLookError, Place, outcome

PROBE: Final = "packages/doctor/probe.json"
"""The one object that the doctor makes in a deployment bucket, below a create-only prefix that roles of CI write."""
_BODY: Final = b'{"made_by":"release doctor"}\n'
_PUBLIC_BLOCKS: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NO_BUCKET: Final = "there is no such bucket"
ALREADY_THERE: Final = frozenset({"PreconditionFailed", "412"})
"""Codes by which a write with its precondition was let in."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it is set up. `None` for `policy` where there is none."""

    versioning: str
    encryption: tuple[str, ...]
    public_blocks: Mapping[str, bool]
    ownership: tuple[str, ...]
    policy: Mapping[str, Any] | None


def look_at_bucket(place: Place, name: str) -> Bucket | None:
    """The bucket `name`, or `None` where there is no such bucket."""
    s3 = place.aws("s3")
    where = {"Bucket": name, "ExpectedBucketOwner": place.settings.account_id}
    versioning = unless_missing(lambda: s3.get_bucket_versioning(**where), "NoSuchBucket", "404")
    if versioning is None:
        return None
    encryption = unless_missing(
        lambda: s3.get_bucket_encryption(**where), "ServerSideEncryptionConfigurationNotFoundError"
    )
    blocks = unless_missing(lambda: s3.get_public_access_block(**where), "NoSuchPublicAccessBlockConfiguration")
    ownership = unless_missing(lambda: s3.get_bucket_ownership_controls(**where), "OwnershipControlsNotFoundError")
    policy = unless_missing(lambda: s3.get_bucket_policy(**where), "NoSuchBucketPolicy")
    rules = encryption["ServerSideEncryptionConfiguration"]["Rules"] if encryption else []
    return Bucket(
        versioning=versioning.get("Status", "off"),
        encryption=tuple(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules),
        public_blocks=blocks["PublicAccessBlockConfiguration"] if blocks else {},
        ownership=tuple(rule["ObjectOwnership"] for rule in ownership["OwnershipControls"]["Rules"])
        if ownership
        else (),
        policy=json.loads(policy["Policy"]) if policy else None,
    )


def weak_points(bucket: Bucket, policy: Document) -> Iterator[str]:
    """Yield the problems of one of our buckets, whose policy should be `policy`."""
    if bucket.versioning != "Enabled":
        yield f"versioning is {bucket.versioning}"
    if not bucket.encryption:
        yield "it is not encrypted"
    yield from public_ways(bucket)
    if bucket.policy is None:
        yield "it has no policy: objects can be overwritten and deleted"
    else:
        yield from differs(policy, bucket.policy)


def public_ways(bucket: Bucket) -> Iterator[str]:
    """Yield a problem where public access is not blocked."""
    if opened := [block for block in _PUBLIC_BLOCKS if not bucket.public_blocks.get(block)]:
        yield f"public access is not blocked ({', '.join(opened)})"


@check(
    "bucket.settings",
    asks="S3 for the deployment bucket: versioning, encryption, public access, ownership, policy",
    expected="versioned, encrypted, closed to the public, its objects are the owner's; its policy means the same as "
    "components/policies/bucket.py",
    look=lambda place: look_at_bucket(place, place.names.bucket),
    missing=NO_BUCKET,
)
def _bucket_settings(settings: Settings, bucket: Bucket) -> Notes:
    yield from weak_points(bucket, deployment_bucket(settings.arns, settings.administrator_role_arn))
    if bucket.ownership != ("BucketOwnerEnforced",):
        yield f"objects may belong to others (ownership: {', '.join(bucket.ownership) or 'not set'})"
    return "versioned, encrypted, private, owner enforced; its policy is the computed one"


def put_probe(place: Place, bucket: str, **precondition: str) -> None:
    """Write the doctor's object."""
    place.aws("s3").put_object(Bucket=bucket, Key=PROBE, Body=_BODY, **precondition)


def _puts(place: Place) -> tuple[str, str]:
    """Return S3's answers to the same object, first with its precondition and then without."""
    conditional = outcome(lambda: put_probe(place, place.names.bucket, IfNoneMatch="*"), ALREADY_THERE)
    if conditional != ALLOWED_CALL:
        raise CannotLookError(
            f"a write with its precondition was answered with {conditional}, so a refusal without it proves nothing"
        )
    return conditional, outcome(lambda: put_probe(place, place.names.bucket))


@check(
    "bucket.create-only",
    asks=f"S3 twice to write `{PROBE}` of the deployment bucket, with If-None-Match and without",
    expected="with it: accepted, or there already; without it: AccessDenied",
    look=_puts,
)
def _bucket_create_only(_: Settings, puts: tuple[str, str]) -> Notes:
    """Only "denied" without the precondition counts, and only beside an answer with it."""
    told = f"with its precondition: {puts[0]}; without: {puts[1]}"
    if puts[1] == ALLOWED_CALL:
        yield f"{told}. What is written once can be overwritten"
    elif puts[1] != DENIED_CALL:
        yield Unseen(told)
    return told
