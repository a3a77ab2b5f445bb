"""Reads of the items table. Whatever a canary made up (probe mark, probe id) is left out."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, groupby
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config
from cursor import Position

SENTIMENTS = ("positive", "neutral", "negative")
PROBE_PREFIX = "probe#"
DAYS = 14
"""Days that the counts by day look back, today included."""
_COUNTED_AT_MOST = 10_000
"""Items of one status that a metrics answer counts, newest first: bounds its cost."""
_LOOKED_AT_MOST = 2000
"""Items of one index that a page of items looks at: bounds its time and its cost when few of them are wanted."""
_PAGE = 500
"""Items that one question asks for: few enough that a slow store answers in time, and that time is looked at often."""
_ANALYZED_UNTIL, _PENDING_UNTIL, _BEGUN_UNTIL = 1.5, 2.0, 8.0
"""Seconds after the request's arrival: until then the counts go on, and until then a read begins at all.

The counts end early enough for the 3 s after which the releaser and the alarm take an answer for slow.
"""
_SHOWN = ("source_id", "timestamp", "status", "tag", "title", "url", "sentiment", "score", "analyzed_at")
_COUNTED = ("source_id", "timestamp", "tag", "sentiment")

# The last read that may begin still ends within the shortest time limit that the settings allow a function.
_AWS = Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})

Item = dict[str, Any]


class TooSlowError(Exception):
    """Reading took so long that no further read may begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Items in their order, and the position after which the next page begins; None: there are no more."""

    items: list[Item]
    end: Position | None


def read_one() -> None:
    """One cheap read (an item that need not exist); raises what the table's service answers."""
    _table().get_item(Key={"source_id": "health", "timestamp": "-"}, ProjectionExpression="source_id")


def metrics(today: date, *, arrived: float) -> dict[str, Any]:
    """Counts by sentiment, by tag and by day (UTC, oldest first), and of the items that wait for analysis.

    `arrived` is the request's time on the monotonic clock. Counting stops at a bound and after some seconds, the newest
    items first: `counted_from` and `pending_counted_from` are then the times down to which all analyzed and all pending
    items are counted, otherwise empty. `truncated` tells that one of them is set, so that its numbers are "at least".

    Raises:
        TooSlowError: there was no time to begin.
    """
    by_sentiment = dict.fromkeys(SENTIMENTS, 0)
    by_tag: Counter[str] = Counter()
    days = [(today - timedelta(days=back)).isoformat() for back in reversed(range(DAYS))]
    by_day = {day: dict.fromkeys(SENTIMENTS, 0) for day in days}
    analyzed, counted_from = _counted("analyzed", arrived, until=_ANALYZED_UNTIL)
    for item in analyzed:
        sentiment, day = item.get("sentiment"), item["timestamp"][:10]
        if sentiment in by_sentiment:
            by_sentiment[sentiment] += 1
            by_tag[item.get("tag", "")] += 1
            if day in by_day:
                by_day[day][sentiment] += 1
    pending, pending_from = _counted("pending", arrived, until=_PENDING_UNTIL)
    return {
        "total": sum(by_sentiment.values()),
        "by_sentiment": by_sentiment,
        "by_tag": dict(sorted(by_tag.items())),
        "by_day": by_day,
        "counted_from": counted_from,
        "pending": len(pending),
        "pending_counted_from": pending_from,
        "truncated": bool(counted_from or pending_from),
    }


def items(*, arrived: float, tag: str = "", sentiment: str = "", limit: int, after: Position | None = None) -> Page:
    """At most `limit` items of a tag or a sentiment or both, newest first, those of the same second by id.

    A page may hold fewer, even none, where few of many items are wanted: only an `end` of None is the end.

    Whoever walks from page to page, each beginning after the `end` of the one before, gets every item that was there
    all the time exactly once, since an item's place never changes. That holds for items that become analyzed in
    between: each comes once, as it was when its page was asked for. With a sentiment, the items are those that had it
    all the time; one that gets it in between comes once, or not at all if the walk is past its place. What is stored in
    between comes if its place lies ahead. (Indexes follow the table within about a second: as long may a change go
    unseen.)

    Raises:
        TooSlowError: too much time has gone since the request `arrived` (monotonic clock).
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
        stretch, reached = _stretch(question, sentiment, limit, after, arrived)
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
    question: tuple[str, str, str], sentiment: str, limit: int, after: Position | None, arrived: float
) -> tuple[dict[Position, Item], str]:
    """More than `limit` wanted items after a position if there are so many, and the time down to which all are there.

    That time is empty when it is all of them. An index has no order within a second, so seconds are read whole.
    """
    found: dict[Position, Item] = {}
    looked_at = 0
    pages = _pages(*question, arrived, fields=_SHOWN, at_first=limit + 20, after=after)
    newest = chain.from_iterable(page for page, _ in pages)
    for second, group in groupby(newest, key=lambda item: item["timestamp"]):
        for item in group:
            looked_at += 1
            position = Position(item["timestamp"], item["source_id"])
            if _is_real(item) and sentiment in ("", item.get("sentiment")) and (after is None or position < after):
                found[position] = item
        if len(found) > limit or looked_at >= _LOOKED_AT_MOST:
            return found, second
    return found, ""


def _counted(status: str, arrived: float, *, until: float) -> tuple[list[Item], str]:
    """The newest real items of a status, and the time down to which these are all; empty: they are all there are."""
    found: list[Item] = []
    looked_at = 0
    for page, more in _pages("by_status", "status", status, arrived, fields=_COUNTED, at_first=_PAGE):
        found += [item for item in page if _is_real(item)]
        looked_at += len(page)
        if more and page and (looked_at >= _COUNTED_AT_MOST or time.monotonic() - arrived > until):
            return found, page[-1]["timestamp"]
    return found, ""


def _pages(
    index: str,
    key: str,
    value: str,
    arrived: float,
    *,
    fields: Sequence[str],
    at_first: int,
    after: Position | None = None,
) -> Iterator[tuple[list[Item], bool]]:
    """All items of an index, newest first, a few at first, then many at a time; and whether there may be more.

    Each page is read when it is asked for. With `after`, from that second on; its own items are left out only when the
    position has no id.
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
        if time.monotonic() - arrived > _BEGUN_UNTIL:
            raise TooSlowError
        page = _table().query(**question)
        yield page["Items"], "LastEvaluatedKey" in page
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
