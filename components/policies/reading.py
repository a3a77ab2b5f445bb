"""Statements that several identities share: what may be read of releases and of the running service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from components.arns import Arns
from components.policies.documents import Statement, allow

LEDGER: Final = ("ledger/entries/*", "ledger/head.json")
READ_OFFERED: Final = ["s3:GetObject", "s3:GetObjectVersion"]
_SERVICE_KINDS: Final = ("function", "table", "topic", "queue", "alarm", "schedule", "dashboard", "role")


def service_resources(arns: Arns) -> list[str]:
    """ARN patterns of everything that the service program makes in one environment, by the prefix of its name."""
    prefix = arns.names.prefix
    return [
        *(arns.of(kind, f"{prefix}*") for kind in _SERVICE_KINDS),
        arns.of("log group", f"/aws/lambda/{prefix}*"),
    ]


def offered(arns: Arns) -> list[str]:
    """The one exception across environments: prod reads the builds that preprod has validated."""
    return [arns.objects(arns.other.names.bucket, "promotions/*")] if arns.names.environment == "prod" else []


def read_ledger(arns: Arns) -> list[Statement]:
    """Read what is released. Who may not list a bucket is told 403 instead of 404 for what is not there."""
    bucket = arns.names.bucket
    return [
        _list_releases(arns),
        allow("ReadLedger", ["s3:GetObject"], [arns.objects(bucket, key) for key in LEDGER]),
    ]


def read_releases(arns: Arns) -> list[Statement]:
    """Packages, records and ledger; in prod also what preprod offers."""
    return [
        _list_releases(arns),
        allow("ReadReleases", READ_OFFERED, [arns.objects(arns.names.bucket), *offered(arns)]),
    ]


def _list_releases(arns: Arns) -> Statement:
    return allow("ListReleases", ["s3:ListBucket"], [arns.of("bucket", arns.names.bucket)])


def read_service(arns: Arns, changing: Sequence[str] = ()) -> list[Statement]:
    """What judging and refreshing read.

    `changing`: what may be changed of the same resources, in the same statement, because the size of a whole policy is
    limited: an action of one service means nothing on a resource of another.
    """
    return [
        allow(
            "Service" if changing else "ReadService",
            [
                *changing,
                "lambda:Get*",
                "lambda:List*",
                "dynamodb:Describe*",
                "dynamodb:ListTagsOfResource",
                "sns:Get*",
                "sns:List*",
                "sqs:Get*",
                "sqs:ListQueueTags",
                "logs:ListTagsForResource",
                "scheduler:GetSchedule",
                "cloudwatch:GetDashboard",
                "cloudwatch:ListTagsForResource",
                "iam:GetRole*",
                "iam:ListRole*",
                "iam:ListAttachedRolePolicies",
            ],
            service_resources(arns),
        ),
        # These actions know no resources.
        allow(
            "Judge",
            [
                "cloudwatch:DescribeAlarms",
                "cloudwatch:GetMetricData",
                "lambda:GetAccountSettings",
                "logs:DescribeLogGroups",
                "sns:GetSubscriptionAttributes",
            ],
            ["*"],
        ),
    ]


def ask_as_user(arns: Arns) -> Statement:
    """The judge and the tests ask as a user would: with the key, and with a wrong one."""
    return allow("AskAsUser", ["secretsmanager:GetSecretValue"], [arns.secret(arns.names.dashboard_key_secret)])
