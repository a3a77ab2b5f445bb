"""Entry of the ingestion function: on a schedule, news for each watch tag into the table and onto the topic.

A failure raises, so that Errors, retries and the dead-letter queue see it. `{"probe": true}` is a canary's question: a
few articles of the first tag are stored under a probe mark for an hour, and nothing is announced.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from items import announce, store, to_items
from logs import log
from metrics import count_news_failures
from news import MAX_ARTICLES, NewsError, NewsKeyRefusedError, fetch_articles

_PROBE_ARTICLES = 5
_AWS = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})


class SecretError(Exception):
    """The secret of the news service holds no key."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run once for all watch tags and return counts.

    Raises:
        NewsError: the news service failed; items of the tags before are stored and announced.
        AnnouncementError: the topic refused items; the next run announces them.
        SecretError: there is no key.
    """
    probe = event.get("probe") is True
    tags = [tag.strip() for tag in os.environ["WATCH_TAGS"].split(",") if tag.strip()]
    counts: Counter[str] = Counter(fetched=0, stored=0, known=0, announced=0)
    skipped: Counter[str] = Counter()
    for tag in tags[:1] if probe else tags:
        try:
            _ingest(tag, counts, skipped, probe=probe)
        except Exception as error:
            log("error", "ingestion_failed", tag=tag, error=type(error).__name__, reason=str(error), **counts)
            if isinstance(error, NewsError) and not probe:
                count_news_failures(context.function_name, 1)
            raise
    if not probe:  # a canary's question is no run: it would count for a version that nobody uses yet
        count_news_failures(context.function_name, 0)
    log("info", "ingested", tags=len(tags), probe=probe, skipped=dict(skipped), **counts)
    return {
        **counts,
        "skipped": dict(skipped),
        "probe": probe,
        "release": os.environ["RELEASE_SHA"],
        "digest": os.environ["RELEASE_DIGEST"],
        "version": context.function_version,
    }


def _ingest(tag: str, counts: Counter[str], skipped: Counter[str], *, probe: bool) -> None:
    limit = _PROBE_ARTICLES if probe else MAX_ARTICLES
    try:
        articles = fetch_articles(os.environ["NEWS_ENDPOINT"], news_key(), tag, limit=limit)
    except NewsKeyRefusedError:
        # The key may have been rotated: the repeated run reads the secret again.
        news_key.cache_clear()
        raise
    items, reasons = to_items(articles, tag, datetime.now(UTC), probe=probe)
    counts["fetched"] += len(articles)
    skipped.update(reasons)
    to_announce, known = store(_table(), items)
    counts["stored"] += len(items) - known
    counts["known"] += known
    if not probe:
        announce(_sns(), os.environ["NEW_ITEMS_TOPIC_ARN"], to_announce)
        counts["announced"] += len(to_announce)


@functools.cache
def news_key() -> str:
    """The key of the news service; kept until the service refuses it."""
    answer = boto3.client("secretsmanager", config=_AWS).get_secret_value(SecretId=os.environ["NEWS_SECRET"])
    try:
        key = json.loads(answer["SecretString"])["api_key"].strip()
    except (AttributeError, KeyError, TypeError, ValueError):
        key = ""
    # A key that cannot be a header would be printed by the error about that header.
    if not key or not key.isascii() or not key.isprintable():
        raise SecretError(f'secret {os.environ["NEWS_SECRET"]} does not hold {{"api_key": "..."}}')
    return key


@functools.cache
def _table() -> Any:
    return boto3.resource("dynamodb", config=_AWS).Table(os.environ["ITEMS_TABLE"])


@functools.cache
def _sns() -> Any:
    return boto3.client("sns", config=_AWS)
