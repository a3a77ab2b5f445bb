"""Walks through the items from page to page."""

import base64
import itertools
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.lambdas.asking import KEY, ask

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SECONDS = [f"2026-11-23T05:52:0{second}Z" for second in range(4)]
SENTIMENTS = ("positive", "neutral", "negative")
QUESTIONS = [{}, {"tag": "robots"}, {"sentiment": "positive"}, {"tag": "robots", "sentiment": "positive"}]


class UnkindTable:
    """Queries of an index as unkind as DynamoDB's may be: items of one second in an order of its own, tiny pages.

    `before_each` is called before each query is answered; `read` counts the items that were handed out.
    """

    def __init__(self, items, seed, largest_page, before_each=lambda: None):
        self.items = {(item["source_id"], item["timestamp"]): item for item in items}
        self._seed, self._largest_page, self.before_each, self.read = seed, largest_page, before_each, 0

    def query(self, *, KeyConditionExpression, Limit, ExclusiveStartKey=None, **question):  # noqa: N803
        self.before_each()
        assert question["ScanIndexForward"] is False
        conditions = KeyConditionExpression.get_expression()
        equal, *below = conditions["values"] if conditions["operator"] == "AND" else [KeyConditionExpression]
        found = [item for item in self.items.values() if all(self._meets(item, each) for each in (equal, *below))]
        order = sorted(found, key=self._place, reverse=True)
        if ExclusiveStartKey:
            order = [item for item in order if self._place(item) < self._place(ExclusiveStartKey)]
        page = order[: min(Limit, self._largest_page)]
        self.read += len(page)
        last = {} if len(page) == len(order) else {"LastEvaluatedKey": page[-1]}
        wanted = set(question["ExpressionAttributeNames"].values())
        return {"Items": [{name: item[name] for name in wanted & set(item)} for item in page]} | last

    def _place(self, item):
        return item["timestamp"], hash((self._seed, item["source_id"])), item["source_id"]

    @staticmethod
    def _meets(item, condition):
        expression = condition.get_expression()
        key, value = expression["values"]
        there = item.get(key.name)
        return {"=": lambda: there == value, "<": lambda: there < value, "<=": lambda: there <= value}[
            expression["operator"]
        ]()


@st.composite
def stored(draw):
    """Items of few seconds, tags and sentiments, with probes between them."""
    items = []
    for number in range(draw(st.integers(0, 14))):
        item = {
            "source_id": f"{draw(st.sampled_from(['news#', 'news#', 'news#', 'probe#']))}{number}",
            "timestamp": draw(st.sampled_from(SECONDS)),
            "tag": draw(st.sampled_from(["robots", "climate"])),
            "status": draw(st.sampled_from(["pending", "analyzed"])),
        }
        if item["status"] == "analyzed":
            item["sentiment"] = draw(st.sampled_from(SENTIMENTS))
        if draw(st.integers(0, 5)) == 0:
            item["probe"] = True
        items.append(item)
    return items


def wanted(items, question):
    """Ids as the API must list them, from its contract alone."""
    found = [
        item
        for item in items
        if "probe" not in item
        and not item["source_id"].startswith("probe#")
        and all(item.get(name) == value for name, value in question.items())
    ]
    found.sort(key=lambda item: (item["timestamp"], item["source_id"]), reverse=True)
    return [item["source_id"] for item in found]


@pytest.fixture
def code(_dashboard):
    """The function's modules, without a table behind them."""
    return _dashboard


@pytest.fixture
def walk(dashboard, context, monkeypatch):
    def walking(question, limits, table=None, between=lambda: None):
        """The ids of all pages; `limits` are the limits of the pages in turn, `between` happens after each."""
        if table:
            monkeypatch.setattr(dashboard.store, "_table", lambda: table)
        seen, after = [], {}
        for _, limit in zip(range(100), itertools.cycle(limits), strict=False):
            status, body, _ = ask(dashboard, context, "/api/items", KEY, question | {"limit": str(limit)} | after)
            assert status == 200
            assert body["count"] == len(body["items"]) <= limit
            seen += [item["source_id"] for item in body["items"]]
            if body["next"] is None:
                return seen
            after = {"after": body["next"]}
            between()
        raise AssertionError("the walk does not end")

    return walking


def limits():
    return st.lists(st.integers(1, 6), min_size=1, max_size=3)


@FAST
@given(
    items=stored(),
    question=st.sampled_from(QUESTIONS),
    limits=limits(),
    seed=st.integers(0, 99),
    page=st.integers(1, 4),
    bound=st.sampled_from([1, 3, 2000]),
)
def test_a_walk_gives_the_whole_sorted_list_exactly_once(walk, dashboard, items, question, limits, seed, page, bound):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dashboard.store, "_LOOKED_AT_MOST", bound)
        assert walk(question, limits, UnkindTable(items, seed, page)) == wanted(items, question)


@FAST
@given(items=stored(), question=st.sampled_from(QUESTIONS), limits=limits(), data=st.data())
def test_a_walk_misses_and_repeats_nothing_while_items_become_analyzed_and_probes_come_and_go(
    walk, items, question, limits, data
):
    table = UnkindTable(items, 7, 2)
    numbers = itertools.count(100)

    def happens():
        waiting = [key for key, item in sorted(table.items.items()) if item["status"] == "pending"]
        if waiting and data.draw(st.booleans()):
            key = data.draw(st.sampled_from(waiting))
            table.items[key] = table.items[key] | {"status": "analyzed", "sentiment": "positive"}
        if data.draw(st.booleans()):
            probe = {"source_id": f"probe#{next(numbers)}", "timestamp": SECONDS[2], "status": "analyzed"}
            table.items[probe["source_id"], probe["timestamp"]] = probe | {"tag": "robots", "sentiment": "positive"}

    # Between the pages, and between the reads of one page.
    table.before_each = happens
    seen = walk(question, limits, table)
    assert len(seen) == len(set(seen))
    assert set(wanted(items, question)) <= set(seen) <= set(wanted(table.items.values(), question))


def test_a_full_last_page_says_that_it_is_the_last(dashboard, context, monkeypatch):
    items = [{"source_id": f"news#{n}", "timestamp": SECONDS[n], "status": "analyzed"} for n in range(4)]
    monkeypatch.setattr(dashboard.store, "_table", lambda: UnkindTable(items, 1, 2))
    following = {limit: ask(dashboard, context, "/api/items", KEY, {"limit": limit})[1]["next"] for limit in "345"}
    assert [limit for limit, cursor in following.items() if cursor is None] == ["4", "5"]


def test_an_item_that_is_removed_in_mid_walk_takes_no_other_with_it(walk):
    items = [{"source_id": f"news#{n}", "timestamp": SECONDS[n % 2], "status": "analyzed"} for n in range(6)]
    table = UnkindTable(items, 1, 2)
    # The order is 5, 3, 1, 4, 2, 0; what a cursor stands on goes, and what was shown before.
    removed = iter(["news#5", "news#3"])

    def remove():
        if name := next(removed, None):
            del table.items[name, SECONDS[1]]

    assert walk({}, [2], table, remove) == ["news#5", "news#3", "news#1", "news#4", "news#2", "news#0"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_pages_of_the_real_indexes_hold_each_item_once_with_equal_times_and_probes_between(walk, table, question):
    items = []
    for number in range(12):
        item = {
            "source_id": f"news#{number}",
            "timestamp": SECONDS[number // 4],
            "tag": ("robots", "climate")[number % 2],
        }
        status = (
            {"status": "pending"} if number % 5 == 0 else {"status": "analyzed", "sentiment": SENTIMENTS[number % 3]}
        )
        items += [item | status, item | status | {"source_id": f"probe#{number}", "probe": True}]
    with table.batch_writer() as batch:
        for item in items:
            batch.put_item(Item=item)
    assert walk(question, [4, 1]) == wanted(items, question)


def test_the_work_for_one_page_is_bounded_and_goes_on_where_it_stopped(walk, dashboard, monkeypatch):
    monkeypatch.setattr(dashboard.store, "_LOOKED_AT_MOST", 50)
    items = [
        {"source_id": f"news#{n}", "timestamp": f"2026-11-23T05:{n // 60:02}:{n % 60:02}Z", "tag": "robots"}
        for n in range(400)
    ]
    items[0]["sentiment"] = "negative"
    table = UnkindTable(items, 1, 10)
    most = 0

    def measure():
        nonlocal most
        most, table.read = max(most, table.read), 0

    assert walk({"tag": "robots", "sentiment": "negative"}, [1], table, measure) == ["news#0"]
    assert 50 <= most <= 60


def encoded(*parts):
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


BAD_CURSORS = {
    "no cursor": "x",
    "another alphabet": "MjAyNi0xMQ.bmV3c/M+.. ",
    "not ASCII": "MjAyNi0xMQ.bmé..",
    "half a surrogate pair": "\udcff",
    "two parts": encoded(b"2026", b"news#1"),
    "five parts": encoded(b"2026", b"news#1", b"", b"", b""),
    "no time": encoded(b"", b"news#1", b"", b""),
    "no text": encoded(b"\xff\xfe", b"news#1", b"", b""),
    "padding": encoded(b"2026", b"news#1", b"", b"").replace(".", "==.", 1),
    "spare bits": encoded(b"2026", b"news#1", b"", b"").replace("MjAyNg", "MjAyNh"),
    "a character that decoders skip": encoded(b"2026", b"news#1", b"", b"") + "!",
    "of another tag": encoded(b"2026", b"news#1", b"climate", b""),
    "of another sentiment": encoded(b"2026", b"news#1", b"", b"positive"),
    "too long": encoded(b"2026", b"n" * 1100, b"", b""),
    "a mountain": "A" * 100_000,
}


@pytest.mark.parametrize("cursor", BAD_CURSORS.values(), ids=BAD_CURSORS)
def test_a_malformed_foreign_or_long_cursor_is_none(code, cursor):
    with pytest.raises(code.cursor.CursorError):
        code.cursor.to_position(cursor, tag="", sentiment="")


@pytest.mark.usefixtures("table")
def test_what_is_no_cursor_is_400_and_the_answer_says_what_one_is(dashboard, context):
    for cursor in BAD_CURSORS.values():
        status, body, _ = ask(dashboard, context, "/api/items", KEY, {"after": cursor})
        assert (status, body) == (400, {"error": "after is the `next` of an answer to the same question"})


@FAST
@given(
    cursor=st.one_of(st.text(), st.text("ABCabc019-_.="), st.lists(st.binary(), max_size=4).map(lambda x: encoded(*x)))
)
def test_no_text_at_all_makes_a_cursor_fail_otherwise(dashboard, context, cursor):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dashboard.store, "_table", lambda: SimpleNamespace(query=lambda **_: {"Items": []}))
        assert ask(dashboard, context, "/api/items", KEY, {"after": cursor})[0] in {200, 400}


@given(parts=st.tuples(st.text(min_size=1, max_size=20), st.text(max_size=20), st.text(max_size=20)))
@FAST
def test_a_cursor_can_stand_in_a_url_and_leads_back_to_its_position(code, parts):
    timestamp, source_id, tag = parts
    position = code.cursor.Position(timestamp, source_id)
    cursor = code.cursor.to_cursor(position, tag=tag, sentiment="")
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert code.cursor.to_position(cursor, tag=tag, sentiment="") == position


@pytest.mark.usefixtures("table")
def test_an_empty_cursor_is_the_beginning_and_the_longest_question_has_room_in_one(dashboard, context):
    assert ask(dashboard, context, "/api/items", KEY, {"after": ""})[0] == 200
    position = dashboard.cursor.Position(SECONDS[0], "news#" + "f" * 32)
    question = {"tag": "\U0001f916" * 100, "sentiment": "positive"}
    query = question | {"after": dashboard.cursor.to_cursor(position, **question)}
    assert ask(dashboard, context, "/api/items", KEY, query)[0] == 200
