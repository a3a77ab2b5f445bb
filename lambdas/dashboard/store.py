"""Reads of the items table. Whatever a canary made up (probe mark, probe id) is left out."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby, islice
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config
from cursor import Position

SENTIMENTS = ("positive", "neutral", "negative")
PROBE_PREFIX = "probe#"
DAYS = 14
"""Days that the counts by day look back, today included."""
_COUNTED_AT_MOST = 5000
"""Items of one sentiment that a metrics answer counts, newest first: bounds its time and its cost."""
_LOOKED_AT_MOST = 2000
"""Items of one index that a page of items looks at: bounds its time and its cost when few of them are wanted."""
_PAGE = 500
_SHOWN = ("source_id", "timestamp", "status", "tag", "title", "url", "sentiment", "score", "analyzed_at")
_COUNTED = ("source_id", "timestamp", "tag")

# Short limits: a health answer that takes long is a wrong answer.
_AWS = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2})

Item = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Items in their order, and the position after which the next page begins; None: there are no more."""

    items: list[Item]
    end: Position | None


def read_one() -> None:
    """One cheap read (an item that need not exist); raises what the table's service answers."""
    _table().get_item(Key={"source_id": "health", "timestamp": "-"}, ProjectionExpression="source_id")


def metrics(today: date) -> dict[str, Any]:
    """Counts by sentiment, by tag and by day (UTC, oldest first), and of the items that wait for analysis.

    `truncated` tells that some count stopped at its bound, so that a number is "at least".
    """
    by_sentiment = dict.fromkeys(SENTIMENTS, 0)
    by_tag: Counter[str] = Counter()
    days = [(today - timedelta(days=back)).isoformat() for back in reversed(range(DAYS))]
    by_day = {day: dict.fromkeys(SENTIMENTS, 0) for day in days}
    truncated = False
    for sentiment in SENTIMENTS:
        found = _counted("by_sentiment", "sentiment", sentiment)
        truncated |= len(found) > _COUNTED_AT_MOST
        for item in found[:_COUNTED_AT_MOST]:
            by_sentiment[sentiment] += 1
            by_tag[item.get("tag", "")] += 1
            day = item["timestamp"][:10]
            if day in by_day:
                by_day[day][sentiment] += 1
    pending = len(_counted("by_status", "status", "pending"))
    return {
        "total": sum(by_sentiment.values()),
        "by_sentiment": by_sentiment,
        "by_tag": dict(sorted(by_tag.items())),
        "by_day": by_day,
        "pending": min(pending, _COUNTED_AT_MOST),
        "truncated": truncated or pending > _COUNTED_AT_MOST,
    }


def items(*, tag: str = "", sentiment: str = "", limit: int, after: Position | None = None) -> Page:
    """At most `limit` items of a tag or a sentiment or both, newest first, those of the same second by id.

    A page may hold fewer, even none, where few of many items are wanted: only an `end` of None is the end.

    Whoever walks from page to page, each beginning after the `end` of the one before, gets every item that was there
    all the time exactly once, since an item's place never changes. That holds for items that become analyzed in
    between: each comes once, as it was when its page was asked for. With a sentiment, the items are those that had it
    all the time; one that gets it in between comes once, or not at all if the walk is past its place. What is stored in
    between comes if its place lies ahead. (Indexes follow the table within about a second: as long may a change go
    unseen.)
    """
    if tag:
        questions = [("by_tag", "tag", tag)]
    elif sentiment:
        questions = [("by_sentiment", "sentiment", sentiment)]
    else:
        # In this order: an item that becomes analyzed between the two reads is found twice and never missed.
        questions = [("by_status", "status", "pending"), ("by_status", "status", "analyzed")]
    found: dict[Position, Item] = {}
    whole_from = ""
    for question in questions:
        stretch, reached = _stretch(question, sentiment, limit, after)
        found |= stretch
        whole_from = max(whole_from, reached)
    # One read may have gone further back than the other: only down to `whole_from` is everything there.
    order = sorted((position for position in found if position.timestamp >= whole_from), reverse=True)
    end = None
    if len(order) > limit:
        end = order[limit - 1]
    elif whole_from:
        end = Position(whole_from, "")
    return Page(items=[_shown(found[position]) for position in order[:limit]], end=end)


def _stretch(
    question: tuple[str, str, str], sentiment: str, limit: int, after: Position | None
) -> tuple[dict[Position, Item], str]:
    """More than `limit` wanted items after a position if there are so many, and the time down to which all are there.

    That time is empty when it is all of them. An index has no order within a second, so seconds are read whole.
    """
    found: dict[Position, Item] = {}
    looked_at = 0
    newest = _newest(*question, fields=_SHOWN, at_first=limit + 20, after=after)
    for second, group in groupby(newest, key=lambda item: item["timestamp"]):
        for item in group:
            looked_at += 1
            position = Position(item["timestamp"], item["source_id"])
            if _is_real(item) and sentiment in ("", item.get("sentiment")) and (after is None or position < after):
                found[position] = item
        if len(found) > limit or looked_at >= _LOOKED_AT_MOST:
            return found, second
    return found, ""


def _counted(index: str, key: str, value: str) -> list[Item]:
    """The newest real items of an index, one more than are counted if there are more."""
    real = (item for item in _newest(index, key, value, fields=_COUNTED, at_first=_PAGE) if _is_real(item))
    return list(islice(real, _COUNTED_AT_MOST + 1))


def _newest(
    index: str, key: str, value: str, *, fields: Sequence[str], at_first: int, after: Position | None = None
) -> Iterator[Item]:
    """All items of an index, newest first, read as they are asked for: a few at first, then many at a time.

    With `after`, from that second on; its own items are left out only when the position has no id.
    """
    condition = Key(key).eq(value)
    if after:
        condition &= Key("timestamp").lte(after.timestamp) if after.source_id else Key("timestamp").lt(after.timestamp)
    names = {f"#{field}": field for field in (*fields, "probe")}
    question = {
        "IndexName": index,
        "KeyConditionExpression": condition,
        "ProjectionExpression": ", ".join(names),
        "ExpressionAttributeNames": names,
        "ScanIndexForward": False,
        "Limit": min(_PAGE, at_first),
    }
    while True:
        page = _table().query(**question)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        question |= {"ExclusiveStartKey": page["LastEvaluatedKey"], "Limit": _PAGE}


def _is_real(item: Item) -> bool:
    # Each mark alone is enough. DynamoDB could leave them out itself, for the same price and unseen by our bounds.
    return "probe" not in item and not item["source_id"].startswith(PROBE_PREFIX)


def _shown(item: Item) -> Item:
    return {
        field: float(item[field]) if isinstance(item[field], Decimal) else item[field]
        for field in _SHOWN
        if field in item
    }


@functools.cache
def _table() -> Any:
    return boto3.resource("dynamodb", config=_AWS).Table(os.environ["ITEMS_TABLE"])
