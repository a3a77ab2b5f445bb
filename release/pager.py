"""Tells the person on call. Failing to do so changes nothing about a release, but is said."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

_LONGEST_SUBJECT: Final = 100


def page(topics: Any, topic: str, subject: str, lines: list[str]) -> str:
    """Publish to the on-call topic; an empty string, or why it could not be done."""
    if not topic:
        return "no on-call topic is known yet"
    printable = "".join(letter if " " <= letter <= "~" else "?" for letter in subject)
    try:
        topics.publish(TopicArn=topic, Subject=printable[:_LONGEST_SUBJECT], Message="\n".join(lines))
    except (ClientError, BotoCoreError) as error:
        return str(error)
    return ""
