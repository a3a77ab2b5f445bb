"""Entry of the ingestion function: on a schedule, news for each watch tag into the table and onto the topic.

A failure raises, so that Errors, retries and the dead-letter queue see it; a tag that fails does not lose the others.
`{"probe": true}` is a canary's question: a few articles of the first tag are stored under a probe mark for an hour, and
nothing is announced. `{"probe": true, "tags": [...]}` asks for other tags: the tests of preprod use it.
`{"probe": true, "tags": [], "articles": [...]}` brings its articles along: a canary asks hundreds of times, and the
news service counts. The answer then says as what a run would store them; with `"announce": true` they are announced.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from items import AnnouncementError, announce, as_stored, store, to_items
from logs import log
from metrics import count_news_failures
from news import MAX_ARTICLES, NewsError, NewsKeyRefusedError, fetch_articles

_PROBE_ARTICLES = 5
_PROBE_TAGS = 3
_OWN_ARTICLES = "probe"
"""Tag of articles that a probe brings along."""
_LONGEST_TAG = 100
"""In characters: NewsAPI takes no longer question, and the table no longer tag."""
_LONGEST_REQUEST_SECONDS = 10.0
_SHORTEST_REQUEST_SECONDS = 0.1
_AWS = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})


class SecretError(Exception):
    """The secret of the news service holds no key."""


class ProbeError(Exception):
    """A probe whose tags make no sense."""


@dataclass(slots=True)
class _Run:
    """What one run has done so far."""

    probe: bool
    announces: bool
    counts: Counter[str] = field(default_factory=lambda: Counter(fetched=0, stored=0, known=0, announced=0))
    skipped: Counter[str] = field(default_factory=Counter)
    """Articles that made no item, by reason: fetched = stored + known + skipped."""
    seen: set[str] = field(default_factory=set)
    """Ids of the items of this run: two tags may find the same article."""
    news_failures: int = 0
    """Tags for which the news service failed, repeats and all."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run once for all watch tags and return counts.

    A tag for which the news service or the topic fails is left to the next run, and the others are done; then the first
    failure is raised. A refused key, a missing one, and a failure of the table end the run at once: no tag would fare
    better. What was stored before is announced, by this run or by the next that finds it still pending.

    Raises:
        NewsError: the news service failed.
        AnnouncementError: the topic refused items; the next run announces them.
        SecretError: there is no key.
        ProbeError: the tags of a probe are not a list of one to three texts, or its articles are no short list.
    """
    probe = event.get("probe") is True
    brought = probe and "articles" in event
    run = _Run(probe=probe, announces=not probe or (brought and event.get("announce") is True))
    made = {}
    try:
        if brought:
            tags, articles = [_OWN_ARTICLES], _probe_articles(event)
            made = {"items": as_stored(articles, _OWN_ARTICLES, datetime.now(UTC))}
            _keep(articles, _OWN_ARTICLES, run)
        else:
            tags = _probe_tags(event) if run.probe else _watch_tags()
            _ingest_all(tags, run, context)
    except Exception as error:
        log("error", "ingestion_failed", **_named(error), **_told(run))
        raise
    finally:
        if not run.probe:  # a canary's question is no run: it would count for a version that nobody uses yet
            count_news_failures(context.function_name, run.news_failures)
    log("info", "ingested", tags=len(tags), **_told(run))
    return {
        **run.counts,
        **made,
        "skipped": dict(run.skipped),
        "probe": run.probe,
        "release": os.environ["RELEASE_SHA"],
        "digest": os.environ["RELEASE_DIGEST"],
        "version": context.function_version,
    }


def _watch_tags() -> list[str]:
    return [tag.strip() for tag in os.environ["WATCH_TAGS"].split(",") if tag.strip()]


def _probe_tags(event: dict[str, Any]) -> list[str]:
    """The tags that a probe names, or the first watch tag. They are passed on as they are, an empty one too."""
    tags = event.get("tags", _watch_tags()[:1])
    is_list = isinstance(tags, list) and 1 <= len(tags) <= _PROBE_TAGS
    if not is_list or not all(_is_tag(tag) for tag in tags):
        raise ProbeError(f"`tags` of a probe must be a list of 1 to {_PROBE_TAGS} texts of up to {_LONGEST_TAG} signs")
    return tags


def _probe_articles(event: dict[str, Any]) -> list[Any]:
    """The articles that a probe brings along; a version that knows none refuses its empty list of tags."""
    articles = event["articles"]
    if not isinstance(articles, list) or len(articles) > _PROBE_ARTICLES:
        raise ProbeError(f"`articles` of a probe must be a list of up to {_PROBE_ARTICLES}")
    return articles


def _is_tag(value: Any) -> bool:
    # A control character or half of a surrogate pair could not be sent.
    return isinstance(value, str) and len(value) <= _LONGEST_TAG and value.isprintable()


def _ingest_all(tags: list[str], run: _Run, context: Any) -> None:
    failures: list[Exception] = []
    for done, tag in enumerate(tags):
        # Each tag gets the same share of the time that is left, and storing and announcing get one.
        share = context.get_remaining_time_in_millis() / 1000 / (len(tags) - done + 1)
        seconds = min(max(share, _SHORTEST_REQUEST_SECONDS), _LONGEST_REQUEST_SECONDS)
        try:
            _ingest(tag, run, seconds)
        except (NewsError, AnnouncementError) as error:
            log("error", "tag_failed", tag=tag, **_named(error))
            run.news_failures += isinstance(error, NewsError)
            failures.append(error)
            if isinstance(error, NewsKeyRefusedError):
                # It may have been rotated: the repeated run reads the secret again.
                news_key.cache_clear()
                raise
    if failures:
        raise failures[0]


def _ingest(tag: str, run: _Run, seconds: float) -> None:
    limit = _PROBE_ARTICLES if run.probe else MAX_ARTICLES
    _keep(fetch_articles(os.environ["NEWS_ENDPOINT"], news_key(), tag, limit=limit, seconds=seconds), tag, run)


def _keep(articles: list[Any], tag: str, run: _Run) -> None:
    """Store what is new among the articles of a tag, and announce it."""
    items, skipped = to_items(articles, tag, datetime.now(UTC), seen=run.seen, probe=run.probe)
    run.counts["fetched"] += len(articles)
    run.skipped.update(skipped)
    to_announce, known = store(_table(), items)
    run.counts["stored"] += len(items) - known
    run.counts["known"] += known
    if run.announces:
        announce(_sns(), os.environ["NEW_ITEMS_TOPIC_ARN"], to_announce)
        run.counts["announced"] += len(to_announce)


def _named(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "reason": str(error)}


def _told(run: _Run) -> dict[str, Any]:
    return {"probe": run.probe, "skipped": dict(run.skipped), "news_failures": run.news_failures, **run.counts}


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
