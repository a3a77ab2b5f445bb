"""The on-call topic: it always exists, and mails who subscribed to it."""

from __future__ import annotations

from typing import Final

from release.context import Context
from release.ledger.lifecycle import LedgerState
from release.oncall.message import Page
from release.text import ascii_line

LONGEST_SUBJECT: Final = 100
"""Characters of printable ASCII that SNS takes as a subject."""


def publish(context: Context, view: LedgerState, told: Page) -> None:
    """Publish a page to the topic that the ledger knows, or to the one that the names tell."""
    context.aws.topics.publish(
        TopicArn=_topic(context, view),
        # Printable ASCII only, or SNS refuses the whole page.
        Subject=ascii_line(told.subject, LONGEST_SUBJECT) or f"{context.stack}: look at the release",
        Message=told.message(),
    )


def _topic(context: Context, view: LedgerState) -> str:
    for known in (view.confirmed, view.served):
        if known is not None and known.on_call_topic:
            return known.on_call_topic
    region, account = context.aws.topics.meta.region_name, context.aws.account()
    return f"arn:aws:sns:{region}:{account}:{context.names.on_call_topic}"
