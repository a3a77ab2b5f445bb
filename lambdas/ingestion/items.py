"""Turns articles into items, stores each once and announces it on the topic of new items."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from text import one_form

PROBE_PREFIX = "probe#"
_KEPT = timedelta(days=30)
_PROBE_KEPT = timedelta(hours=1)
_DAY_S = 86400
# In characters, of at most 4 bytes in UTF-8: ten announcements stay below half of the 256 KB that SNS takes at once.
_LONGEST_TITLE, _LONGEST_TEXT, _LONGEST_URL = 500, 2000, 2000
_SNS_BATCH = 10
_CLOCKS_DIFFER_BY = timedelta(minutes=10)
_OLDEST = timedelta(days=366)
"""What is older is no news, and mostly a date that somebody's program made up (1970, year 1).

An article outside of these bounds is skipped and counted, and never given the time of the run: the time is part of an
item's key, and each run would find the article new. One that is dated a few hours ahead (a zone mistaken) is stored by
the first run after its time has come.
"""
_LEAP_SECOND = re.compile(r"(T?\d\d:?59:?)60(?=\D|$)", re.ASCII)
_URL = re.compile(r"https?://[^/?#]+.*")
_READ_AT_MOST = 4 * _LONGEST_TEXT
"""Characters of a text that are brought into one form, which may shorten it: bounds the time that an article takes."""
# What NewsAPI leaves of an article that its publisher has taken back.
_REMOVED_TITLE, _REMOVED_URL = "[Removed]", "https://removed.com"

Item = dict[str, Any]


class AnnouncementError(Exception):
    """Stored items could not be announced; the next run announces them again."""


def to_items(
    articles: Iterable[Any], tag: str, now: datetime, *, seen: set[str], probe: bool = False
) -> tuple[list[Item], Counter[str]]:
    """Items out of articles, without those of this run that are in `seen`, and how many were skipped for which reason.

    Adds to `seen`, so that an article that several tags find is one item, of the first of them.
    """
    items: list[Item] = []
    skipped: Counter[str] = Counter()
    for article in articles:
        item = _to_item(article, tag, now, probe=probe)
        if isinstance(item, str):
            skipped[item] += 1
        elif item["source_id"] in seen:
            skipped["duplicate"] += 1
        else:
            seen.add(item["source_id"])
            items.append(item)
    return items, skipped


def _to_item(article: Any, tag: str, now: datetime, *, probe: bool) -> Item | str:
    """The item, or the reason why there is none."""
    if not isinstance(article, dict):
        return "not_an_object"
    url = article.get("url")
    url = url.strip() if isinstance(url, str) else ""
    title, published = _text(article.get("title")), _text(article.get("publishedAt"))
    for name, value in (("no_url", url), ("no_title", title), ("no_published_at", published)):
        if not value:
            return name
    if title == _REMOVED_TITLE or url.rstrip("/") == _REMOVED_URL:
        return "removed"
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url or not _URL.fullmatch(url):
        return "bad_url"
    moment = _moment(published, now)
    if isinstance(moment, str):
        return moment
    text = _text(article.get("description")) or _text(article.get("content"))
    # A probe has ids of its own: with the article's it would pass for the item when the real run comes.
    item: Item = {
        "source_id": f"{PROBE_PREFIX if probe else 'news#'}{hashlib.sha256(url.encode()).hexdigest()[:32]}",
        # In UTC with one spelling, so that sorting the text sorts the times.
        "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "status": "pending",
        "tag": tag,
        "title": title[:_LONGEST_TITLE],
        "text": text[:_LONGEST_TEXT],
        "url": url,
        "expires_at": int((now + (_PROBE_KEPT if probe else _KEPT)).timestamp()),
    }
    return item | {"probe": True} if probe else item


def as_stored(articles: Iterable[Any], tag: str, now: datetime) -> list[Item]:
    """What a run would store of articles that a probe brings, with `kept_days` instead of the moment of its end."""
    items, _ = to_items(articles, tag, now, seen=set())
    for item in items:
        item["kept_days"] = round((item.pop("expires_at") - now.timestamp()) / _DAY_S, 1)
    return items


def store(table: Any, items: Iterable[Item]) -> tuple[list[Item], int]:
    """Store what is new. Returns the items to announce and how many were there already.

    An item that is there but still pending is announced again: its announcement was lost (a run that died between
    storing and announcing), or its analysis failed. Announcing twice is harmless, analysis writes once; losing an item
    is not. An article that comes back under another time is a new edition and a new item.
    """
    to_announce, known = [], 0
    for item in items:
        try:
            table.put_item(
                Item=item,
                ConditionExpression="attribute_not_exists(source_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            known += 1
            # boto3's Table leaves the item inside an error as DynamoDB wrote it.
            there: Any = error.response.get("Item", {})
            if there.get("status") != {"S": "pending"}:
                continue
        to_announce.append(item)
    return to_announce, known


def announce(sns: Any, topic_arn: str, items: list[Item]) -> None:
    """Publish each item to the topic.

    Raises:
        AnnouncementError: the topic refused at least one.
    """
    refused: Counter[str] = Counter()
    for start in range(0, len(items), _SNS_BATCH):
        entries = [
            {"Id": str(number), "Message": json.dumps(_message(item), ensure_ascii=False)}
            for number, item in enumerate(items[start : start + _SNS_BATCH])
        ]
        answer = sns.publish_batch(TopicArn=topic_arn, PublishBatchRequestEntries=entries)
        refused.update(failure.get("Code", "unknown") for failure in answer.get("Failed", []))
    if refused:
        raise AnnouncementError(f"{sum(refused.values())} of {len(items)} items not announced: {dict(refused)}")


def _message(item: Item) -> Item:
    message = {field: item[field] for field in ("source_id", "timestamp", "tag", "title", "text")}
    # The analysis may make up a probe's item; this one is stored, and must be found like any other.
    return message | {"probe": True, "stored": True} if "probe" in item else message


def _text(value: Any) -> str:
    """A text in the one form that is stored and that every part of the way can carry; empty if it is none."""
    return one_form(value[:_READ_AT_MOST]) if isinstance(value, str) else ""


def _moment(value: str, now: datetime) -> datetime | str:
    """The time that ISO 8601 or RFC 3339 spells, in UTC, or the reason why the article's is none of news.

    RFC 3339 allows a small `z` and a leap second. A time without a zone is UTC, as NewsAPI says of all its times.
    """
    try:
        moment = datetime.fromisoformat(_LEAP_SECOND.sub(r"\g<1>59", value.upper()))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return "bad_published_at"
    if moment > now + _CLOCKS_DIFFER_BY:
        return "published_in_future"
    return "published_long_ago" if moment < now - _OLDEST else moment
