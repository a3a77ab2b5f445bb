"""The policy of the bucket that holds the audit trail: CloudTrail writes, and nobody removes what it wrote."""

from __future__ import annotations

from components import naming
from components.arns import Arns
from components.policies.bucket import only_deleted_by, tls_only
from components.policies.documents import Document, allow, document, for_service


def trail_bucket(arns: Arns, administrator: str) -> Document:
    """Let CloudTrail write the logs of this one trail; reading is a matter of identity policies.

    `administrator` is the ARN pattern of the one role that may delete.
    """
    bucket = naming.trail_bucket(arns.account_id)
    # Without it a trail of any other account could be pointed at this bucket.
    this_trail = {"aws:SourceArn": arns.of("trail", naming.TRAIL)}
    return document(
        for_service(
            "cloudtrail",
            allow("LookAtTheBucket", ["s3:GetBucketAcl"], [arns.of("bucket", bucket)], {"StringEquals": this_trail}),
        ),
        for_service(
            "cloudtrail",
            allow(
                "WriteLogs",
                ["s3:PutObject"],
                [arns.objects(bucket, f"AWSLogs/{arns.account_id}/*")],
                {"StringEquals": {**this_trail, "s3:x-amz-acl": "bucket-owner-full-control"}},
            ),
        ),
        tls_only(arns, bucket),
        only_deleted_by(arns, bucket, administrator),
    )
