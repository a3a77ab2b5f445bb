"""Policies of topics and the dead-letter queue."""

from __future__ import annotations

from components.arns import Arns
from components.policies.documents import Document, allow, deny, document, for_everyone, for_service

_PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}


def on_call_topic(arns: Arns) -> Document:
    """Alarms and budgets of this account may publish."""
    topic = [arns.of("topic", arns.names.on_call_topic)]
    own_account = {"StringEquals": {"aws:SourceAccount": arns.account_id}}
    return document(
        for_service("cloudwatch", allow("Alarms", ["sns:Publish"], topic, own_account)),
        for_service("budgets", allow("Budgets", ["sns:Publish"], topic, own_account)),
        for_everyone(deny("TlsOnly", ["sns:Publish"], topic, _PLAIN_HTTP)),
    )


def new_items_topic(arns: Arns) -> Document:
    """Publishers are given their right by their own role."""
    topic = [arns.of("topic", arns.names.new_items_topic)]
    return document(for_everyone(deny("TlsOnly", ["sns:Publish"], topic, _PLAIN_HTTP)))


def dead_letters_queue(arns: Arns) -> Document:
    """The topic of new items may leave what it could not deliver."""
    queue = [arns.of("queue", arns.names.dead_letters_queue)]
    from_topic = {"ArnEquals": {"aws:SourceArn": arns.of("topic", arns.names.new_items_topic)}}
    return document(
        for_service("sns", allow("UndeliveredItems", ["sqs:SendMessage"], queue, from_topic)),
        for_everyone(deny("TlsOnly", ["sqs:*"], queue, _PLAIN_HTTP)),
    )
