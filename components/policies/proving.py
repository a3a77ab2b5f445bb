"""What those identities may do that deploy nothing: test a release, mark it as validated, and look."""

from __future__ import annotations

from components.arns import Arns
from components.naming import SERVICE_STATE
from components.policies.denials import denials
from components.policies.documents import Document, allow, document
from components.policies.reading import LEDGER, READ_OFFERED, ask_as_user, read_ledger, read_releases, read_service


def test_release(arns: Arns) -> Document:
    """What the integration tests reach: the deployed functions, table, topic and schedules, asked as a user would."""
    names = arns.names
    table = arns.of("table", names.items_table)
    return document(
        *read_ledger(arns),
        allow("Functions", ["lambda:InvokeFunction"], [arns.of("function", f"{names.prefix}*")]),
        allow(
            "Items",
            ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
            [table, f"{table}/index/*"],
        ),
        allow("Topic", ["sns:Publish"], [arns.of("topic", names.new_items_topic)]),
        allow("Schedule", ["scheduler:GetSchedule"], [arns.of("schedule", f"{names.prefix}*")]),
        ask_as_user(arns),
        *denials(arns),
    )


def mark_validated(arns: Arns) -> Document:
    """Mark a release as validated, and say so in the ledger."""
    bucket = arns.names.bucket
    return document(
        *read_ledger(arns),
        allow("ReadManifest", READ_OFFERED, [arns.objects(bucket, "promotions/*")]),
        allow(
            "Validated",
            ["s3:PutObject"],
            [arns.objects(bucket, key) for key in ("promotions/*/validation.*", *LEDGER)],
        ),
        *denials(arns),
    )


def watch(arns: Arns) -> Document:
    """Read what is released and how it is, and tell who is on call: no secret, nothing that changes anything.

    The state of the service as well, for the plan that a reviewer approves and to find drift. Its secrets are sealed
    with a key that this role may not use.
    """
    names = arns.names
    return document(
        *read_releases(arns),
        *read_service(arns),
        allow("ReadState", ["s3:GetObject"], [arns.objects(names.state_bucket, f"{SERVICE_STATE}/*")]),
        allow("Page", ["sns:Publish"], [arns.of("topic", names.on_call_topic)]),
        *denials(arns),
    )
