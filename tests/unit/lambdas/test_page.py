"""The page for people, as HTML."""

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.lambdas import asking
from tests.unit.lambdas.asking import KEY

NOW = datetime(2026, 11, 23, 6, 0, 30, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The page's elements, with the text of each, and its structure checked while it is read."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def metrics_of(today=(0, 0, 0), by_tag=None, pending=0, counted_from="", pending_counted_from=""):
    counts = dict(zip(("positive", "neutral", "negative"), today, strict=True))
    by_day = {f"2026-11-{day}": dict.fromkeys(counts, 0) for day in range(10, 24)} | {"2026-11-23": counts}
    return {
        "total": sum(today),
        "by_sentiment": counts,
        "by_tag": by_tag or {},
        "by_day": by_day,
        "counted_from": counted_from,
        "pending": pending,
        "pending_counted_from": pending_counted_from,
        "truncated": bool(counted_from or pending_counted_from),
    }


@pytest.fixture
def code(_dashboard):
    """The function's modules, without a table behind them."""
    return _dashboard


@pytest.fixture
def render(code):
    def rendering(metrics, items=(), now=NOW, tag=""):
        build = code.page.Build(environment="preprod", release="a" * 40, version="7")
        html = code.page.render(build, metrics, items, now, tag)
        return html, Page(html)

    return rendering


def item(**changes):
    return {"source_id": "news#1", "timestamp": "2026-11-23T05:00:30Z", "tag": "robots", "title": "T"} | changes


def test_the_page_shows_numbers_trend_tags_news_and_which_build_made_it(dashboard, context, table):
    now = datetime.now(UTC)
    for number, sentiment in enumerate(["positive", "positive", "negative", None]):
        timestamp = (now - timedelta(hours=number, minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        one = item(source_id=f"news#{number}", timestamp=timestamp, title=f"Title {number}")
        known = {"status": "analyzed", "sentiment": sentiment, "score": Decimal("-0.5")} if sentiment else {}
        table.put_item(Item=one | {"status": "pending"} | known)
    table.put_item(Item=item(source_id="probe#1", title="made up", status="analyzed", sentiment="neutral", probe=True))
    status, html, headers = asking.ask(dashboard, context, "/", KEY)
    page = Page(html)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    for text in ("Analyzed 3", "Positive 2 67 % of all", "Neutral 0 0 % of all", "Negative 1 33 % of all", "Pending 1"):
        assert text in page.text
    assert "made up" not in page.text
    assert re.findall(r"Title \d robots · (\d+ \w+) ago", page.text) == ["5 min", "1 h", "2 h", "3 h"]
    assert "\u22120.50" in page.text
    assert page.text.endswith("Release aaaaaaaaaaaa , version 7, preprod")
    assert "a" * 40 in html


def test_the_page_of_a_tag_shows_its_items_alone_and_says_so(dashboard, context, table):
    for number, tag in enumerate(("robots", "moon")):
        table.put_item(Item=item(source_id=f"news#{number}", tag=tag, title=f"About {tag}", status="pending"))
    for tag, shown, hidden in (("moon", "About moon", "About robots"), ("mars", "There is none.", "About")):
        status, html, _ = asking.ask(dashboard, context, "/", KEY, {"tag": tag})
        page = Page(html)
        assert status == 200
        assert f"items with the tag {tag}" in page.text
        assert shown in page.text
        assert hidden not in page.text
    assert asking.ask(dashboard, context, "/", KEY, {"tag": "x" * 101})[0] == 400


@given(tag=st.text(min_size=1))
@example(tag=EVIL)
@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_tag_is_asked_for_is_text(render, tag):
    _, page = render(metrics_of((1, 0, 0)), tag=tag)
    assert [name for name, _ in page.elements] == [
        name for name, _ in render(metrics_of((1, 0, 0)), tag="x")[1].elements
    ]


def test_whatever_the_news_wrote_is_text_and_only_web_addresses_are_links(render):
    items = [item(title=EVIL, tag=EVIL, timestamp=EVIL, sentiment=EVIL, score=EVIL, url=f"https://x.example/{EVIL}")]
    items += [item(url=url) for url in ("javascript:alert(1)", " https://x.example", "data:text/html,x", 5)]
    html, page = render(metrics_of((1, 0, 0), by_tag={EVIL: 1}, pending=1), items)
    assert {"script", "img"}.isdisjoint(name for name, _ in page.elements)
    assert [attributes["href"] for name, attributes in page.elements if name == "a"] == [f"https://x.example/{EVIL}"]
    assert not any(name.startswith("on") or name == "style" for _, each in page.elements for name in each)
    assert "".join(page.texts).count(EVIL) == 4
    assert "javascript:" not in html


@given(texts=st.lists(st.text(), min_size=5, max_size=5), score=st.floats(-1, 1))
@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_of_an_item_breaks_the_page(render, texts, score):
    title, tag, url, timestamp, sentiment = texts
    one = item(title=title, tag=tag, url="https://" + url, timestamp=timestamp, sentiment=sentiment, score=score)
    plain, with_text = (render(metrics_of((1, 0, 0), {tag: 1}), items) for items in ([], [one]))
    assert len(with_text[1].elements) > len(plain[1].elements)


def test_an_item_of_another_release_that_lacks_everything_is_shown_as_far_as_it_goes(render):
    bare = {"source_id": "news#1", "timestamp": "2026-11-23T05:59:40Z"}
    _, page = render(metrics_of((1, 0, 0)), [bare, bare | {"sentiment": "positive", "score": "high"}])
    assert "without a title · just now ◷ Pending" in page.text
    assert "without a title · just now ▲ Positive" in page.text
    assert "high" not in page.text


def test_the_page_allows_exactly_its_own_style_and_loads_nothing(dashboard, context, table):
    table.put_item(Item=item(status="analyzed", sentiment="positive", score=Decimal("0.5")))
    _, html, headers = asking.ask(dashboard, context, "/", KEY)
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    attributes = {name for _, each in Page(html).elements for name in each}
    assert {"style", "src", "srcset", "onload", "onclick", "xlink:href"}.isdisjoint(attributes)
    assert not re.search(r"@import|url\(|https?:", style)


def test_every_class_that_the_page_uses_has_a_style_and_the_other_way_round(render, code):
    items = [item(sentiment=name, score=0.1) for name in ("positive", "neutral", "negative")]
    tags = {f"tag {number}": 1 for number in range(20)}
    htmls = [
        render(metrics_of((1, 1, 1), tags, 1, "2026-11-20T07:00:00Z"), [*items, item()])[0],
        render(metrics_of())[0],
    ]
    used = {name for text in htmls for value in re.findall(r'class="([^"]*)"', text) for name in value.split()}
    styled = set(re.findall(r"\.([a-z][a-z-]*)", code.style.STYLE))
    assert styled <= used
    assert used - styled <= {"day", "month", "value"}  # marks for readers of the source


def test_an_empty_table_is_a_friendly_page_and_no_empty_tables(render):
    _, page = render(metrics_of())
    assert "No news yet" in page.text
    assert "svg" not in {name for name, _ in page.elements}
    assert "table" not in {name for name, _ in page.elements}


def test_items_that_all_wait_are_shown_without_a_trend(render):
    _, page = render(metrics_of(pending=2), [item()])
    for text in ("Analyzed 0", "Positive 0 0 %", "Pending 2", "Nothing of these days is analyzed yet", "No tag has"):
        assert text in page.text


def test_a_number_that_is_a_lower_bound_says_so_and_no_other(render):
    assert "at least" not in render(metrics_of((5000, 1, 1), {"robots": 9}, 3))[1].text
    _, page = render(metrics_of((5000, 1, 1), {"robots": 9}, 3, counted_from="2026-11-22T07:00:30Z"))
    for text in (
        "back to 22 Nov 2026, 07:00 UTC",
        "Analyzed at least 5,002",
        "Positive at least 5,000 100 % of those counted",
        "robots at least 9",
        "Pending 3",
        "23 Nov 5,000 1 1",
        "22 Nov at least 0 at least 0 at least 0",
        "21 Nov not counted not counted not counted",
    ):
        assert text in page.text
    _, page = render(metrics_of((5000, 1, 1), pending=3, pending_counted_from="2026-11-22T07:00:00Z"))
    assert "Pending at least 3" in page.text
    assert "Analyzed 5,002" in page.text


def test_bars_are_of_days_that_are_wholly_counted(render):
    html, page = render(metrics_of((5, 0, 0), counted_from="2026-11-20T07:00:00Z"))
    assert [text.text for text in svg_of(html).findall("text[@class='day']")] == ["21", "22", "23"]
    assert "No day could be counted as a whole" not in page.text
    html, page = render(metrics_of((5, 0, 0), counted_from="2026-11-23T07:00:00Z"))
    assert 'class="trend"' not in html
    assert "No day could be counted as a whole" in page.text


@pytest.mark.parametrize(
    ("counts", "share"), [((1, 0, 0), "100 %"), ((1, 999, 0), "less than 1 %"), ((2, 1, 0), "67 %")]
)
def test_shares_are_of_all_that_is_analyzed(render, counts, share):
    assert f"Positive {counts[0]} {share} of all" in render(metrics_of(counts))[1].text


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        ("2026-11-23T06:00:30Z", "just now"),
        ("2026-11-23T05:59:31Z", "just now"),
        ("2026-11-23T05:59:30Z", "1 min ago"),
        ("2026-11-23T05:00:31Z", "59 min ago"),
        ("2026-11-23T05:00:30Z", "1 h ago"),
        ("2026-11-22T06:00:31Z", "23 h ago"),
        ("2026-11-22T06:00:30Z", "1 d ago"),
        ("2026-11-16T06:00:31Z", "6 d ago"),
        ("2026-11-16T06:00:30Z", "16 Nov 2026, 06:00 UTC"),
        ("2026-11-23T08:00:30+02:00", "just now"),
        ("2026-11-23T06:00:31Z", "23 Nov 2026, 06:00 UTC"),
        ("yesterday", "yesterday"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_the_age_of_an_item_is_in_words_while_it_is_young(render, timestamp, words):
    assert f"robots · {words} ◷" in render(metrics_of((1, 0, 0)), [item(timestamp=timestamp)])[1].text


@given(moment=st.datetimes(timezones=st.timezones() | st.just(UTC)))
@example(moment=datetime(987, 6, 5, 4, 3, 2, 1, tzinfo=UTC))
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_time_of_the_page_is_a_valid_time_of_html(render, moment):
    html, _ = render(metrics_of((1, 0, 0)), [item(timestamp=moment.isoformat())])
    times = re.findall(r'<time datetime="(.*?)"', html)
    assert times
    for time in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", time, re.ASCII), time
        datetime.fromisoformat(time)


def test_many_tags_are_cut_to_the_largest_and_the_rest_is_counted(render):
    tags = {f"tag{number:02}": number for number in range(1, 16)}
    page = render(metrics_of((120, 0, 0), tags))[1]
    assert re.findall(r"tag(\d+)", page.text) == [f"{number:02}" for number in range(15, 3, -1)]
    assert "and 3 more" in page.text
    assert "without a tag" in render(metrics_of((1, 0, 0), {"": 1}))[1].text


def svg_of(html):
    # As HTML it needs no namespace; to read it as XML neither.
    return ET.fromstring(re.search(r'<svg class="trend".*?</svg>', html)[0])


def test_the_trend_has_a_title_and_a_description_and_its_numbers_stand_in_a_table(render):
    html, page = render(metrics_of((3, 1, 2)))
    svg = svg_of(html)
    assert svg.get("role") == "img"
    named = {element.get("id"): element.text for element in svg if element.get("id")}
    title, description = (named[name] for name in svg.get("aria-labelledby").split())
    assert title == "Analyzed items per day, the last 14 days"
    assert "6 items in all, most of them on 23 November: 6" in description
    assert "23 Nov 3 1 2 22 Nov 0 0 0" in page.text


@given(
    days=st.lists(st.tuples(*[st.integers(0, 5000)] * 3), min_size=14, max_size=14).filter(lambda d: any(map(any, d)))
)
@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bars_are_as_high_as_their_counts_stand_on_each_other_and_stay_inside(code, days):
    names = ("positive", "neutral", "negative")
    by_day = {f"2026-11-{10 + n}": dict(zip(names, counts, strict=True)) for n, counts in enumerate(days)}
    svg = ET.fromstring(code.trend.trend(by_day))
    height = int(svg.get("viewBox").split()[3])
    bars = svg.findall("rect")
    assert len(bars) == sum(count > 0 for counts in days for count in counts)
    lines = [float(line.get("y1")) for line in svg.findall("line")]
    bottom, top = max(lines), min(lines)
    columns = {}
    for bar in bars:
        columns.setdefault(bar.get("x"), []).append((float(bar.get("y")), float(bar.get("height"))))
    most = max(map(sum, days))
    unit = None
    for parts, counts in zip(columns.values(), [counts for counts in days if any(counts)], strict=True):
        floor = bottom
        for (y, part), count in zip(parts, filter(None, counts), strict=True):
            assert y + part == pytest.approx(floor, abs=0.2)
            floor = y
            if count > most / 10:
                unit = unit or part / count
                assert part / count == pytest.approx(unit, rel=0.05)
        assert top - 0.1 <= floor <= bottom <= height


@pytest.mark.parametrize(
    ("most", "top"), [(1, "1"), (3, "4"), (7, "8"), (9, "10"), (41, "60"), (999, "1k"), (1001, "2k"), (15000, "20k")]
)
def test_the_axis_ends_at_a_round_number_that_has_a_half(render, most, top):
    values = [text.text for text in svg_of(render(metrics_of((most, 0, 0)))[0]).findall("text[@class='value']")]
    assert values[-1] == top
    assert len(values) == (2 if most == 1 else 3)


def test_the_axis_names_the_first_month_and_each_new_one(code):
    days = {f"2026-11-{day}": {"positive": 1} for day in (29, 30)} | {
        f"2026-12-0{day}": {"positive": 1} for day in (1, 2)
    }
    svg = ET.fromstring(code.trend.trend(days))
    assert [text.text for text in svg.findall("text[@class='month']")] == ["Nov", "Dec"]
    assert [text.text for text in svg.findall("text[@class='day']")] == ["29", "30", "1", "2"]
