"""What is denied to every identity of CI, so that no later Allow can give it back.

The other environment, its own rights, the audit trail, the alarms' voice, and the history of releases.
"""

from __future__ import annotations

from components.arns import Arns
from components.naming import SERVICE_STATE
from components.policies.documents import Statement, deny, deny_all_but_actions, deny_all_but_resources
from components.policies.reading import READ_OFFERED, offered, service_resources


def denials(arns: Arns) -> list[Statement]:
    """The statements for the identities of one environment."""
    names, other = arns.names, arns.other
    theirs = other.names
    readable = offered(arns)
    buckets = [arns.of("bucket", names.bucket), arns.of("bucket", names.state_bucket)]
    statements = [
        deny(
            "OtherEnvironment",
            ["*"],
            [
                *service_resources(other),
                other.of("secret", f"{theirs.environment}/*"),
                other.of("policy", f"{theirs.prefix}*"),
                other.of("rule", f"{theirs.prefix}*"),
            ],
        ),
        deny(
            "OtherKeys",
            ["kms:*"],
            ["*"],
            {
                "ForAnyValue:StringEquals": {
                    "kms:ResourceAliases": [
                        names.foundation_key_alias,
                        theirs.foundation_key_alias,
                        theirs.state_key_alias,
                    ]
                }
            },
        ),
        deny_all_but_resources(
            "OtherBuckets",
            ["s3:*"],
            [*buckets, arns.objects(names.bucket), arns.objects(names.state_bucket, f"{SERVICE_STATE}/*"), *readable],
        ),
        deny(
            "OwnRights",
            ["iam:*"],
            [
                *(arns.of("role", role) for role in names.ci_roles),
                arns.of("policy", names.boundary),
                arns.github_provider,
            ],
        ),
        deny_all_but_actions(
            "SafetyRoles",
            ["iam:GetRole*", "iam:PassRole"],
            [arns.of("role", names.safety_role), arns.of("role", names.way_back_role)],
        ),
        deny("WayBack", ["states:*"], ["*"]),
        deny("Boundary", ["iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy"], ["*"]),
        # Ways in that are no role: an access key of a user would outlast the run.
        deny("Users", ["iam:*User*", "iam:*Group*", "iam:*AccessKey*", "iam:*LoginProfile*", "iam:*Provider*"], ["*"]),
        deny("Trail", ["cloudtrail:Delete*", "cloudtrail:Put*", "cloudtrail:Stop*", "cloudtrail:Update*"], ["*"]),
        deny("SilentAlarms", ["cloudwatch:DisableAlarmActions", "cloudwatch:SetAlarmState"], ["*"]),
        deny("History", ["s3:DeleteObject", "s3:DeleteObjectVersion"], [arns.objects(names.bucket)]),
        deny(
            "Buckets",
            [
                "s3:DeleteBucket*",
                "s3:PutBucket*",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
                "s3:PutReplicationConfiguration",
            ],
            buckets,
        ),
    ]
    if readable:
        statements.append(deny_all_but_actions("OnlyReadPromotions", READ_OFFERED, readable))
    return statements
