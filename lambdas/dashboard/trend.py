"""The trend of the last days as an inline SVG: stacked bars that differ by colour and by pattern."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

_WIDTH, _HEIGHT = 700, 310
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 4, 26, 52
_THOUSAND = 1000
_BAR = 0.66
"""Width of a bar as a share of its day's room."""

# The pattern of each sentiment: not everybody tells red from green. Ids are looked up in the whole document.
_PATTERNS = (
    '<pattern id="p-positive" width="8" height="8" patternUnits="userSpaceOnUse">'
    '<rect class="fill-positive" width="8" height="8"/></pattern>'
    '<pattern id="p-neutral" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect class="fill-neutral" width="6" height="6"/><circle class="dot" cx="3" cy="3" r="1"/></pattern>'
    '<pattern id="p-negative" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="fill-negative" width="6" height="6"/>'
    '<line class="hatch" x1="0" y1="0" x2="0" y2="6" stroke-width="2"/></pattern>'
)


def trend(by_day: Mapping[str, Mapping[str, int]]) -> str:
    """The SVG of counts by day and sentiment, in their given order; the first sentiment stands at the bottom."""
    totals = {day: sum(counts.values()) for day, counts in by_day.items()}
    top = _round_up(max(totals.values()))
    most = max(totals, key=lambda day: totals[day])
    room = (_WIDTH - _LEFT - _RIGHT) / len(by_day)
    days = "".join(
        _day(date.fromisoformat(day), counts, middle=_LEFT + room * (number + 0.5), width=room * _BAR, top=top)
        for number, (day, counts) in enumerate(by_day.items())
    )
    months = "".join(
        _text(_LEFT + room * (number + 0.5), _HEIGHT - 6, f"{date.fromisoformat(day):%b}", "middle", "month")
        for number, day in enumerate(by_day)
        if number == 0 or day.endswith("-01")
    )
    return (
        f'<svg class="trend" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="trend-title trend-text">'
        f'<title id="trend-title">Analyzed items per day, the last {len(by_day)} days</title>'
        f'<desc id="trend-text">Stacked bars by sentiment. {sum(totals.values()):,} items in all, most of them on '
        f"{date.fromisoformat(most):%d %B}: {totals[most]:,}. The table below holds all numbers.</desc>"
        f"<defs>{_PATTERNS}</defs>{_grid(top)}{days}{months}</svg>"
    )


def legend(sentiments: Mapping[str, str]) -> str:
    """The key to the bars: sentiments and their words."""
    entries = "".join(
        '<li><svg width="16" height="16" aria-hidden="true">'
        f'<rect width="16" height="16" rx="3" fill="url(#p-{sentiment})"/></svg>{word}</li>'
        for sentiment, word in sentiments.items()
    )
    return f'<ul class="legend">{entries}</ul>'


def _day(day: date, counts: Mapping[str, int], *, middle: float, width: float, top: int) -> str:
    parts, below = [], 0
    for sentiment, count in counts.items():
        if count:
            below += count
            parts.append(
                f'<rect x="{middle - width / 2:.1f}" y="{_height_of(below, top):.1f}" width="{width:.1f}" '
                f'height="{_height_of(0, top) - _height_of(count, top):.1f}" fill="url(#p-{sentiment})">'
                f"<title>{day:%d %b}: {count:,} {sentiment}</title></rect>"
            )
    if below:
        parts.append(_text(middle, _height_of(below, top) - 6, _short(below), "middle", "sum"))
    return "".join(parts) + _text(middle, _HEIGHT - 30, str(day.day), "middle", "day")


def _grid(top: int) -> str:
    lines = ""
    for value in (0, top // 2, top) if top > 1 else (0, top):
        y = _height_of(value, top)
        lines += f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        lines += _text(_LEFT - 8, y + 4, _short(value), "end", "value")
    return lines


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _height_of(value: int, top: int) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top


def _round_up(value: int) -> int:
    """The next number that looks well on an axis and has a whole half."""
    step = 10 ** max(0, math.floor(math.log10(value)) if value else 0)
    return next(step * factor for factor in (1, 2, 4, 6, 8, 10) if step * factor >= max(value, 1))


def _short(count: int) -> str:
    return str(count) if count < _THOUSAND else f"{count / _THOUSAND:.2g}k"
