"""What CI may do. Derived for both environments from one source, so that they cannot drift apart.

A deploy role works by name prefix inside its own environment; explicit denials say what no later Allow can give back:
the other environment, its own rights, the audit trail, the alarms' voice, and the history of releases.
"""

from __future__ import annotations

from components.arns import Arns
from components.policies.documents import (
    Document,
    Statement,
    allow,
    deny,
    deny_all_but_actions,
    deny_all_but_resources,
    document,
)

STATE_PREFIX = "service"
"""Folder of the state bucket that holds the service stack; the foundation's is closed to every deploy role."""
LEDGER = ("ledger/entries/*", "ledger/head.json")
READ_PROMOTION = ["s3:GetObject", "s3:GetObjectVersion"]


def deploy(arns: Arns) -> Document:
    """Everything that an `up` of the service stack needs."""
    return document(
        *_releases(arns), *_functions(arns), *_resources(arns), *_roles(arns), *_safety(arns), *_denials(arns)
    )


def deploy_code(arns: Arns) -> Document:
    """Code, versions, aliases and state: no IAM, no data stores, no alarms. For releases that nobody reviews."""
    return document(*_releases(arns), *_code(arns), *_safety(arns), *_denials(arns))


def test(arns: Arns) -> Document:
    """What the integration tests reach: the deployed functions, table and topic, asked as a user would."""
    names = arns.names
    return document(
        *_read_ledger(arns),
        allow("Functions", ["lambda:InvokeFunction"], [arns.of("function", f"{names.prefix}*")]),
        allow(
            "Items",
            ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
            [arns.of("table", names.items_table), f"{arns.of('table', names.items_table)}/index/*"],
        ),
        allow("Topic", ["sns:Publish"], [arns.of("topic", names.new_items_topic)]),
        _ask_as_user(arns),
        *_denials(arns),
    )


def validate(arns: Arns) -> Document:
    """Mark a release as validated, and say so in the ledger."""
    bucket = arns.names.bucket
    return document(
        *_read_ledger(arns),
        allow("ReadManifest", READ_PROMOTION, [arns.objects(bucket, "promotions/*")]),
        allow(
            "Validated",
            ["s3:PutObject"],
            [arns.objects(bucket, key) for key in ("promotions/*/validation.json", *LEDGER)],
        ),
        *_denials(arns),
    )


def watch(arns: Arns) -> Document:
    """Read what is released and how it is: no secret, no state, nothing that changes anything."""
    return document(*_read_releases(arns), *_read_service(arns), *_denials(arns))


def _releases(arns: Arns) -> list[Statement]:
    """State, packages, ledger, and what judging and refreshing read."""
    names = arns.names
    state, packages = names.state_bucket, names.bucket
    return [
        allow(
            "ListState",
            ["s3:ListBucket"],
            [arns.of("bucket", state)],
            {"StringLike": {"s3:prefix": [STATE_PREFIX, f"{STATE_PREFIX}/*"]}},
        ),
        allow("State", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [arns.objects(state, f"{STATE_PREFIX}/*")]),
        allow(
            "StateKey",
            ["kms:Decrypt"],
            [arns.of("key", "*")],
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [names.state_key_alias]}},
        ),
        *_read_releases(arns),
        allow(
            "WriteReleases",
            ["s3:PutObject"],
            [arns.objects(packages, f"{folder}/*") for folder in ("packages", "promotions", "ledger")],
        ),
        *_read_service(arns),
        allow("Page", ["sns:Publish"], [arns.of("topic", names.on_call_topic)]),
        _ask_as_user(arns),
    ]


def _ask_as_user(arns: Arns) -> Statement:
    """The judge and the tests ask as a user would: with the key, and with a wrong one."""
    return allow("AskAsUser", ["secretsmanager:GetSecretValue"], [arns.secret(arns.names.dashboard_key_secret)])


def _read_ledger(arns: Arns) -> list[Statement]:
    bucket = arns.names.bucket
    return [allow("ReadLedger", ["s3:GetObject"], [arns.objects(bucket, key) for key in LEDGER])]


def _read_releases(arns: Arns) -> list[Statement]:
    """Packages, records and ledger; for prod also what preprod offers, the one exception across environments."""
    bucket = arns.names.bucket
    offered = [arns.objects(arns.other.names.bucket, "promotions/*")] if arns.names.environment == "prod" else []
    return [
        allow("ListReleases", ["s3:ListBucket"], [arns.of("bucket", bucket)]),
        allow("ReadReleases", READ_PROMOTION, [arns.objects(bucket), *offered]),
    ]


def _read_service(arns: Arns) -> list[Statement]:
    """What judging and refreshing read."""
    own = arns.names.prefix
    return [
        allow(
            "ReadService",
            [
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
                "cloudwatch:ListTagsForResource",
                "iam:GetRole*",
                "iam:ListRole*",
                "iam:ListAttachedRolePolicies",
            ],
            [
                arns.of("function", f"{own}*"),
                arns.of("table", f"{own}*"),
                arns.of("topic", f"{own}*"),
                arns.of("queue", f"{own}*"),
                arns.of("log group", f"/aws/lambda/{own}*"),
                arns.of("schedule", f"{own}*"),
                arns.of("alarm", f"{own}*"),
                arns.of("role", f"{own}*"),
            ],
        ),
        # These actions know no resources.
        allow(
            "Judge",
            [
                "cloudwatch:DescribeAlarms",
                "cloudwatch:GetMetricData",
                "logs:DescribeLogGroups",
                "sns:GetSubscriptionAttributes",
            ],
            ["*"],
        ),
    ]


def _code(arns: Arns) -> list[Statement]:
    return [
        allow(
            "Code",
            [
                "lambda:InvokeFunction",
                "lambda:PublishVersion",
                "lambda:UpdateAlias",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
            ],
            [arns.of("function", f"{arns.names.prefix}*")],
        ),
        # Without a qualifier this action deletes the function: the second colon leaves single versions only.
        allow("OldVersions", ["lambda:DeleteFunction"], [arns.of("function", f"{arns.names.prefix}*:*")]),
    ]


def _functions(arns: Arns) -> list[Statement]:
    return [
        allow(
            "Functions",
            [
                "lambda:*Alias",
                "lambda:*Function",
                "lambda:*FunctionUrlConfig",
                "lambda:*Permission",
                "lambda:PublishVersion",
                "lambda:TagResource",
                "lambda:UntagResource",
                "lambda:UpdateFunction*",
            ],
            [arns.of("function", f"{arns.names.prefix}*")],
        )
    ]


def _resources(arns: Arns) -> list[Statement]:
    """Tables are made and changed here, never deleted: that is an administrator's."""
    own = arns.names.prefix
    return [
        allow(
            "Items",
            [
                "dynamodb:CreateTable",
                "dynamodb:UpdateTable",
                "dynamodb:UpdateContinuousBackups",
                "dynamodb:UpdateTimeToLive",
                "dynamodb:TagResource",
                "dynamodb:UntagResource",
            ],
            [arns.of("table", f"{own}*")],
        ),
        allow(
            "Topics",
            [
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:SetTopicAttributes",
                "sns:Subscribe",
                "sns:TagResource",
                "sns:UntagResource",
            ],
            [arns.of("topic", f"{own}*")],
        ),
        # These two know no resources; the denial of the other environment's topics covers its subscriptions.
        allow("Subscriptions", ["sns:SetSubscriptionAttributes", "sns:Unsubscribe"], ["*"]),
        allow(
            "Queues",
            ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"],
            [arns.of("queue", f"{own}*")],
        ),
        allow(
            "LogGroups",
            [
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            [arns.of("log group", f"/aws/lambda/{own}*")],
        ),
        allow(
            "Schedules",
            ["scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"],
            [arns.of("schedule", f"{own}*")],
        ),
        allow(
            "Alarms",
            [
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:DeleteAlarms",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            [arns.of("alarm", f"{own}*")],
        ),
    ]


def _roles(arns: Arns) -> list[Statement]:
    """Execution roles: only inside the boundary, and passed on only to the service that they are for."""
    names = arns.names
    functions, schedule = arns.of("role", f"{names.prefix}*-exec"), arns.of("role", names.schedule_role)
    return [
        allow(
            "RolesInsideTheBoundary",
            [
                "iam:CreateRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
                "iam:DeleteRolePolicy",
            ],
            [functions, schedule],
            {"StringEquals": {"iam:PermissionsBoundary": arns.of("policy", names.boundary)}},
        ),
        allow(
            "Roles",
            [
                "iam:DeleteRole",
                "iam:ListInstanceProfilesForRole",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
            ],
            [functions, schedule],
        ),
        allow(
            "PassToLambda",
            ["iam:PassRole"],
            [functions],
            {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        ),
        allow(
            "PassToScheduler",
            ["iam:PassRole"],
            [schedule],
            {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
        ),
    ]


def _safety(arns: Arns) -> list[Statement]:
    """The way back without a runner: one-time schedules, run by a role that can do nothing but move aliases."""
    names = arns.names
    return [
        allow(
            "SafetySchedules",
            ["scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"],
            [arns.of("schedule", names.safety_schedules)],
        ),
        allow(
            "PassSafetyToScheduler",
            ["iam:PassRole"],
            [arns.of("role", names.safety_role)],
            {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
        ),
    ]


def _denials(arns: Arns) -> list[Statement]:
    names, other = arns.names, arns.other
    theirs = other.names.prefix
    promotions = other.objects(other.names.bucket, "promotions/*")
    readable = [promotions] if names.environment == "prod" else []
    buckets = [arns.of("bucket", names.bucket), arns.of("bucket", names.state_bucket)]
    statements = [
        deny(
            "OtherEnvironment",
            ["*"],
            [
                other.of("function", f"{theirs}*"),
                other.of("table", f"{theirs}*"),
                other.of("topic", f"{theirs}*"),
                other.of("queue", f"{theirs}*"),
                other.of("log group", f"/aws/lambda/{theirs}*"),
                other.of("alarm", f"{theirs}*"),
                other.of("schedule", f"{theirs}*"),
                other.of("secret", f"{other.names.environment}/*"),
                other.of("role", f"{theirs}*"),
                other.of("policy", f"{theirs}*"),
            ],
        ),
        deny(
            "OtherKeys",
            ["kms:*"],
            ["*"],
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [other.names.state_key_alias]}},
        ),
        deny_all_but_resources(
            "OtherBuckets",
            ["s3:*"],
            [*buckets, arns.objects(names.bucket), arns.objects(names.state_bucket, f"{STATE_PREFIX}/*"), *readable],
        ),
        deny(
            "OwnRights",
            ["iam:*"],
            [arns.of("role", f"{names.deploy_role}*"), arns.of("policy", names.boundary), arns.github_provider],
        ),
        deny_all_but_actions("SafetyRole", ["iam:GetRole*", "iam:PassRole"], [arns.of("role", names.safety_role)]),
        deny("Boundary", ["iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy"], ["*"]),
        deny("Trail", ["cloudtrail:Delete*", "cloudtrail:Put*", "cloudtrail:Stop*", "cloudtrail:Update*"], ["*"]),
        deny("SilentAlarms", ["cloudwatch:DisableAlarmActions", "cloudwatch:SetAlarmState"], ["*"]),
        deny(
            "History",
            ["s3:DeleteObject", "s3:DeleteObjectVersion"],
            [arns.objects(names.bucket)],
        ),
        deny(
            "Buckets",
            ["s3:DeleteBucket*", "s3:PutBucket*", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"],
            buckets,
        ),
    ]
    if readable:
        statements.append(deny_all_but_actions("OnlyReadPromotions", READ_PROMOTION, readable))
    return statements
