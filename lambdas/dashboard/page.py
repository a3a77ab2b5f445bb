"""The page for people: counts and the newest items, every text escaped, no script."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #dde3ea}"
    ".positive{color:#12703a}.negative{color:#b3261e}.neutral,footer{color:#5a6675}"
    "ul{display:flex;gap:2rem;list-style:none;padding:0;font-size:1.2rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Allows this page's one style block, and nothing else."""


def render(environment: str, release: str, metrics: dict[str, Any], items: list[dict[str, Any]]) -> str:
    """The HTML document."""
    counts = "".join(
        f'<li class="{escape(name)}">{escape(name)} <b>{count}</b></li>'
        for name, count in metrics["by_sentiment"].items()
    )
    tags = "".join(f"<tr><td>{escape(tag)}</td><td>{count}</td></tr>" for tag, count in metrics["by_tag"].items())
    rows = "".join(_row(item) for item in items)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Sentiment, {escape(environment)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Sentiment of the news <small>{escape(environment)}</small></h1>"
        f"<ul>{counts}<li>pending <b>{metrics['pending']}</b></li></ul>"
        f"<h2>Tags</h2><table><tr><th>Tag</th><th>Items</th></tr>{tags}</table>"
        f"<h2>Newest</h2><table><tr><th>Time</th><th>Title</th><th>Tag</th><th>Sentiment</th></tr>{rows}</table>"
        f"<footer>Release {escape(release)}</footer></body></html>"
    )


def _row(item: dict[str, Any]) -> str:
    title = escape(str(item.get("title", "")))
    url = str(item.get("url", ""))
    # Any other scheme (javascript:) stays text.
    if url.startswith(("https://", "http://")):
        title = f'<a href="{escape(url)}" rel="noopener noreferrer">{title}</a>'
    sentiment = escape(str(item.get("sentiment", item.get("status", ""))))
    score = f" {item['score']:+.2f}" if "score" in item else ""
    return (
        f"<tr><td>{escape(str(item['timestamp']))}</td><td>{title}</td><td>{escape(str(item.get('tag', '')))}</td>"
        f'<td class="{sentiment}">{sentiment}{score}</td></tr>'
    )
