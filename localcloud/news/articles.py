"""Made-up articles: pure, the same for the same query and hour."""

import random
from datetime import datetime, timedelta

from tests.fixtures import newsapi_responses as newsapi
from tests.fixtures.newsapi_responses import Article

_TITLES = {
    "positive": (
        "{q} delights investors with a brilliant quarter",
        "Why everybody loves the new {q}",
        "{q} wins praise for an outstanding year",
        "A great success: {q} beats all hopes",
    ),
    "neutral": (
        "{q} publishes its calendar for the coming months",
        "What to know about {q} this week",
        "{q}: the numbers at a glance",
        "Committee meets to talk about {q}",
    ),
    "negative": (
        "{q} disappoints with a terrible start",
        "Anger grows over the {q} disaster",
        "{q} fails again, and worse is feared",
        "An awful week for {q}: losses and complaints",
    ),
}
_DESCRIPTIONS = {
    "positive": ("An excellent result that makes people happy.", "Experts call it wonderful and good news for all."),
    "neutral": ("The report has twelve pages.", "The next meeting is on Tuesday."),
    "negative": ("A bad outcome that leaves people sad and worried.", "Experts call it horrible and a failure."),
}


def made_up(query: str, hour: datetime, count: int) -> list[Article]:
    """Return articles about a query, newest first.

    Args:
        query: what they are about.
        hour: start of the hour in which somebody asks (UTC); all articles are older.
        count: how many.
    """
    chance = random.Random(f"{query}|{hour.isoformat()}")  # noqa: S311 - the same answers again are the point
    articles = [_article(query, hour, chance, number) for number in range(count)]
    return sorted(articles, key=lambda one: one["publishedAt"], reverse=True)


def _article(query: str, hour: datetime, chance: random.Random, number: int) -> Article:
    tone = chance.choice(sorted(_TITLES))
    title = chance.choice(_TITLES[tone]).format(q=query)
    description = chance.choice(_DESCRIPTIONS[tone])
    slug = f"{chance.getrandbits(40):010x}-{number}"
    published = hour - timedelta(seconds=chance.randrange(24 * 3600))
    return newsapi.article(
        number,
        title=title,
        description=description,
        url=f"https://news.example.com/{slug}",
        urlToImage=f"https://news.example.com/{slug}.jpg",
        publishedAt=f"{published:%Y-%m-%dT%H:%M:%SZ}",
        content=f"{title}. {description} [+{chance.randrange(500, 5000)} chars]",
    )
