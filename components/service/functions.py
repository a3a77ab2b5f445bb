"""The functions of the service, as data. A fourth function is one more entry here and one more folder in lambdas/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

from components.arns import Arns
from components.policies import execution
from components.policies.documents import Statement
from components.settings import Settings

RUNTIME: Final = "python3.11"
"""The one place for Lambda's runtime; `lambdas/*/uv.lock` is resolved for it."""
ARCHITECTURE: Final = "x86_64"


class Trigger(StrEnum):
    """What calls a function's alias `live`."""

    SCHEDULE = "schedule"
    TOPIC = "topic"
    URL = "url"

    @property
    def asynchronous(self) -> bool:
        """Whether Lambda itself retries a failed call, and leaves it in the dead-letter queue in the end."""
        return self is not Trigger.URL


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One question that the canary puts to a function, and its right answer: release/analysis/probes.py asks it.

    It puts in `{digest}`, the beginning of the release's, `{year}`, and `{article}`, the id that ingestion gives to the
    article at `ARTICLE_URL`.
    """

    name: str
    event: Mapping[str, Any] = field(default_factory=dict)
    """What the schedule or the topic sends; `{digest}` in it stands for the digest of the release."""
    path: str = ""
    """What a URL is asked for, with `query` and `key`."""
    query: Mapping[str, str] = field(default_factory=dict)
    key: Literal["none", "wrong", "beginning", "other case", "right"] = "none"
    status: int = 200
    """Of a URL."""
    answer: Mapping[str, Any] = field(default_factory=dict)
    """What the answer holds, beside the release that it names. Without it, a URL is judged by its status alone."""
    text: str = ""
    """What the body of a URL's answer holds, beside its status."""
    error: str = ""
    """Type of the error that the function must raise instead of answering."""
    may_differ: tuple[str, ...] = ()
    """Fields of the answer in which two versions may differ, beside those that name the release."""
    writes: str = "nothing"
    """What the question may leave behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSpec:
    """One function: what calls it (its alarms follow), its environment variables, its rights, and how it is probed."""

    key: str
    description: str
    trigger: Trigger
    environment: Callable[[Settings, Arns], Mapping[str, str]]
    statements: Callable[[Arns], list[Statement]]
    probes: tuple[Probe, ...]
    """Questions to the candidate, at least one: each is asked once, in this order, and one wrong answer is enough."""
    sample: tuple[Probe, ...]
    """Questions, at least one, that the canary repeats to the candidate, and to the stable version beside it."""
    live: tuple[Probe, ...] = ()
    """Questions to `live` once it serves everybody, each repeated until it is answered right."""


def _ingestion_environment(settings: Settings, arns: Arns) -> dict[str, str]:
    return {
        "NEWS_ENDPOINT": settings.news_endpoint,
        "NEWS_SECRET": arns.names.newsapi_secret,
        "NEW_ITEMS_TOPIC_ARN": arns.of("topic", arns.names.new_items_topic),
        "WATCH_TAGS": ",".join(settings.watch_tags),
    }


ARTICLE_URL: Final = "https://probe.invalid/{digest}"
_TITLE, _TEXT = "A good day", "Everything works and everybody is happy."
_PUBLISHED: Final = "{year}-01-01T00:00:00Z"
"""This year: ingestion takes no article for news that is older than 366 days."""


def _article(address: str) -> dict[str, str]:
    return {"url": address, "title": _TITLE, "description": _TEXT, "publishedAt": _PUBLISHED}


_ARTICLES: Final = {
    "probe": True,
    "tags": [],
    "articles": [
        _article(ARTICLE_URL),
        {"url": "https://probe.invalid/untitled", "publishedAt": _PUBLISHED},
    ],
}
"""One that ingestion stores, and one that it skips."""


def _item(name: str, title: str, text: str) -> dict[str, Any]:
    return {
        "source_id": f"probe#release-{name}-{{digest}}",
        "timestamp": "1970-01-01T00:00:00Z",
        "tag": "probe",
        "title": title,
        "text": text,
        "probe": True,
    }


_GOOD_DAY: Final = _item("positive", _TITLE, _TEXT)
_STORED: Final = _GOOD_DAY | {"source_id": "probe#{article}", "timestamp": _PUBLISHED, "stored": True}
"""The article that ingestion stores."""


def _scores(event: Mapping[str, Any], sentiment: str) -> Probe:
    return Probe(
        name=f"scores an item as {sentiment}",
        event=event,
        answer={"items": [{"sentiment": sentiment}]},
        may_differ=("analyzed", "already_analyzed", "already"),
        writes="one probe item, gone in an hour",
    )


_HEALTH: Final = Probe(name="health", path="/health", answer={"status": "ok"})
FUNCTIONS: Final = (
    FunctionSpec(
        key="ingestion",
        description="Fetches news for each watch tag, stores new items and announces them",
        trigger=Trigger.SCHEDULE,
        environment=_ingestion_environment,
        statements=lambda arns: [
            execution.store_items(arns),
            execution.announce_items(arns),
            execution.read_secret(arns, arns.names.newsapi_secret),
        ],
        probes=(
            Probe(
                name="reads the news",
                event={"probe": True},
                answer={"announced": 0},
                writes="at most five probe items, gone in an hour; announces nothing",
            ),
            # After the question of the duel, which stores it.
            Probe(
                name="stores an article once, with all that it is asked for later",
                event=_ARTICLES,
                answer={
                    "fetched": 2,
                    "stored": 0,
                    "known": 1,
                    "items": [
                        {
                            "timestamp": _PUBLISHED,
                            "status": "pending",
                            "title": _TITLE,
                            "text": _TEXT,
                            "url": ARTICLE_URL,
                            "kept_days": 30.0,
                        }
                    ],
                },
                writes="what the question of the duel writes",
            ),
            Probe(name="raises when it fails", event={"probe": True, "tags": "none"}, error="ProbeError"),
        ),
        sample=(
            Probe(
                name="stores articles",
                event=_ARTICLES,
                answer={"fetched": 2, "announced": 0, "skipped": {"no_title": 1}},
                may_differ=("stored", "known"),
                writes="one probe item, gone in an hour; announces nothing, and asks the news service nothing",
            ),
        ),
        live=(
            # What is still pending is announced again: no announcement is left once the analysis has done its part.
            Probe(
                name="an article is stored, announced and analyzed",
                event={
                    "probe": True,
                    "announce": True,
                    "tags": [],
                    "articles": [_article("https://probe.invalid/live-{digest}")],
                },
                answer={"known": 1, "announced": 0},
                writes="one probe item, gone in an hour, and announces it",
            ),
        ),
    ),
    FunctionSpec(
        key="analysis",
        description="Scores the sentiment of each new item once",
        trigger=Trigger.TOPIC,
        environment=lambda _settings, _arns: {},
        statements=lambda arns: [execution.score_items(arns)],
        probes=(
            _scores(_GOOD_DAY, "positive"),
            # After ingestion's question that stores it.
            Probe(
                name="scores a stored item and leaves the rest of it",
                event=_STORED,
                answer={"items": [{"title": _TITLE, "sentiment": "positive"}]},
                writes="its score",
            ),
            # After the one before it.
            Probe(
                name="scores an item once",
                event=_STORED,
                answer={"analyzed": 0, "already_analyzed": 1},
                writes="nothing",
            ),
            Probe(
                name="makes no item that is gone",
                event=_item("gone", _TITLE, _TEXT) | {"stored": True},
                error="ItemMissingError",
            ),
            Probe(name="refuses what is no item", event={"probe": True}, error="MalformedRecordError"),
        ),
        sample=(
            _scores(_GOOD_DAY, "positive"),
            _scores(_item("negative", "A bad day", "Nothing works, and everybody is sad and angry."), "negative"),
            _scores(_item("neutral", "A day", ""), "neutral"),
        ),
    ),
    FunctionSpec(
        key="dashboard",
        description="Answers people: health, metrics and items",
        trigger=Trigger.URL,
        environment=lambda _settings, arns: {"DASHBOARD_KEY_SECRET": arns.names.dashboard_key_secret},
        statements=lambda arns: [
            execution.read_table(arns),
            execution.query_items(arns),
            execution.read_secret(arns, arns.names.dashboard_key_secret),
        ],
        probes=(
            _HEALTH,
            Probe(name="no key is refused", path="/api/items", status=401),
            Probe(name="wrong key is refused", path="/api/items", key="wrong", status=401),
            Probe(name="beginning of the key is refused", path="/api/items", key="beginning", status=401),
            Probe(name="key in another case is refused", path="/api/items", key="other case", status=401),
            Probe(name="impossible page is refused", path="/api/items", query={"after": "x"}, key="right", status=400),
            Probe(name="page escapes", path="/", query={"tag": "<b>&"}, key="right", text="<bdi>&lt;b&gt;&amp;</bdi>"),
        ),
        sample=(
            _HEALTH,
            Probe(name="items", path="/api/items", query={"limit": "5"}, key="right"),
            Probe(name="metrics", path="/api/metrics", key="right"),
            Probe(name="impossible limit", path="/api/items", query={"limit": "x"}, key="right", status=400),
            Probe(name="unknown path", path="/api/secrets", key="right", status=404),
            Probe(name="items without a key", path="/api/items", status=401),
        ),
    ),
)
KEYS: Final = tuple(spec.key for spec in FUNCTIONS)
WITH_URL: Final = tuple(spec.key for spec in FUNCTIONS if spec.trigger is Trigger.URL)
"""The functions that people call: only their traffic can be shared between two versions."""
