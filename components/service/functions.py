"""The functions of the service, as data. A fourth function is one more entry here and one more folder in lambdas/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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
class FunctionSpec:
    """One function: what calls it, what it is told (environment variables) and what it may do."""

    key: str
    description: str
    trigger: Trigger
    environment: Callable[[Settings, Arns], Mapping[str, str]]
    statements: Callable[[Arns], list[Statement]]


def _ingestion_environment(settings: Settings, arns: Arns) -> dict[str, str]:
    return {
        "NEWS_ENDPOINT": settings.news_endpoint,
        "NEWS_SECRET": arns.names.newsapi_secret,
        "NEW_ITEMS_TOPIC_ARN": arns.of("topic", arns.names.new_items_topic),
        "WATCH_TAGS": ",".join(settings.watch_tags),
    }


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
    ),
    FunctionSpec(
        key="analysis",
        description="Scores the sentiment of each new item once",
        trigger=Trigger.TOPIC,
        environment=lambda _settings, _arns: {},
        statements=lambda arns: [execution.score_items(arns)],
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
    ),
)
WITH_URL: Final = tuple(spec.key for spec in FUNCTIONS if spec.trigger is Trigger.URL)
"""The functions that people call: only their traffic can be shared between two versions."""
