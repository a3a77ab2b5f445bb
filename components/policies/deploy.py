"""What those identities may do that deploy. Derived for both environments from one source, so that they cannot drift.

They work by name prefix inside their own environment; `denials` says what no Allow can give back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from components.arns import Arns
from components.naming import SERVICE_STATE
from components.policies.denials import denials
from components.policies.documents import Document, Statement, allow, deny, document
from components.policies.reading import ask_as_user, read_releases, read_service


def deploy(arns: Arns) -> Document:
    """Everything that an `up` of the service stack needs."""
    return document(
        *_releases(arns, changing=_CHANGES),
        *_tools(arns),
        _subscriptions(),
        *_roles(arns),
        *_safety(arns, passing=[arns.names.schedule_role]),
        *denials(arns),
    )


def deploy_code(arns: Arns) -> Document:
    """Code, versions, aliases and state: no IAM, no data stores, no alarms. For releases that nobody reviews."""
    return document(*_releases(arns), *_code(arns), *_schedules(arns), *_safety(arns), *denials(arns))


def _releases(arns: Arns, *, changing: Sequence[str] = ()) -> list[Statement]:
    """State, packages, ledger, and what judging and refreshing read."""
    names = arns.names
    state, packages = names.state_bucket, names.bucket
    # Preprod offers builds, and whoever deploys one does not mark it as tested. Production offers nothing to itself.
    offering = ["promotions"] if names.environment == "preprod" else []
    marked = arns.objects(packages, "promotions/*/validation.*")
    # Both topics of prod: its canary sends what is live one message. The other one is what on-call is told by.
    topics = names.on_call_topic if names.environment == "preprod" else f"{names.prefix}*"
    return [
        allow(
            "ListState",
            ["s3:ListBucket"],
            [arns.of("bucket", state)],
            {"StringLike": {"s3:prefix": [SERVICE_STATE, f"{SERVICE_STATE}/*"]}},
        ),
        allow(
            "State", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [arns.objects(state, f"{SERVICE_STATE}/*")]
        ),
        allow(
            "StateKey",
            ["kms:Decrypt"],
            [arns.of("key", "*")],
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [names.state_key_alias]}},
        ),
        *read_releases(arns),
        allow(
            "WriteReleases",
            ["s3:PutObject"],
            [arns.objects(packages, f"{folder}/*") for folder in ("packages", "ledger", *offering)],
        ),
        *(deny("Validation", ["s3:PutObject"], [marked]) for _ in offering),
        *read_service(arns, changing),
        allow("Page", ["sns:Publish"], [arns.of("topic", topics)]),
        ask_as_user(arns),
    ]


def _tools(arns: Arns) -> list[Statement]:
    """What a rollback runs with. Only who may do everything writes it: more than one role runs it."""
    if arns.names.environment == "preprod":
        return []
    return [allow("KeepTools", ["s3:PutObject"], [arns.objects(arns.names.bucket, "way-back/*")])]


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


_CHANGES: Final = (
    "lambda:*Alias",
    "lambda:*Function",
    "lambda:*FunctionUrlConfig",
    "lambda:*Permission",
    "lambda:PublishVersion",
    "lambda:TagResource",
    "lambda:UntagResource",
    "lambda:UpdateFunction*",
    # Tables are made and changed here, never deleted: that is an administrator's.
    "dynamodb:CreateTable",
    "dynamodb:UpdateTable",
    "dynamodb:UpdateContinuousBackups",
    "dynamodb:UpdateTimeToLive",
    "dynamodb:TagResource",
    "dynamodb:UntagResource",
    "sns:CreateTopic",
    "sns:DeleteTopic",
    "sns:SetTopicAttributes",
    "sns:Subscribe",
    "sns:TagResource",
    "sns:UntagResource",
    "sqs:CreateQueue",
    "sqs:DeleteQueue",
    "sqs:SetQueueAttributes",
    "sqs:TagQueue",
    "sqs:UntagQueue",
    "logs:CreateLogGroup",
    "logs:DeleteLogGroup",
    "logs:PutRetentionPolicy",
    "logs:TagResource",
    "logs:UntagResource",
    # The schedules of the failsafe, and the one that ends a bake, are among the schedules.
    "scheduler:CreateSchedule",
    "scheduler:UpdateSchedule",
    "scheduler:DeleteSchedule",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:DeleteAlarms",
    "cloudwatch:TagResource",
    "cloudwatch:UntagResource",
    "cloudwatch:PutDashboard",
    "cloudwatch:DeleteDashboards",
)
"""How an `up` changes what the service program makes, by prefix. Roles are apart."""


def _subscriptions() -> Statement:
    """Not by name, which AWS's tables know only lately; the denial of the other environment covers its topics."""
    return allow("Subscriptions", ["sns:SetSubscriptionAttributes", "sns:Unsubscribe"], ["*"])


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
                "iam:UpdateAssumeRolePolicy",
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
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
            ],
            [functions, schedule],
        ),
        allow(
            "PassToLambda",
            ["iam:PassRole"],
            [functions],
            {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        ),
    ]


def _schedules(arns: Arns) -> list[Statement]:
    """The one-time schedules of the failsafe and of the end of a bake."""
    return [
        allow(
            "SafetySchedules",
            ["scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"],
            [arns.of("schedule", arns.names.safety_schedules)],
        )
    ]


def _safety(arns: Arns, *, passing: Sequence[str] = ()) -> list[Statement]:
    """The way back without a runner: schedules, run by a role that can do little but move aliases.

    Where releases bake, also one rule by which alarms start the foundation's state machine, and no other target.
    `passing`: the names of further roles that are passed on to the scheduler.
    """
    names = arns.names
    by_scheduler = allow(
        "PassToScheduler",
        ["iam:PassRole"],
        [arns.of("role", role) for role in (names.safety_role, *passing)],
        {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
    )
    if names.environment == "preprod":
        return [by_scheduler]
    rule = arns.of("rule", names.bake_rule)
    return [
        by_scheduler,
        allow("Bake", ["events:PutRule", "events:DeleteRule", "events:RemoveTargets"], [rule]),
        allow(
            "BakeTarget",
            ["events:PutTargets"],
            [rule],
            {"ForAllValues:ArnEquals": {"events:TargetArn": arns.of("state machine", names.way_back)}},
        ),
        allow(
            "PassToEvents",
            ["iam:PassRole"],
            [arns.of("role", names.way_back_role)],
            {"StringEquals": {"iam:PassedToService": "events.amazonaws.com"}},
        ),
    ]
