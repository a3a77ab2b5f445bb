"""The bucket in which the state of both stacks lies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from components.policies.comparison import difference
from components.policies.documents import to_json
from components.policies.state_access import state_bucket
from release.bootstrap.step import SetupStep, Site, StepState, done, to_do
from release.bootstrap.taken import MISSING, bucket_is_taken, look_at_bucket
from release.clients.aws import code_of, unless_missing
from release.errors import ReleaseError

_NOT_SET: Final = MISSING | {
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "OwnershipControlsNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
}
_HOME: Final = "us-east-1"
"""The one region that S3 does not take as a constraint."""
_CLOSED: Final = dict.fromkeys(
    ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
)
_SEALED: Final = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
_OWNED: Final = {"ObjectOwnership": "BucketOwnerEnforced"}
_EXPIRY: Final = {
    "ID": "replaced-versions-and-unfinished-uploads",
    "Filter": {"Prefix": ""},
    "Status": "Enabled",
    "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
}
"""A state that was replaced is kept for three months; the state itself and its history never expire."""


def steps(site: Site) -> list[SetupStep]:
    """The bucket, and each of its settings."""
    name, administrator = site.names.state_bucket, site.foundation.administrator_role_arn
    policy = state_bucket(site.arns, administrator)
    s3, own = site.aws("s3"), {"Bucket": name}
    made = SetupStep(
        what=f"state bucket {name}",
        wanted=f"exists, in account {site.foundation.account_id}",
        look=lambda: _look(site, name),
        do=lambda: _make(site, name),
    )
    return [
        made,
        _setting(
            "versions",
            "every replaced state is kept",
            lambda: s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled",
            lambda: s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"}),
        ),
        _setting(
            "encryption",
            "at rest, by S3",
            lambda: bool(s3.get_bucket_encryption(**own)["ServerSideEncryptionConfiguration"]["Rules"]),
            lambda: s3.put_bucket_encryption(**own, ServerSideEncryptionConfiguration={"Rules": [_SEALED]}),
        ),
        _setting(
            "public access",
            "none, whatever a policy says",
            lambda: s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == _CLOSED,
            lambda: s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=_CLOSED),
        ),
        _setting(
            "ownership",
            "all objects are the account's",
            lambda: s3.get_bucket_ownership_controls(**own)["OwnershipControls"]["Rules"] == [_OWNED],
            lambda: s3.put_bucket_ownership_controls(**own, OwnershipControls={"Rules": [_OWNED]}),
        ),
        _setting(
            "expiry",
            "replaced states after 90 days",
            lambda: any(rule.items() >= _EXPIRY.items() for rule in _rules(s3, name)),
            lambda: _expire(s3, name),
        ),
        _setting(
            "policy",
            "TLS only; the foundation's folder is the administrator's",
            lambda: not difference(policy, json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])),
            lambda: s3.put_bucket_policy(Bucket=name, Policy=to_json(policy)),
        ),
    ]


def _setting(what: str, wanted: str, is_so: Callable[[], bool], make_so: Callable[[], Any]) -> SetupStep:
    def look() -> StepState:
        try:
            return done(wanted) if is_so() else to_do("set otherwise")
        except ClientError as error:
            if code_of(error) not in _NOT_SET:
                raise
            return to_do("not set")

    return SetupStep(what=f"state bucket: {what}", wanted=wanted, look=look, do=make_so)


def _look(site: Site, name: str) -> StepState:
    answer = look_at_bucket(site, name)
    if answer is None:
        return to_do("missing")
    region = answer.get("BucketRegion", site.foundation.region)
    if region != site.foundation.region:
        raise ReleaseError(
            f"the bucket {name} lies in {region}, the stack in {site.foundation.region}",
            next_step="set aws:region of the stacks to the bucket's, or delete the bucket if it is empty",
        )
    return done(f"exists, in account {site.foundation.account_id}")


def _make(site: Site, name: str) -> None:
    region = site.foundation.region
    place = {} if region == _HOME else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        site.aws("s3").create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced", **place)
    except ClientError as error:
        if code_of(error) == "BucketAlreadyExists":
            raise bucket_is_taken(site, name) from None
        raise


def _rules(s3: Any, name: str) -> list[dict[str, Any]]:
    found = unless_missing(lambda: s3.get_bucket_lifecycle_configuration(Bucket=name), *_NOT_SET)
    return found["Rules"] if found else []


def _expire(s3: Any, name: str) -> None:
    """Add our rule; others that somebody has made stay."""
    others = [rule for rule in _rules(s3, name) if rule.get("ID") != _EXPIRY["ID"]]
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [*others, _EXPIRY]})
