"""The audit trail: who did what in the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components import naming
from components.foundation.bucket import PrivateBucket, PrivateBucketArgs
from components.policies.trail import trail_bucket
from components.settings import Settings
from components.tags import tags

_KEPT_DAYS: Final = 400
"""A year of logs, and a month to notice that one needs them."""
_NONCURRENT_DAYS: Final = 90
"""How long a log that somebody deleted or replaced can be brought back."""


@dataclass(frozen=True, kw_only=True)
class AuditTrailArgs:
    """Whose account."""

    settings: Settings


class AuditTrail(pulumi.ComponentResource):
    """One trail of all regions with signed digests, in a bucket from which nobody but the administrator deletes."""

    def __init__(self, name: str, args: AuditTrailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:shared:AuditTrail", name, None, opts)
        settings = args.settings
        logs = PrivateBucket(
            name,
            PrivateBucketArgs(
                bucket=naming.trail_bucket(settings.account_id),
                tags=tags(settings.environment, "trail"),
                policy=trail_bucket(settings.arns, settings.administrator_role_arn),
                protect=True,
                noncurrent_days=_NONCURRENT_DAYS,
                expire_days=_KEPT_DAYS,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        trail = aws.cloudtrail.Trail(
            name,
            name=naming.TRAIL,
            s3_bucket_name=logs.bucket.bucket,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            enable_logging=True,
            event_selectors=_events(settings),
            tags=tags(settings.environment, "trail"),
            # CloudTrail tries the bucket before it makes a trail.
            opts=pulumi.ResourceOptions(parent=self, protect=True, depends_on=[logs.policy]),
        )
        self.register_outputs({"trail": trail.arn})


def _events(settings: Settings) -> list[Any]:
    """All management events, whose first copy is free, and writes to the deployment buckets (0.10 USD per 100,000).

    The second makes a release traceable from commit to function: packages and ledger entries are S3 objects.
    """
    arns = settings.arns
    here = [arns] if arns.two_accounts else [arns, arns.other]
    return [
        {"read_write_type": "All", "include_management_events": True},
        {
            "read_write_type": "WriteOnly",
            "include_management_events": False,
            "data_resources": [
                {"type": "AWS::S3::Object", "values": [one.objects(one.names.bucket, "") for one in here]}
            ],
        },
    ]
