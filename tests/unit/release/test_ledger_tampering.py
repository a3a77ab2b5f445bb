"""`release history --verify` finds whatever was done to the objects of a ledger behind the releaser's back."""

import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.canonical import canonical_json, sha256
from release.clock import Clock
from release.errors import ReleaseError
from release.ledger.ledger import HEAD, Ledger, entry_key
from release.ledger.lifecycle import Decision, Deployment, ReleaseId, Run, State
from release.ledger.objects import ObjectStore
from tests.unit.release.release_world import MemoryS3

BUCKET = "prod-sentiment-lambda-deployments"
RELEASES = [ReleaseId(digest=f"{number}" * 64, sha=f"{number}" * 40) for number in (1, 2)]
RUN = Run(id="77.1", actor="octo", host="runner", pid=7)


def ledger(s3):
    return Ledger(ObjectStore(BUCKET, s3), "prod", RUN, Clock())


def served(release):
    return Deployment(
        release=release,
        built_at="2026-11-23T05:00:00Z",
        at="2026-11-23T05:00:00Z",
        hand_over={"sha": release.sha},
        functions={},
        dashboard_url="https://dashboard.test/",
        on_call_topic="arn:aws:sns:us-east-1:123456789012:prod-sentiment-on-call",
        alarms=("prod-sentiment-dashboard-errors",),
    )


@cache
def written():
    """The objects of a ledger with a confirmed release, one that was rolled back, and decisions of people."""
    s3 = MemoryS3()
    book, (one, two) = ledger(s3), RELEASES
    for state in (State.LEASED, State.ARMED, State.DEPLOYING, State.DARK, State.LIVE):
        book.append(state, release=one)
    book.append(State.CONFIRMED, release=one, served=served(one), verdicts=[{"outcome": "pass", "numbers": {"n": 800}}])
    for state in (State.LEASED, State.ARMED, State.DEPLOYING, State.ROLLING_BACK):
        book.append(state, release=two, reason="4 of 800 wrong")
    book.append(State.ROLLED_BACK, release=two, served=served(one), blocked=two.digest, reason="4 of 800 wrong")
    book.decide(Decision.FROZEN, reason="the cause is unknown")
    assert book.verify() == []
    return {key: body for (_, key), (body, _, _) in s3.objects.items()}


KEYS = sorted(written())
ENTRIES = [key for key in KEYS if key != HEAD]


def found(objects):
    """What `verify` says of a ledger that consists of these objects; it also may not be able to read it at all."""
    s3 = MemoryS3()
    s3.objects = {(BUCKET, key): (body, f'"{sha256(body)}"', "v") for key, body in objects.items()}
    before = dict(s3.objects)
    problems = ledger(s3).verify()
    assert s3.objects == before, "looking at it has changed it"
    return problems


def test_an_untouched_ledger_has_no_problems():
    assert found(written()) == []
    assert found({}) == []


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KEYS), st.data())
def test_any_changed_byte_is_found(key, data):
    body = written()[key]
    place = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != body[place]))
    assert found({**written(), key: body[:place] + bytes([byte]) + body[place + 1 :]})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KEYS), st.data())
def test_any_byte_slipped_in_or_taken_out_is_found(key, data):
    body = written()[key]
    place = data.draw(st.integers(0, len(body) - 1))
    more = data.draw(st.binary(max_size=3))
    assert found({**written(), key: body[:place] + more + body[place + 1 :]}) or more == body[place : place + 1]


@pytest.mark.parametrize("key", KEYS)
def test_any_removed_object_is_found(key):
    assert found({other: body for other, body in written().items() if other != key})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(ENTRIES), min_size=2, max_size=4, unique=True))
def test_any_entries_that_have_changed_places_are_found(keys):
    swapped = dict(zip(keys, [*keys[1:], keys[0]], strict=True))
    assert found({key: written()[swapped.get(key, key)] for key in KEYS})


@settings(max_examples=100, deadline=None)
@given(st.integers(1, len(ENTRIES)), st.sampled_from(ENTRIES))
def test_an_entry_slipped_in_between_is_found_although_all_after_it_moved_up(place, copied):
    bodies = [written()[key] for key in ENTRIES]
    bodies.insert(place - 1, written()[copied])
    assert found({HEAD: written()[HEAD]} | {entry_key(seq): body for seq, body in enumerate(bodies, start=1)})


@pytest.mark.parametrize("beyond", [1, 2, 9, 10_000])
@pytest.mark.parametrize("what", ["a copy", "an entry of another chain", "no entry"])
def test_what_lies_beyond_the_last_entry_is_found(beyond, what):
    last = written()[ENTRIES[-1]]
    foreign = canonical_json({**json.loads(last), "seq": len(ENTRIES) + beyond, "previous": "f" * 64})
    body = {"a copy": last, "an entry of another chain": foreign, "no entry": b"{}"}[what]
    assert found({**written(), entry_key(len(ENTRIES) + beyond): body})


def test_an_object_that_is_no_entry_at_all_is_found():
    assert found({**written(), "ledger/entries/00000003.json.bak": b"{}"})


def test_a_chain_rewritten_from_the_middle_on_is_found_by_its_head():
    """Somebody who rewrites entries must rewrite all after them, and then the head points elsewhere."""
    objects, previous = dict(written()), ""
    for seq, key in enumerate(ENTRIES, start=1):
        document = json.loads(objects[key])
        if seq == 9:
            document["reason"] = "nothing was wrong"
        if seq > 9:
            document["previous"] = previous
        objects[key] = canonical_json(document)
        previous = sha256(objects[key])
    assert found(objects)


def test_what_a_run_wrote_that_died_before_it_moved_the_head_is_no_tampering():
    objects = dict(written())
    s3 = MemoryS3()
    s3.objects = {(BUCKET, key): (body, f'"{sha256(body)}"', "v") for key, body in objects.items()}
    entry = ledger(s3).decide(Decision.THAWED, reason="the cause is known")
    objects[entry_key(entry.seq)] = s3.objects[BUCKET, entry_key(entry.seq)][0]
    assert found(objects) == []


def test_a_ledger_that_cannot_be_reached_is_not_called_sound(monkeypatch):
    s3 = MemoryS3()

    def out_of_reach(**_):
        raise ReleaseError("S3 is away")

    monkeypatch.setattr(s3, "get_object", out_of_reach)
    with pytest.raises(ReleaseError, match="away"):
        ledger(s3).verify()
