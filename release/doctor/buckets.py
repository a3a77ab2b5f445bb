"""Buckets: what keeps their objects from being read, lost or overwritten."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from components.policies.bucket import deployment_bucket
from components.policies.comparison import difference
from components.settings import Settings
from release.clients.aws import code_of, unless_missing
from release.doctor.check import Check, Judgement, Verdict, conclude
from release.doctor.place import DENIED, CannotLookError, Place, explain

PROBE: Final = "promotions/doctor/validation.json"
"""The one object that the doctor makes in a deployment bucket, below a create-only prefix that roles of CI write."""
_BODY: Final = b'{"made_by":"release doctor"}\n'
_PUBLIC_BLOCKS: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_ALREADY_THERE: Final = frozenset({"PreconditionFailed", "412"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it is set up. `None` for `policy` where there is none."""

    name: str
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
        name=name,
        versioning=versioning.get("Status", "off"),
        encryption=tuple(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules),
        public_blocks=blocks["PublicAccessBlockConfiguration"] if blocks else {},
        ownership=tuple(rule["ObjectOwnership"] for rule in ownership["OwnershipControls"]["Rules"])
        if ownership
        else (),
        policy=json.loads(policy["Policy"]) if policy else None,
    )


def weak_points(bucket: Bucket | None) -> list[str]:
    """What is wrong with how a bucket of ours is set up."""
    if bucket is None:
        return ["there is no such bucket"]
    told = [] if bucket.versioning == "Enabled" else [f"versioning is {bucket.versioning}"]
    told += [] if bucket.encryption else ["it is not encrypted"]
    return told + public_ways(bucket) + ([] if tls_only(bucket.policy) else ["plain HTTP is not denied"])


def public_ways(bucket: Bucket) -> list[str]:
    """Which blocks of public access are open."""
    opened = [block for block in _PUBLIC_BLOCKS if not bucket.public_blocks.get(block)]
    return [f"public access is not blocked ({', '.join(opened)})"] if opened else []


def tls_only(policy: Mapping[str, Any] | None) -> bool:
    """Whether a bucket policy denies everything to everybody over plain HTTP."""
    statements: Sequence[Mapping[str, Any]] = (policy or {}).get("Statement", ())
    return any(
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") in ("s3:*", ["s3:*"])
        and str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")).lower() == "false"
        for statement in statements
    )


def _deployments(place: Place) -> Bucket | None:
    return look_at_bucket(place, place.names.bucket)


def judge_deployments(_: Settings, bucket: Bucket | None) -> Judgement:
    """Set up as the program makes it."""
    problems = weak_points(bucket)
    if bucket is not None and bucket.ownership != ("BucketOwnerEnforced",):
        problems.append(f"objects may belong to others (ownership: {', '.join(bucket.ownership) or 'not set'})")
    return conclude("versioned, encrypted, private, TLS only, owner enforced", problems=problems)


def judge_policy(settings: Settings, bucket: Bucket | None) -> Judgement:
    """The policy that is deployed is the policy that the program makes."""
    if bucket is None:
        return conclude("", problems=["there is no such bucket"])
    if bucket.policy is None:
        return conclude("", problems=["it has no policy: objects can be overwritten and deleted"])
    differs = difference(deployment_bucket(settings.arns, settings.administrator_role_arn), bucket.policy)
    return conclude("the policy is the computed one", problems=[differs] if differs else ())


@dataclass(frozen=True, slots=True)
class Puts:
    """What S3 said to the same object twice: `accepted`, `there already`, `denied`, or what else."""

    with_precondition: str
    without: str


def _puts(place: Place) -> Puts:
    conditional = put_probe(place, place.names.bucket, IfNoneMatch="*")
    if conditional not in {"accepted", "there already"}:
        raise CannotLookError(
            f"a write with its precondition was answered with {conditional}, so a refusal without it proves nothing"
        )
    return Puts(conditional, put_probe(place, place.names.bucket))


def put_probe(place: Place, bucket: str, **precondition: str) -> str:
    """Write the doctor's object; say how that was answered."""
    try:
        place.aws("s3").put_object(Bucket=bucket, Key=PROBE, Body=_BODY, **precondition)
    except ClientError as error:
        if code_of(error) in DENIED:
            return "denied"
        return "there already" if code_of(error) in _ALREADY_THERE else explain(error)
    return "accepted"


def judge_puts(_: Settings, puts: Puts) -> Judgement:
    """Only "denied" without the precondition counts, and only beside an answer with it."""
    told = f"with its precondition: {puts.with_precondition}; without: {puts.without}"
    if puts.without == "denied":
        return Judgement(Verdict.OK, told)
    if puts.without == "accepted":
        return conclude("", problems=[f"{told}. What is written once can be overwritten"])
    return conclude("", unseen=[told])


CHECKS: Final = (
    Check(
        name="bucket.settings",
        asks="S3 for the deployment bucket: versioning, encryption, public access, ownership, policy",
        good="versioned, encrypted, closed to the public, TLS only, its objects are the owner's",
        mend="pulumi up --refresh --stack {foundation}",
        look=_deployments,
        judge=judge_deployments,
    ),
    Check(
        name="bucket.policy",
        asks="S3 for the policy of the deployment bucket, and components/policies/bucket.py for what it should be",
        good="both mean the same",
        mend="pulumi up --refresh --stack {foundation}",
        look=_deployments,
        judge=judge_policy,
    ),
    Check(
        name="bucket.create-only",
        asks=f"S3 twice to write `{PROBE}` of the deployment bucket, with If-None-Match and without",
        good="with it: accepted, or there already; without it: AccessDenied",
        mend="pulumi up --refresh --stack {foundation}",
        look=_puts,
        judge=judge_puts,
    ),
)
