"""Entry of the analysis function: scores each announced item and writes the result to the table, once.

A failure raises, so that Errors, retries and the dead-letter queue see it.
"""

from __future__ import annotations

import functools
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from logs import log
from messages import Announcement, MalformedRecordError, announcements
from sentiment import score

_AWS = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
_PROBE_KEPT = timedelta(hours=1)


class ItemMissingError(Exception):
    """An announced item is not in the table (or in a status that is not ours).

    It is never made again: that would bring a removed item back as a stump. And it is never passed over in silence.
    Ingestion stores an item before it announces it, items live for 30 days and announcements for hours, so in normal
    life this does not happen: items were lost or removed by hand, or two releases disagree about a key or a table.
    On-call wants to know; so Lambda tries twice more and then leaves the announcement in the dead-letter queue.
    """


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Analyze every item that the event announces and return what was found.

    An event that failed may come again as a whole: what it wrote is then found analyzed.

    Raises:
        MalformedRecordError: a record is no announcement; nothing of the event was written. (SNS sends one record per
            event. Whoever sends several has them all or none looked at, so that the mistake is found at once.)
        ItemMissingError: an announced item does not exist; the other items of the event are analyzed.
    """
    try:
        found = _analyze_all(announcements(event))
    except (MalformedRecordError, ItemMissingError) as error:
        log("error", "analysis_failed", error=type(error).__name__, reason=str(error))
        raise
    return {
        "analyzed": sum(not item["already"] for item in found),
        "already_analyzed": sum(item["already"] for item in found),
        "items": found,
        "release": os.environ["RELEASE_SHA"],
        "digest": os.environ["RELEASE_DIGEST"],
        "version": context.function_version,
    }


def _analyze_all(items: list[Announcement]) -> list[dict[str, Any]]:
    found, missing = [], []
    for item in items:
        try:
            found.append(_analyze(item))
        except ItemMissingError as error:
            missing.append(str(error))
    if missing:
        raise ItemMissingError("; ".join(missing))
    return found


def _analyze(item: Announcement) -> dict[str, Any]:
    sentiment, value = score(f"{item.title}. {item.text}" if item.text else item.title)
    written, title = _write_once(item, sentiment, value)
    log("info", "analyzed", source_id=item.source_id, sentiment=sentiment, already=not written, probe=item.probe)
    return {
        "source_id": item.source_id,
        "title": title,
        "sentiment": sentiment,
        "score": float(value),
        "already": not written,
    }


def _write_once(item: Announcement, sentiment: str, value: Decimal) -> tuple[bool, Any]:
    """Move the item from pending to analyzed, once: SNS delivers at least once.

    Returns whether this call did it, and the title that the table holds.
    """
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "status": "analyzed",
        "sentiment": sentiment,
        "score": value,
        "analyzed_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    condition = "#status = :pending"
    if not item.stored:
        condition = f"attribute_not_exists(source_id) OR {condition}"
        expires_at = int((now + _PROBE_KEPT).timestamp())
        fields |= {"probe": True, "tag": item.tag, "title": item.title, "text": item.text, "expires_at": expires_at}
    try:
        answer = _table().update_item(
            Key={"source_id": item.source_id, "timestamp": item.timestamp},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in fields),
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in fields},
            ExpressionAttributeValues={f":{name}": value for name, value in fields.items()} | {":pending": "pending"},
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        # boto3's Table leaves the item inside an error as DynamoDB wrote it.
        there: Any = error.response.get("Item", {})
        if there.get("status") == {"S": "analyzed"}:
            return False, there.get("title", {}).get("S")
        raise ItemMissingError(f"{item.source_id} at {item.timestamp} is not a pending item") from error
    return True, answer["Attributes"].get("title")


@functools.cache
def _table() -> Any:
    return boto3.resource("dynamodb", config=_AWS).Table(os.environ["ITEMS_TABLE"])
