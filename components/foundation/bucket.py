"""A bucket for what must neither leak nor get lost: packages and the ledger, the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.policies.documents import Document, to_json

_UNFINISHED_UPLOAD_DAYS: Final = 1


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """A bucket's physical name, tags and policy, whether Pulumi refuses to delete it, and how long things are kept.

    Replaced and deleted versions are kept for `noncurrent_days`. Current objects expire after `expire_days`; None =
    never.
    """

    bucket: str
    tags: Mapping[str, str]
    policy: Document
    protect: bool
    noncurrent_days: int
    expire_days: int | None = None


class PrivateBucket(pulumi.ComponentResource):
    """Private, versioned, encrypted, with a policy of its own and without access lists."""

    bucket: aws.s3.Bucket
    policy: aws.s3.BucketPolicy
    """What lets others in; wait for it before anybody is sent here."""

    def __init__(self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:PrivateBucket", name, None, opts)
        self.bucket = aws.s3.Bucket(
            name,
            bucket=args.bucket,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=self.bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=self.bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=pulumi.ResourceOptions(parent=self),
        )
        public_access = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=self.bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            # S3 answers 409 when these settings of one bucket are changed at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access]),
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=self.bucket.bucket,
            rules=_lifecycle(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        self.policy = aws.s3.BucketPolicy(
            name,
            bucket=self.bucket.bucket,
            policy=to_json(args.policy),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access]),
        )
        self.register_outputs({"bucket": self.bucket.bucket})


def _lifecycle(args: PrivateBucketArgs) -> list[Any]:
    rule = {
        "id": "replaced-versions-and-unfinished-uploads",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrent_version_expiration": {"noncurrent_days": args.noncurrent_days},
        "abort_incomplete_multipart_upload": {"days_after_initiation": _UNFINISHED_UPLOAD_DAYS},
    }
    return [rule if args.expire_days is None else {**rule, "expiration": {"days": args.expire_days}}]
