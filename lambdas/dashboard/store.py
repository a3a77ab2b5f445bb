"""Reads of the items table. Whatever a canary made up (probe mark, probe id) is left out."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config

SENTIMENTS = ("positive", "neutral", "negative")
PROBE_PREFIX = "probe#"
_COUNTED_AT_MOST = 5000
"""Items of one sentiment that a metrics answer looks at, newest first: bounds its time and its cost."""
_PAGE = 500
_SHOWN = ("source_id", "timestamp", "status", "tag", "title", "url", "sentiment", "score", "analyzed_at")

# Short limits: a health answer that takes long is a wrong answer.
_AWS = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2})
# An index holds the probe mark only if it projects it; the table's key, and so the id, is in every index.
_REAL = Attr("probe").not_exists() & ~Attr("source_id").begins_with(PROBE_PREFIX)


def read_one() -> None:
    """One cheap read (an item that need not exist); raises what the table's service answers."""
    _table().get_item(Key={"source_id": "health", "timestamp": "-"}, ProjectionExpression="source_id")


def metrics() -> dict[str, Any]:
    """Counts by sentiment and by tag, and of the items that wait for analysis.

    `truncated` tells that some count stopped at its bound, so that a number is "at least".
    """
    by_sentiment = dict.fromkeys(SENTIMENTS, 0)
    by_tag: Counter[str] = Counter()
    truncated = False
    for sentiment in SENTIMENTS:
        tags = [item.get("tag", "") for item in _newest("by_sentiment", "sentiment", sentiment, _COUNTED_AT_MOST + 1)]
        truncated |= len(tags) > _COUNTED_AT_MOST
        by_sentiment[sentiment] = len(tags[:_COUNTED_AT_MOST])
        by_tag.update(tags[:_COUNTED_AT_MOST])
    pending = sum(1 for _ in _newest("by_status", "status", "pending", _COUNTED_AT_MOST + 1))
    return {
        "total": sum(by_sentiment.values()),
        "by_sentiment": by_sentiment,
        "by_tag": dict(sorted(by_tag.items())),
        "pending": min(pending, _COUNTED_AT_MOST),
        "truncated": truncated or pending > _COUNTED_AT_MOST,
    }


def items(*, tag: str = "", sentiment: str = "", limit: int) -> list[dict[str, Any]]:
    """At most `limit` items, newest first, of a tag or a sentiment or both."""
    if tag:
        found = _newest("by_tag", "tag", tag, limit, Attr("sentiment").eq(sentiment) if sentiment else None)
    elif sentiment:
        found = _newest("by_sentiment", "sentiment", sentiment, limit)
    else:
        found = (item for status in ("analyzed", "pending") for item in _newest("by_status", "status", status, limit))
    newest = sorted(found, key=lambda item: (item["timestamp"], item["source_id"]), reverse=True)
    return [_shown(item) for item in newest[:limit]]


def _newest(index: str, key: str, value: str, limit: int, also: Any = None) -> Iterator[dict[str, Any]]:
    """At most `limit` real items of an index, newest first."""
    question = {
        "IndexName": index,
        "KeyConditionExpression": Key(key).eq(value),
        "FilterExpression": _REAL & also if also else _REAL,
        "ScanIndexForward": False,
        # Limit counts items before the filter, so ask for a few more than are wanted.
        "Limit": min(_PAGE, limit + 20),
    }
    left = limit
    while True:
        page = _table().query(**question)
        yield from page["Items"][:left]
        left -= len(page["Items"])
        if left <= 0 or "LastEvaluatedKey" not in page:
            return
        question["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    return {
        field: float(item[field]) if isinstance(item[field], Decimal) else item[field]
        for field in _SHOWN
        if field in item
    }


@functools.cache
def _table() -> Any:
    return boto3.resource("dynamodb", config=_AWS).Table(os.environ["ITEMS_TABLE"])
