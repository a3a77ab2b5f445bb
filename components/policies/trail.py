"""The policy of the bucket that holds the audit trail: CloudTrail writes, and nobody removes what it wrote."""

from __future__ import annotations

from components import naming
from components.arns import Arns
from components.policies.documents import Document, allow, deny, document, for_everyone, for_service


def trail_bucket(arns: Arns, administrator: str) -> Document:
    """Let CloudTrail write the logs of this one trail; reading is a matter of identity policies.

    `administrator` is the ARN pattern of the one role that may delete.
    """
    bucket = naming.trail_bucket(arns.account_id)
    everything = [arns.of("bucket", bucket), arns.objects(bucket)]
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
        for_everyone(deny("TlsOnly", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}})),
        for_everyone(
            deny(
                "OnlyTheAdministratorDeletes",
                ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                [arns.objects(bucket)],
                {"ArnNotLike": {"aws:PrincipalArn": administrator}},
            )
        ),
    )
