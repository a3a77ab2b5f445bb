"""Who may do what with the state of the stacks and the keys that it is sealed with. Pure.

Rights come from identity policies. What stands here takes them away again, so that a role of CI with too much of them
still reaches nothing of an administrator's.
"""

from __future__ import annotations

from typing import Final

from components.arns import Arns
from components.naming import FOUNDATION_STATE
from components.policies.bucket import tls_only
from components.policies.documents import (
    Condition,
    Document,
    Statement,
    allow,
    deny,
    document,
    for_account,
    for_everyone,
)

_KINDS: Final = ("role", "user")
# Not by NotAction: in a key's policy a statement without Action has no effect.
_ALL_BUT_DECRYPT: Final = [
    "kms:CancelKeyDeletion",
    "kms:Create*",
    "kms:Delete*",
    "kms:DeriveSharedSecret",
    "kms:Disable*",
    "kms:En*",
    "kms:Generate*",
    "kms:Import*",
    "kms:Put*",
    "kms:ReEncrypt*",
    "kms:Replicate*",
    "kms:Retire*",
    "kms:Revoke*",
    "kms:Rotate*",
    "kms:ScheduleKeyDeletion",
    "kms:Sign",
    "kms:Tag*",
    "kms:Untag*",
    "kms:Update*",
    "kms:Verify*",
]


def state_bucket(arns: Arns, administrator: str) -> Document:
    """Policy of the bucket that holds the state of both stacks.

    `administrator` is the ARN pattern of the one role that reads and writes the foundation's, and that may delete old
    versions. The account's root user may as well: it could change this policy in any case.
    """
    bucket = arns.names.state_bucket
    everything = [arns.of("bucket", bucket), arns.objects(bucket)]
    nobody_else: Condition = {"ArnNotLike": {"aws:PrincipalArn": [administrator, root(arns)]}}
    return document(
        tls_only(arns, bucket),
        for_everyone(
            deny(
                "FoundationIsTheAdministrators", ["s3:*"], [arns.objects(bucket, f"{FOUNDATION_STATE}/*")], nobody_else
            )
        ),
        for_everyone(deny("HistoryIsKept", ["s3:DeleteObjectVersion"], [arns.objects(bucket)], nobody_else)),
        for_everyone(deny("OtherEnvironment", ["s3:*"], everything, _whose(arns.other))),
    )


def service_key(arns: Arns) -> Document:
    """Policy of the key for what CI deploys: its own roles only decrypt, those of the other environment nothing."""
    return document(
        _iam_decides(arns),
        for_everyone(deny("PipelineOnlyDecrypts", _ALL_BUT_DECRYPT, ["*"], _whose(arns))),
        for_everyone(deny("OtherEnvironment", ["kms:*"], ["*"], _whose(arns.other))),
    )


def foundation_key(arns: Arns) -> Document:
    """Policy of the key for the foundation: nothing for whatever the pipeline has made."""
    return document(
        _iam_decides(arns),
        for_everyone(deny("NotThePipeline", ["kms:*"], ["*"], _whose(arns))),
        for_everyone(deny("OtherEnvironment", ["kms:*"], ["*"], _whose(arns.other))),
    )


def root(arns: Arns) -> str:
    """ARN of the account's root user."""
    return f"arn:aws:iam::{arns.account_id}:root"


def _iam_decides(arns: Arns) -> Statement:
    """Without this statement nobody could ever administer the key, an administrator neither."""
    return for_account(arns.account_id, allow("IamDecides", ["kms:*"], ["*"]))


def _whose(arns: Arns) -> dict[str, dict[str, list[str]]]:
    """Everybody whose name the pipeline of one environment gives."""
    patterns = [f"arn:aws:iam::{arns.account_id}:{kind}/{arns.names.prefix}*" for kind in _KINDS]
    return {"ArnLike": {"aws:PrincipalArn": patterns}}
