"""Ledger, lease and objects: nothing is overwritten, nothing is lost, and every tampering is found."""

import json
import os

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from release.clock import Clock
from release.errors import LeaseLost, Refused, ReleaseError
from release.ledger.lease import KEY, Lease
from release.ledger.ledger import HEAD, Ledger, entry_key, this_run
from release.ledger.lifecycle import ENDS, PROMISES, Deployment, IllegalStepError, ReleaseId, Run, State
from release.ledger.objects import AlreadyThereError, LostError, ObjectStore
from release.processes import is_alive, machine, started
from release.settings import ReleaseSettings
from tests.examples import examples
from tests.unit.release.release_world import MemoryS3, client_error

BUCKET = "prod-sentiment-lambda-deployments"
ONE = ReleaseId(digest="1" * 64, sha="1" * 40)
TWO = ReleaseId(digest="2" * 64, sha="2" * 40)


def run(number):
    return Run(id=f"run-{number}", actor="tester")


def served(release):
    return Deployment(
        release=release,
        built_at="2026-11-23T05:00:00Z",
        at="2026-11-23T05:00:00Z",
        hand_over={},
        functions={},
        dashboard_url="https://dashboard.test/",
        on_call_topic="",
        alarms=(),
    )


@pytest.fixture
def s3():
    return MemoryS3()


def ledger(s3, number=1, stack="prod"):
    return Ledger(ObjectStore(BUCKET, s3), stack, run(number), Clock())


def confirm(s3, release, number=1):
    book = ledger(s3, number)
    for state in (State.LEASED, State.ARMED, State.DEPLOYING, State.DARK, State.LIVE):
        book.append(state, release=release)
    return book.append(State.CONFIRMED, release=release, served=served(release))


@pytest.fixture(params=["memory", pytest.param("moto", marks=pytest.mark.slow)])
def objects(request, s3, monkeypatch):
    if request.param == "memory":
        yield ObjectStore(BUCKET, s3)
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield ObjectStore(BUCKET, client)


def test_a_key_is_created_once_and_the_same_bytes_again_are_fine(objects):
    version = objects.create("packages/a", b"one")
    assert objects.create("packages/a", b"one") == version
    with pytest.raises(AlreadyThereError):
        objects.create("packages/a", b"other")
    assert objects.get("packages/a").body == b"one"
    assert objects.get("packages/b") is None


def test_compare_and_swap_has_one_winner(objects):
    first = objects.swap(HEAD, b"1", None)
    second = objects.swap(HEAD, b"2", first)
    with pytest.raises(LostError):
        objects.swap(HEAD, b"3", first)
    with pytest.raises(LostError):
        objects.swap(HEAD, b"3", None)
    assert objects.swap(HEAD, b"4", second)


def test_a_missing_bucket_is_explained(s3, monkeypatch):
    monkeypatch.setattr(s3, "get_object", lambda **_: (_ for _ in ()).throw(client_error("NoSuchBucket")))
    with pytest.raises(ReleaseError) as error:
        ObjectStore(BUCKET, s3).get("x")
    assert "prod-foundation" in error.value.next_step


def test_a_conflict_of_two_writes_is_tried_again(s3):
    left = [client_error("ConditionalRequestConflict")] * 2
    s3.before_put = lambda bucket, key: (_ for _ in ()).throw(left.pop()) if left else None
    assert ObjectStore(BUCKET, s3).create("packages/a", b"one")


def test_who_may_only_read_is_told_nothing_about_missing_objects(s3, monkeypatch):
    monkeypatch.setattr(s3, "get_object", lambda **_: (_ for _ in ()).throw(client_error("AccessDenied")))
    assert ObjectStore(BUCKET, s3, denied_is_missing=True).get("x") is None
    with pytest.raises(ReleaseError):
        ObjectStore(BUCKET, s3).get("x")


def test_entries_are_numbered_chained_and_written_once(s3):
    confirm(s3, ONE)
    book = ledger(s3)
    entries = book.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[0].previous == "0" * 64
    assert len({entry.previous for entry in entries}) == 6
    assert book.verify() == []
    assert [key for key in s3.log if key != HEAD] == [entry_key(number) for number in range(1, 7)]


@pytest.mark.parametrize("how", ["changed", "removed", "slipped in", "head"])
def test_any_tampering_is_found(s3, how):
    confirm(s3, ONE)
    key = (BUCKET, entry_key(3))
    body, etag, version = s3.objects[key]
    if how == "changed":
        s3.objects[key] = (body.replace(b'"DEPLOYING"', b'"DARK"'), etag, version)
    elif how == "removed":
        del s3.objects[key]
    elif how == "slipped in":
        document = json.loads(body)
        s3.objects[key] = (json.dumps({**document, "reason": "never happened"}).encode(), etag, version)
    else:
        head, etag, version = s3.objects[BUCKET, HEAD]
        s3.objects[BUCKET, HEAD] = (head.replace(b'"CONFIRMED"', b'"ROLLED_BACK"'), etag, version)
    assert ledger(s3).verify()


def test_a_run_killed_between_entry_and_head_loses_nothing(s3):
    confirm(s3, ONE)

    def die(bucket, key):
        if key == entry_key(7):
            raise KeyboardInterrupt

    s3.after_put = die
    with pytest.raises(KeyboardInterrupt):
        ledger(s3, 2).append(State.LEASED, release=TWO)
    s3.after_put = lambda bucket, key: None
    view = ledger(s3, 3).view()
    assert view.attempt.run.id == "run-2"
    assert ledger(s3, 3).verify() == []


def test_the_loser_of_a_race_looks_again_whether_its_step_is_still_allowed(s3):
    confirm(s3, ONE)
    raced = []

    def overtake(bucket, key):
        if key == entry_key(7) and not raced:
            raced.append(key)
            other = ledger(s3, 9)
            for state in (State.LEASED, State.ARMED, State.DEPLOYING):
                other.append(state, release=TWO)

    s3.before_put = overtake
    with pytest.raises(IllegalStepError):
        ledger(s3, 2).append(State.LEASED, release=ONE)
    assert ledger(s3).verify() == []


def test_nobody_goes_on_for_another_run(s3):
    ledger(s3, 1).append(State.LEASED, release=ONE)
    with pytest.raises(IllegalStepError):
        ledger(s3, 2).append(State.ARMED, release=ONE)


def test_a_refusal_puts_back_what_stood_before(s3):
    confirm(s3, ONE)
    book = ledger(s3, 2)
    book.append(State.LEASED, release=TWO)
    book.append(State.REFUSED, release=TWO, rule="cannot-go-back")
    view = book.view()
    assert (view.state, view.attempt, view.confirmed.release) == (State.CONFIRMED, None, ONE)


def test_what_has_changed_something_is_not_refused_any_more(s3):
    book = ledger(s3)
    for state in (State.LEASED, State.ARMED, State.DEPLOYING):
        book.append(state, release=ONE)
    with pytest.raises(IllegalStepError):
        book.append(State.REFUSED, release=ONE)


def test_a_damaged_ledger_is_explained(s3):
    confirm(s3, ONE)
    s3.objects[BUCKET, HEAD] = (b"{", '"e"', "v")
    with pytest.raises(ReleaseError, match="cannot be read"):
        ledger(s3).view()


def test_every_state_says_what_it_promises():
    assert set(PROMISES) == set(State)


@settings(max_examples=examples(40))
@given(st.lists(st.tuples(st.sampled_from(list(State)), st.integers(1, 3), st.booleans()), max_size=25))
def test_whatever_is_tried_the_chain_holds_and_a_confirmed_release_is_never_lost(steps):
    s3, confirmed = MemoryS3(), None
    for state, number, second in steps:
        release = TWO if second else ONE
        book = ledger(s3, number)
        try:
            book.append(state, release=release, served=served(release) if state is State.CONFIRMED else None)
        except IllegalStepError:
            continue
        confirmed = release if state is State.CONFIRMED else confirmed
    view = ledger(s3).view()
    assert ledger(s3).verify() == []
    assert (view.confirmed.release if view.confirmed else None) == confirmed
    assert (view.attempt is None) or view.attempt.state not in ENDS


# The lease


def lease(s3, who):
    return Lease(ObjectStore(BUCKET, s3), "prod", who, Clock(1000))


IMPATIENT = ReleaseSettings(lease_wait_s=0)


def test_one_run_holds_the_lease_and_the_other_is_told_who(s3):
    first = lease(s3, run(1))
    first.take("promote", IMPATIENT, print)
    with pytest.raises(Refused, match="run-1") as refused:
        lease(s3, run(2)).take("promote", IMPATIENT, print)
    assert refused.value.rule == "lease-held"
    first.give_back()
    lease(s3, run(2)).take("promote", IMPATIENT, print)


def test_a_waiting_run_says_so_once_and_goes_on_when_it_is_free(s3):
    first, said = lease(s3, run(1)), []
    first.take("promote", IMPATIENT, print)

    def say(line):
        said.append(line)
        first.give_back()

    lease(s3, run(2)).take("promote", ReleaseSettings(lease_wait_s=100, lease_poll_s=1), say)
    assert len(said) == 1


def here(name, **changes):
    return Run(**{"id": f"local-{name}", "actor": "x", "host": "here", "pid": 1, "machine": "this boot"} | changes)


@pytest.mark.parametrize(
    ("other", "mine", "taken"),
    [
        (here("a", pid=2**22 + 1), here("b"), True),
        (here("a", pid=os.getpid()), here("b"), False),
        (here("a", pid=os.getpid(), began=started(os.getpid())), here("b"), False),
        (here("a", pid=os.getpid(), began="1"), here("b"), True),
        (here("a", pid=2**22 + 1, machine="other boot"), here("b"), False),
        (here("a", pid=2**22 + 1, machine=""), here("b", machine=""), False),
        (Run(id="77.1", actor="x"), Run(id="77.2", actor="x"), True),
        (Run(id="77.2", actor="x"), Run(id="77.1", actor="x", host="y"), False),
        (Run(id="77.1", actor="x", job="rollback"), Run(id="77.1", actor="x", job="deploy"), False),
        (Run(id="77.1", actor="x"), Run(id="78.1", actor="x"), False),
    ],
    ids=[
        "dead here",
        "alive here",
        "alive here, its start known",
        "its process id given out again",
        "another machine of the same name",
        "of an older releaser that names no machine",
        "later attempt of the run",
        "earlier attempt of the run",
        "another job of the attempt",
        "another run",
    ],
)
def test_a_lease_is_taken_over_only_from_a_run_that_is_known_to_be_over(s3, other, mine, taken):
    lease(s3, other).take("promote", IMPATIENT, print)
    if taken:
        lease(s3, mine).take("rollback", IMPATIENT, print)
    else:
        with pytest.raises(ReleaseError):
            lease(s3, mine).take("rollback", IMPATIENT, print)


@given(other=st.text(alphabet="0123456789", min_size=1), mine=st.text(alphabet="0123456789", min_size=1))
def test_a_run_with_another_id_is_never_ours_whichever_is_the_greater(other, mine):
    held, asking = Run(id=f"{other}.1", actor="octo"), Run(id=f"{mine}.2", actor="octo")
    assert Lease(ObjectStore(BUCKET, MemoryS3()), "prod", asking, Clock(1000)).is_ours(held) is (other == mine)


def test_the_job_that_goes_back_takes_over_from_another_job_of_its_attempt_and_that_one_not_from_it(s3):
    deploy, back = (Run(id="77.1", actor="x", host=job, job=job) for job in ("deploy", "rollback"))
    assert lease(s3, back).is_ours(deploy, later_job=True)
    assert not lease(s3, deploy).is_ours(back)


def test_an_entry_of_an_older_releaser_still_names_its_run():
    assert Run.model_validate({"id": "77.1", "actor": "x", "host": "h", "pid": 3, "url": ""}).machine == ""


@pytest.mark.parametrize("body", [b"no JSON", b"{}", b"[]"])
def test_a_lease_that_cannot_be_read_is_nobodys_permission(s3, body):
    ObjectStore(BUCKET, s3).create(KEY, body)
    with pytest.raises(ReleaseError, match="cannot be read"):
        lease(s3, run(1)).take("promote", IMPATIENT, print)


def test_a_person_frees_the_lease_also_when_it_changes_hands_meanwhile(s3, monkeypatch):
    lease(s3, run(1)).take("promote", IMPATIENT, print)
    swaps, swap = [], ObjectStore.swap

    def once_too_late(self, key, body, etag):
        swaps.append(etag)
        if len(swaps) == 1:
            raise LostError(key)
        return swap(self, key, body, etag)

    monkeypatch.setattr(ObjectStore, "swap", once_too_late)
    assert lease(s3, run(2)).break_open()["run"]["id"] == run(1).id
    assert lease(s3, run(2)).holder() is None


def test_a_person_can_free_it_and_the_old_holder_does_not_take_it_from_the_next(s3):
    old, new = lease(s3, run(1)), lease(s3, run(2))
    old.take("promote", IMPATIENT, print)
    assert new.break_open()["run"]["id"] == "run-1"
    new.take("promote", IMPATIENT, print)
    old.give_back()
    assert new.holder()["run"]["id"] == "run-2"
    assert s3.objects[BUCKET, KEY]


def test_a_write_of_the_lease_whose_answer_is_lost_is_not_taken_for_a_lost_lease(s3):
    def lose(bucket, key):
        raise ReadTimeoutError(endpoint_url="http://s3.test")

    mine = lease(s3, run(1))
    mine.take("promote", IMPATIENT, print)
    s3.after_put = lose
    with pytest.raises(ReleaseError, match="failed"):
        mine.note_engine(7)
    s3.after_put = lambda bucket, key: None
    mine.check()
    mine.note_engine(8)
    mine.give_back()
    assert mine.holder() is None
    with pytest.raises(LeaseLost):
        mine.check()


def test_a_run_of_github_is_named_by_run_and_attempt():
    found = this_run(
        {
            "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_ATTEMPT": "2",
            "GITHUB_JOB": "rollback",
            "GITHUB_ACTOR": "octo",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "o/r",
        }
    )
    assert (found.repository, found.job, found.attempt) == ("o/r", "rollback", ("42", 2))
    assert is_alive(found.pid, found.began)
    assert found.machine == machine() != ""
    assert (found.id, found.actor, found.url) == ("42.2", "octo", "https://github.com/o/r/actions/runs/42")
    assert this_run({}).id.startswith("local-")
