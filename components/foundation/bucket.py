"""The deployment bucket: packages and the ledger of releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.policies.bucket import deployment_bucket
from components.policies.documents import to_json
from components.tags import tags

_NONCURRENT_DAYS: Final = 90
"""How long a replaced head or lease is kept; packages and entries are never replaced."""
_UNFINISHED_UPLOAD_DAYS: Final = 1


@dataclass(frozen=True, kw_only=True)
class DeploymentBucketArgs:
    """Where the bucket is, whether Pulumi refuses to delete it, and the ARN pattern of who may delete objects."""

    arns: Arns
    protect: bool
    administrator_role_arn: str


class DeploymentBucket(pulumi.ComponentResource):
    """Private, versioned, encrypted; append-only for everyone but the administrator.

    Nothing current ever expires: a rollback needs the packages of a release that may be old.
    """

    bucket: aws.s3.Bucket

    def __init__(self, name: str, args: DeploymentBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:DeploymentBucket", name, None, opts)
        names = args.arns.names
        self.bucket = aws.s3.Bucket(
            name,
            bucket=names.bucket,
            tags=tags(names.environment, "deployments"),
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
            rules=[
                {
                    "id": "replaced-versions-and-unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": _NONCURRENT_DAYS},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": _UNFINISHED_UPLOAD_DAYS},
                }
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        aws.s3.BucketPolicy(
            name,
            bucket=self.bucket.bucket,
            policy=to_json(deployment_bucket(args.arns, args.administrator_role_arn)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access]),
        )
        self.register_outputs({"bucket": self.bucket.bucket})
