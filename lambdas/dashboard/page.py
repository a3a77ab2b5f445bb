"""The page for people: numbers, trend, tags and the newest items. Every text is escaped, and there is no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html import escape
from typing import Any

from store import SENTIMENTS
from style import STYLE
from trend import legend, trend

_WORDS = {"positive": "Positive", "neutral": "Neutral", "negative": "Negative"}
_SIGNS = {"positive": "▲", "neutral": "●", "negative": "▼", "waiting": "◷"}
_TAGS_SHOWN = 12
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """What runs: the environment's name, the release's commit and the function's version."""

    environment: str
    release: str
    version: str


def render(
    build: Build, metrics: Mapping[str, Any], items: Sequence[Mapping[str, Any]], now: datetime, tag: str = ""
) -> str:
    """The HTML document, as of `now` (UTC); `tag` is the one that the items were asked for by."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>Sentiment of the news, {escape(build.environment)}</title><style>{STYLE}</style></head><body>"
        f'<header><h1>Sentiment of the news</h1><span class="badge">{escape(build.environment)}</span>'
        f'<span class="soft">as of {_time(now, _exactly(now))}{_asked_for(tag)}</span></header>'
        f"<main>{_content(metrics, items, now)}</main>"
        f'<footer class="soft">Release <code title="{escape(build.release)}">{escape(build.release[:12])}</code>, '
        f"version {escape(build.version)}, {escape(build.environment)}</footer></body></html>"
    )


def _asked_for(tag: str) -> str:
    return f", items with the tag <bdi>{escape(tag)}</bdi>" if tag else ""


def _content(metrics: Mapping[str, Any], items: Sequence[Mapping[str, Any]], now: datetime) -> str:
    if not (metrics["total"] or metrics["pending"] or items):
        return (
            '<section class="card empty below"><h2>No news yet</h2><p class="soft">News are fetched on a schedule. '
            "As soon as the first run is through, the items and their sentiment are here.</p></section>"
        )
    return (
        f"{_truncated(metrics)}{_numbers(metrics)}"
        f'<div class="columns">{_trend(metrics["by_day"], metrics["counted_from"])}'
        f"{_tags(metrics['by_tag'], metrics['counted_from'])}</div>{_news(items, now)}"
    )


def _truncated(metrics: Mapping[str, Any]) -> str:
    if not metrics["truncated"]:
        return ""
    return (
        '<p class="card note">There are more items than could be counted, the newest first'
        f"{_reach(metrics)}: numbers of items are “at least”.</p>"
    )


def _reach(metrics: Mapping[str, Any]) -> str:
    """Down to which time the analyzed items are counted."""
    try:
        return f", back to {_exactly(datetime.fromisoformat(metrics['counted_from']).astimezone(UTC))}"
    except (ValueError, OverflowError):
        return ""


def _at_least(count: int, counted_from: str) -> str:
    return f'<span class="soft">at least</span> {count:,}' if counted_from else f"{count:,}"


def _numbers(metrics: Mapping[str, Any]) -> str:
    total, back_to = metrics["total"], metrics["counted_from"]
    whole = "of those counted" if back_to else "of all"
    pending = _at_least(metrics["pending"], metrics["pending_counted_from"])
    kinds = "".join(
        f'<li class="card">{_mark(name, _WORDS[name])}<b>{_at_least(count, back_to)}</b>'
        f'<span class="soft">{_share(count, total)} {whole}</span></li>'
        for name, count in metrics["by_sentiment"].items()
    )
    return (
        f'<ul class="numbers"><li class="card"><span class="mark">Analyzed</span><b>{_at_least(total, back_to)}</b>'
        f'<span class="soft">items with a sentiment</span></li>{kinds}'
        f'<li class="card">{_mark("waiting", "Pending")}<b>{pending}</b>'
        '<span class="soft">wait for analysis</span></li></ul>'
    )


def _of_day(count: int, day: str, back_to: str) -> str:
    """A number of one day: counting may have stopped on it, or before it was reached."""
    if day < back_to[:10]:
        return "not counted"
    return _at_least(count, back_to if day == back_to[:10] else "")


def _trend(by_day: dict[str, dict[str, int]], back_to: str) -> str:
    heading = f'<section class="card"><h2>The last {len(by_day)} days</h2>'
    if not any(any(counts.values()) for counts in by_day.values()):
        return f'{heading}<p class="soft">Nothing of these days is analyzed yet.</p></section>'
    head = "".join(f'<th class="number" scope="col">{word}</th>' for word in _WORDS.values())
    rows = "".join(
        f'<tr><th scope="row">{date.fromisoformat(day):%d %b}</th>'
        + "".join(f'<td class="number">{_of_day(counts[name], day, back_to)}</td>' for name in SENTIMENTS)
        + "</tr>"
        for day, counts in reversed(by_day.items())
    )
    # Bars of days that are not wholly counted would look like fewer news.
    whole = {day: counts for day, counts in by_day.items() if day > back_to[:10]}
    bars = f"{legend(_WORDS)}{trend(whole)}" if whole else '<p class="soft">No day could be counted as a whole.</p>'
    return (
        f"{heading}{bars}<details><summary>The same as a table</summary>"
        f'<table><thead><tr><th scope="col">Day (UTC)</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</details></section>"
    )


def _tags(by_tag: Mapping[str, int], back_to: str) -> str:
    order = sorted(by_tag.items(), key=lambda entry: (-entry[1], entry[0]))
    if not order:
        return '<section class="card"><h2>Tags</h2><p class="soft">No tag has analyzed items yet.</p></section>'
    most = order[0][1]
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(tag) or "without a tag"}</bdi>'
        '<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * count / most:.1f}" height="1"/></svg></th>'
        f'<td class="number">{_at_least(count, back_to)}</td></tr>'
        for tag, count in order[:_TAGS_SHOWN]
    )
    more = len(order) - _TAGS_SHOWN
    note = f'<p class="soft">and {more} more</p>' if more > 0 else ""
    return (
        '<section class="card"><h2>Tags</h2><table><thead><tr><th scope="col">Tag</th>'
        f'<th class="number" scope="col">Items</th></tr></thead><tbody>{rows}</tbody></table>{note}</section>'
    )


def _news(items: Sequence[Mapping[str, Any]], now: datetime) -> str:
    rows = "".join(_item(item, now) for item in items)
    news = f'<ol class="news">{rows}</ol>' if rows else '<p class="soft">There is none.</p>'
    return f'<section class="card below"><h2>Newest</h2>{news}</section>'


def _item(item: Mapping[str, Any], now: datetime) -> str:
    title = escape(str(item.get("title", ""))) or "without a title"
    url = str(item.get("url", ""))
    # Any other scheme (javascript:) stays text.
    if url.startswith(("https://", "http://")):
        title = f'<a href="{escape(url)}" rel="noopener noreferrer">{title}</a>'
    return (
        f'<li><p class="title" dir="auto">{title}</p>'
        f'<p class="about soft"><bdi>{escape(str(item.get("tag", "")))}</bdi> · {_age(item["timestamp"], now)}</p>'
        f'<div class="verdict">{_verdict(item)}</div></li>'
    )


def _verdict(item: Mapping[str, Any]) -> str:
    sentiment = item.get("sentiment")
    if sentiment not in _WORDS:
        return _mark("waiting", "Pending")
    score = item.get("score")
    # Functions of another release may write items too: what is missing is not shown.
    if not isinstance(score, float):
        return _mark(sentiment, _WORDS[sentiment])
    width = max(50 * abs(score), 1)
    left = 50 - width if score < 0 else 50
    return (
        f"{_mark(sentiment, _WORDS[sentiment])}<span>{_signed(score)}</span>"
        '<svg class="scale" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="grid" x1="0" y1="3" x2="100" y2="3"/><line class="grid" x1="50" y1="0" x2="50" y2="6"/>'
        f'<rect class="fill-{sentiment}" x="{left:.1f}" y="1.5" width="{width:.1f}" height="3"/></svg>'
    )


def _mark(kind: str, word: str) -> str:
    return f'<span class="mark {kind}"><span aria-hidden="true">{_SIGNS[kind]}</span> {word}</span>'


def _signed(score: float) -> str:
    # The real minus sign is as wide as the plus.
    return f"{score:+.2f}".replace("-", "\u2212")


def _share(count: int, total: int) -> str:
    share = 100 * count / total if total else 0
    return "less than 1 %" if 0 < share < 1 else f"{share:.0f} %"


def _age(timestamp: str, now: datetime) -> str:
    """How long ago, with the exact time; a time that is none stays as it is."""
    try:
        moment = datetime.fromisoformat(timestamp).astimezone(UTC)
    except (ValueError, OverflowError):
        return escape(timestamp)
    seconds = (now - moment).total_seconds()
    exact = _exactly(moment)
    if 0 <= seconds < _MINUTE:
        return _time(moment, "just now", exact)
    for unit, word, limit in ((_MINUTE, "min", _HOUR), (_HOUR, "h", _DAY), (_DAY, "d", 7 * _DAY)):
        if unit <= seconds < limit:
            return _time(moment, f"{seconds // unit:.0f} {word} ago", exact)
    return _time(moment, exact)


def _exactly(moment: datetime) -> str:
    return f"{moment:%d %b %Y, %H:%M} UTC"


def _time(moment: datetime, words: str, exact: str = "") -> str:
    title = f' title="{exact}"' if exact else ""
    # By isoformat: the year of HTML's times has four digits, and strftime's has as few as it needs.
    return f'<time datetime="{moment.isoformat(timespec="seconds")}"{title}>{words}</time>'
