"""Announcements of new items, as SNS hands them to the function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PROBE_PREFIX = "probe#"


class MalformedRecordError(Exception):
    """A record that is no announcement of an item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """One new item."""

    source_id: str
    timestamp: str
    tag: str
    title: str
    text: str
    probe: bool
    """Whether a canary made it up: then the item expires in an hour."""
    stored: bool
    """Whether the item must exist. A probe's need not, unless it says so."""


def announcements(event: Any) -> list[Announcement]:
    """The announcements in an SNS event. Fields that we do not know are left alone: a newer ingestion may send more.

    Raises:
        MalformedRecordError: a record lacks a field or is no JSON; the message names what is wrong.
    """
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        raise MalformedRecordError("the event holds no Records")
    return [_announcement(record) for record in records]


def _announcement(record: Any) -> Announcement:
    try:
        message = json.loads(record["Sns"]["Message"])
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedRecordError(f"no JSON in Sns.Message ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise MalformedRecordError("the message is not a JSON object")
    fields = {name: message.get(name) for name in ("source_id", "timestamp", "tag", "title", "text")}
    wrong = [name for name, value in fields.items() if not isinstance(value, str) or (not value and name != "text")]
    if wrong:
        raise MalformedRecordError(f"missing or not a text: {', '.join(wrong)}")
    # JSON can hold half a surrogate pair (an emoji cut in two), UTF-8 and so DynamoDB cannot. In a text it does not
    # matter; a key that holds one is the key of no item.
    fields = {name: value.encode(errors="replace").decode() for name, value in fields.items()}
    if (fields["source_id"], fields["timestamp"]) != (message["source_id"], message["timestamp"]):
        raise MalformedRecordError("the key is not Unicode")
    probe = message.get("probe", False)
    # Mark and id go together, or a made-up message could write over a real item.
    if not isinstance(probe, bool) or probe != fields["source_id"].startswith(PROBE_PREFIX):
        raise MalformedRecordError(f"`probe` is {probe!r}, which does not fit the source_id")
    stored = message.get("stored", not probe)
    if not isinstance(stored, bool) or not (stored or probe):
        raise MalformedRecordError(f"`stored` is {stored!r}, and only a probe's item need not be")
    return Announcement(**fields, probe=probe, stored=stored)
