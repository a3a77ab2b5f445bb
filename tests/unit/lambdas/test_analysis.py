import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.fixtures.sentences import KNOWN_TO_BE_WRONG, SENTENCES

ITEM = {"source_id": "news#1", "timestamp": "2026-11-23T05:52:00Z", "tag": "robots"}
GOOD, BAD, DULL = "What a wonderful, happy success", "A horrible, tragic disaster", "The council meets on Tuesday"


def event_of(*messages):
    return {"Records": [{"Sns": {"Message": json.dumps(message)}} for message in messages]}


def message(title=GOOD, text="", **changes):
    return ITEM | {"title": title, "text": text} | changes


@pytest.fixture
def pending(table):
    table.put_item(Item=ITEM | {"status": "pending", "title": GOOD})


def stored(table, source_id="news#1"):
    return table.get_item(Key={"source_id": source_id, "timestamp": ITEM["timestamp"]})["Item"]


@pytest.mark.parametrize(("title", "sentiment"), [(GOOD, "positive"), (BAD, "negative"), (DULL, "neutral")])
@pytest.mark.usefixtures("pending")
def test_a_pending_item_becomes_analyzed_with_sentiment_and_score(analysis, table, context, title, sentiment):
    result = analysis.handler.handle(event_of(message(title)), context)
    item = stored(table)
    assert (item["status"], item["sentiment"]) == ("analyzed", sentiment)
    assert -1 <= item["score"] <= 1
    assert (result["analyzed"], result["items"][0]["sentiment"]) == (1, sentiment)


def test_the_text_counts_beside_the_title(analysis, pending, context):
    result = analysis.handler.handle(event_of(message(DULL, BAD)), context)
    assert result["items"][0]["sentiment"] == "negative"


def test_a_second_delivery_changes_nothing_and_is_no_error(analysis, table, pending, context):
    analysis.handler.handle(event_of(message(GOOD)), context)
    before = stored(table)
    again = analysis.handler.handle(event_of(message(BAD)), context)
    assert (again["analyzed"], again["already_analyzed"]) == (0, 1)
    assert stored(table) == before


def test_an_item_that_is_not_in_the_table_raises_and_is_not_made(analysis, table, context):
    with pytest.raises(analysis.handler.ItemMissingError, match="news#1"):
        analysis.handler.handle(event_of(message()), context)
    assert table.scan()["Items"] == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": []},
        {"Records": [{"Sns": {}}]},
        {"Records": [{"Sns": {"Message": "not json"}}]},
        {"Records": [{"Sns": {"Message": "[]"}}]},
        event_of(message(source_id="")),
        event_of(message(title=None)),
        event_of(message(timestamp=5)),
        event_of(message(probe="yes")),
        event_of(message(probe=True)),
        event_of(message(source_id="probe#1")),
        event_of(message(stored=False)),
        event_of(message(source_id="probe#1", probe=True, stored="yes")),
        event_of(message(source_id="news#\ud83e")),
        event_of(message(timestamp="\udd16")),
        None,
    ],
)
def test_a_malformed_record_raises(analysis, pending, table, context, event):
    with pytest.raises(analysis.messages.MalformedRecordError):
        analysis.handler.handle(event, context)
    assert stored(table)["status"] == "pending"


def test_one_malformed_record_keeps_its_whole_event_from_being_written(analysis, pending, table, context):
    with pytest.raises(analysis.messages.MalformedRecordError):
        analysis.handler.handle(event_of(message(), {}), context)
    assert stored(table)["status"] == "pending"


def test_a_probe_needs_no_item_is_marked_and_expires_in_an_hour(analysis, table, context):
    for analyzed in (1, 0):
        result = analysis.handler.handle(event_of(message(source_id="probe#1", probe=True)), context)
        assert result["analyzed"] == analyzed
    item = stored(table, "probe#1")
    assert item["probe"] is True
    assert abs(int(item["expires_at"]) - (time.time() + 3600)) < 60


def test_a_probe_that_says_that_its_item_is_stored_makes_none(analysis, table, context):
    probe = message(source_id="probe#1", probe=True, stored=True)
    with pytest.raises(analysis.handler.ItemMissingError, match="probe#1"):
        analysis.handler.handle(event_of(probe), context)
    assert table.scan()["Items"] == []
    table.put_item(Item=ITEM | {"source_id": "probe#1", "status": "pending", "probe": True})
    assert analysis.handler.handle(event_of(probe), context)["analyzed"] == 1


@pytest.mark.usefixtures("pending")
def test_the_answer_says_the_title_that_the_table_holds(analysis, context):
    for _ in range(2):
        answer = analysis.handler.handle(event_of(message(BAD)), context)
        assert [item["title"] for item in answer["items"]] == [GOOD]


def test_the_bounds_of_neutral_are_those_of_the_library(analysis, monkeypatch):
    for compound, sentiment in ((0.05, "positive"), (0.0499, "neutral"), (-0.05, "negative"), (-0.0499, "neutral")):
        fake = SimpleNamespace(polarity_scores=lambda text, value=compound: {"compound": value}, emojis={})
        monkeypatch.setattr(analysis.sentiment, "_ANALYZER", fake)
        assert analysis.sentiment.score("x") == (sentiment, Decimal(str(compound)))


def test_the_answer_says_which_build_gave_it(analysis, pending, context):
    result = analysis.handler.handle(event_of(message()), context)
    assert (result["release"], result["digest"], result["version"]) == ("a" * 40, "d" * 64, "7")


def test_fields_that_a_newer_ingestion_sends_change_nothing(analysis, pending, table, context):
    result = analysis.handler.handle(event_of(message(language="en", status="odd", score={"x": [1]})), context)
    assert result["analyzed"] == 1
    assert set(stored(table)) == {*ITEM, "status", "title", "sentiment", "score", "analyzed_at"}


def test_missing_items_are_named_together_and_the_others_of_the_event_are_analyzed(analysis, pending, table, context):
    gone = [message(source_id="news#gone1"), message(source_id="news#gone2")]
    with pytest.raises(analysis.handler.ItemMissingError, match=r"news#gone1.*news#gone2"):
        analysis.handler.handle(event_of(gone[0], message(), gone[1]), context)
    assert stored(table)["status"] == "analyzed"
    assert len(table.scan()["Items"]) == 1


# --- sequences of deliveries

TITLES = ["A wonderful success", "A tragic loss", "The council meets"]
REMOVED, MALFORMED = "removed", "malformed"
REFUSED, LOST = "refused", "lost"


class FaultyTable:
    """The table, with calls that DynamoDB refuses, and calls that it obeys while the answer gets lost."""

    def __init__(self, table, faults):
        self._table, self._faults = table, iter(faults)

    def update_item(self, **call):
        fault = next(self._faults, None)
        if fault == REFUSED:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
        answer = self._table.update_item(**call)
        if fault == LOST:
            raise ConnectionError("the answer was lost")
        return answer


class Deliveries:
    """Delivers events as Lambda does: twice more after an error.

    After each attempt, what was analyzed before is the same as before, and no item is there that was not.
    """

    def __init__(self, analysis, table, context):
        self._handle, self._table, self._context = analysis.handler.handle, table, context
        self._failures = (
            ClientError,
            ConnectionError,
            analysis.handler.ItemMissingError,
            analysis.messages.MalformedRecordError,
        )
        self.analyzed = {}

    def __call__(self, event):
        """The error of the last attempt, None when it went well."""
        for _ in range(3):
            error = None
            try:
                self._handle({"Records": [record(what) for what in event]}, self._context)
            except self._failures as caught:
                error = caught
            self._look()
            if error is None:
                break
        return error

    def _look(self):
        items = {item["source_id"]: item for item in self._table.scan()["Items"]}
        assert set(items) == {f"news#{number}" for number in range(len(TITLES))}
        analyzed = {key: item for key, item in items.items() if item["status"] == "analyzed"}
        assert self.analyzed.items() <= analyzed.items()
        self.analyzed = analyzed


def record(what):
    if what == MALFORMED:
        return {"Sns": {"Message": '{"source_id": "news#0"'}}
    if what == REMOVED:
        return event_of(message("Gone", source_id="news#removed"))["Records"][0]
    return event_of(message(TITLES[what], source_id=f"news#{what}"))["Records"][0]


@given(
    events=st.lists(
        st.lists(st.sampled_from([0, 1, 2, 0, 1, 2, REMOVED, MALFORMED]), min_size=1, max_size=4), max_size=4
    ),
    faults=st.lists(st.sampled_from([None, None, REFUSED, LOST]), max_size=16),
)
@example(events=[[REMOVED, 0], [0, 1, 1], [1, MALFORMED]], faults=[None, LOST, None, LOST, REFUSED])
@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_delivered_how_often_in_which_order_and_fails_between_each_item_is_analyzed_once(
    analysis, table, context, events, faults
):
    for number, title in enumerate(TITLES):
        table.put_item(Item=ITEM | {"source_id": f"news#{number}", "status": "pending", "title": title})
    ticks, deliver = count(), Deliveries(analysis, table, context)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=next(ticks))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis.handler, "datetime", Clock)
        faulty = FaultyTable(table, faults)
        patch.setattr(analysis.handler, "_table", lambda: faulty)
        for event in events:
            error = deliver(event)
            assert isinstance(error, analysis.messages.MalformedRecordError) == (MALFORMED in event)
            assert error or REMOVED not in event
        # What is still pending (its failures outlived the attempts) is announced again by ingestion.
        patch.setattr(analysis.handler, "_table", lambda: table)
        assert all(deliver([number]) is None for number in range(len(TITLES)))
    for number, title in enumerate(TITLES):
        item = deliver.analyzed[f"news#{number}"]
        assert (item["sentiment"], item["score"]) == analysis.sentiment.score(title)
        assert set(item) == {*ITEM, "status", "title", "sentiment", "score", "analyzed_at"}


# --- what a text may be


@pytest.fixture
def code(_analysis):
    """The function's modules, without a table behind them."""
    return _analysis


@pytest.fixture
def score(code):
    return code.sentiment.score


def test_the_sentences_are_enough_of_each_kind():
    assert len(SENTENCES) >= 40
    assert len({sentence.text for sentence in (*SENTENCES, *KNOWN_TO_BE_WRONG)}) == len(SENTENCES) + len(
        KNOWN_TO_BE_WRONG
    )
    for label in ("positive", "neutral", "negative"):
        assert sum(sentence.label == label for sentence in SENTENCES) >= 14


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.text[:40])
def test_a_sentence_has_the_label_that_a_person_gives_it_and_its_score(score, sentence):
    label, value = score(sentence.text)
    assert (label, str(value)) == (sentence.label, sentence.score)


@pytest.mark.parametrize("mistake", KNOWN_TO_BE_WRONG, ids=lambda mistake: mistake.text[:40])
def test_the_known_mistakes_of_the_library_are_still_the_same(score, mistake):
    label, value = score(mistake.text)
    assert (label, str(value)) == (mistake.answered, mistake.score)
    assert label != mistake.label


def test_what_strengthens_and_weakens_a_sentence_moves_its_score(score):
    values = [score(f"The soup was {word}")[1] for word in ("slightly good", "good", "extremely good")]
    assert values == sorted(set(values))
    assert score("We love this bridge!!!") > score("We love this bridge")
    assert score("What a GREAT day for the town") > score("What a great day for the town")
    assert score("The soup isn\u2019t good") == score("The soup isn't good")


@given(text=st.text(st.characters()))
@example(text="\ud83e half a robot \udd16")
@example(text="\x00\x07\x1b[31m great \u202e\u2028\ufeff")
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_has_a_score_from_minus_one_to_one_with_four_decimals(score, text):
    label, value = score(text)
    assert label in {"positive", "neutral", "negative"}
    assert isinstance(value, Decimal)
    assert -1 <= value <= 1
    assert value == round(value, 4)


@pytest.mark.parametrize("odd", ["\ud83e half an emoji, great", "great \x00\x07 \u202e", "great " + "\U0001f916" * 9])
def test_odd_characters_of_a_message_do_not_keep_an_item_from_its_score(analysis, table, pending, context, odd):
    analysis.handler.handle(event_of(message(odd, odd, tag=odd)), context)
    assert stored(table)["sentiment"] == "positive"
    analysis.handler.handle(event_of(message(odd, odd, tag=odd, source_id="probe#1", probe=True)), context)
    # What is written can be written as UTF-8, and so by DynamoDB.
    assert stored(table, "probe#1")["title"].encode()


@pytest.mark.parametrize("letter", ["\U0001f602", "good x ", "but good, ", ":) ", "!", "a", "\u2019"])
def test_a_text_without_end_is_read_to_a_bound_and_an_emoji_counts_as_its_words(code, monkeypatch, letter):
    library, read = code.sentiment._ANALYZER, []

    def polarity_scores(text):
        read.append(text)
        return library.polarity_scores(text)

    watched = SimpleNamespace(polarity_scores=polarity_scores, emojis=library.emojis)
    monkeypatch.setattr(code.sentiment, "_ANALYZER", watched)
    code.sentiment.score(letter * 30_000)
    (text,) = read
    words = sum(len(library.emojis.get(each, each)) for each in text)
    assert 3900 < words <= 4000


def test_all_that_ingestion_sends_is_read(score):
    longest = "x" * 500 + ". " + "y" * 1991 + " horrible"
    assert score(longest)[0] == "negative"
