"""The policy of the deployment bucket: what makes packages and the ledger append-only for everyone."""

from __future__ import annotations

from typing import Final

from components.arns import Arns
from components.policies.documents import Document, Statement, allow, deny, document, for_account, for_everyone
from components.policies.reading import READ_OFFERED

CREATE_ONLY: Final = ("packages/*", "promotions/*", "ledger/entries/*", "ledger/releases/*", "way-back/*")
"""Objects that can be made once and never be written again."""
COMPARE_AND_SWAP: Final = ("ledger/head.json", "ledger/lease.json")
"""Objects that can only be replaced by someone who read what they replace."""


def deployment_bucket(arns: Arns, administrator: str) -> Document:
    """Nothing is allowed here, only denied: rights come from identity policies, but for what another account reads.

    `administrator` is the ARN pattern of the one role that may delete. A multipart upload carries no precondition and
    is therefore denied in the create-only prefixes too: put packages in one request.
    """
    bucket = arns.names.bucket
    return document(
        *_offered_to_prod(arns),
        tls_only(arns, bucket),
        for_everyone(
            deny(
                "CreateOnly",
                ["s3:PutObject"],
                [arns.objects(bucket, pattern) for pattern in CREATE_ONLY],
                {"Null": {"s3:if-none-match": "true"}},
            )
        ),
        for_everyone(
            deny(
                "CompareAndSwap",
                ["s3:PutObject"],
                [arns.objects(bucket, key) for key in COMPARE_AND_SWAP],
                {"Null": {"s3:if-none-match": "true", "s3:if-match": "true"}},
            )
        ),
        only_deleted_by(arns, bucket, administrator),
    )


def tls_only(arns: Arns, bucket: str) -> Statement:
    """Nobody reaches a bucket or its objects by plain HTTP."""
    everything = [arns.of("bucket", bucket), arns.objects(bucket)]
    return for_everyone(deny("TlsOnly", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}}))


def only_deleted_by(arns: Arns, bucket: str, administrator: str) -> Statement:
    """Nobody but one role, an ARN pattern, deletes objects of a bucket, old versions of them included."""
    return for_everyone(
        deny(
            "OnlyTheAdministratorDeletes",
            ["s3:DeleteObject", "s3:DeleteObjectVersion"],
            [arns.objects(bucket)],
            {"ArnNotLike": {"aws:PrincipalArn": administrator}},
        )
    )


def _offered_to_prod(arns: Arns) -> list[Statement]:
    """In two accounts prod's own policies are not enough to read what preprod has validated.

    By condition and not as principals: a role that does not exist yet cannot be one.
    """
    if arns.names.environment != "preprod" or not arns.two_accounts:
        return []
    prod = arns.other
    roles = [prod.of("role", role) for role in prod.names.ci_roles]
    reading = allow(
        "OfferedToProd",
        READ_OFFERED,
        [arns.objects(arns.names.bucket, "promotions/*")],
        {"ArnEquals": {"aws:PrincipalArn": roles}},
    )
    return [for_account(prod.account_id, reading)]
