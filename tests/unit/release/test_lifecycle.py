"""The lifecycle by itself: every state is reachable, every attempt can end, and the page in docs tells the truth."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import Refused
from release.ledger.diagram import document
from release.ledger.lifecycle import (
    CHANGING,
    ENDS,
    MOST_ROLLBACKS,
    PROD,
    PROMISES,
    Decision,
    Deployment,
    Entry,
    IllegalStepError,
    LedgerState,
    Override,
    ReleaseId,
    Run,
    State,
    check,
    refuse_start,
)

RELEASES = [ReleaseId(digest=f"{number:064x}", sha=f"{number:040x}") for number in range(1, 5)]
RUNS = [Run(id=f"{number}.1", actor="bot") for number in range(3)]


def served(release):
    return Deployment(
        release=release,
        built_at="2026-11-23T00:00:00Z",
        at="2026-11-23T00:00:00Z",
        hand_over={},
        functions={},
        dashboard_url="https://dashboard.test/",
        on_call_topic="arn:aws:sns:us-east-1:123456789012:on-call",
        alarms=(),
    )


def folded(view, state, release=RELEASES[0], run=RUNS[0], reason="because", **details):
    with_served = served(release) if state in {State.CONFIRMED, State.ROLLED_BACK} else None
    entry = Entry(
        seq=1,
        previous="",
        at="2026-11-23T00:00:00Z",
        stack="prod",
        state=state,
        run=run,
        release=release,
        reason=reason,
        served=with_served,
        details=details,
    )
    return view.after(entry)


def after(*states, view=None, **more):
    view = view or LedgerState(stack="prod")
    for state in states:
        check(view, state, RUNS[0])
        view = folded(view, state, **more)
    return view


def test_the_page_in_docs_is_the_lifecycle_as_it_is():
    page = Path(__file__).parents[3] / "docs" / "reference" / "lifecycle.md"
    assert page.read_text() == document(), "run: python -m release.ledger.diagram > docs/reference/lifecycle.md"


def test_every_state_has_a_promise():
    assert set(PROMISES) == set(State)


@pytest.mark.parametrize("state", sorted(PROD.keys() - {None}))
def test_from_every_state_of_production_a_named_end_can_be_reached(state):
    seen, new = set(), {state}
    while new:
        seen |= new
        new = {following for one in new for following in PROD[one]} - seen
    assert seen & ENDS


@pytest.mark.parametrize("state", sorted(CHANGING - {State.ROLLING_BACK}))
def test_from_every_state_that_changes_something_there_is_a_way_back(state):
    assert State.ROLLING_BACK in PROD[state]


def test_nothing_but_the_lease_may_begin_a_promotion():
    assert PROD[None] == {State.LEASED}
    assert [state for state in State if State.ARMED in PROD.get(state, ())] == [State.LEASED]
    assert [state for state in PROD if State.CANARY in PROD[state] and state is not State.CANARY] == [State.DARK]


@given(st.lists(st.tuples(st.sampled_from([*State, *Decision]), st.sampled_from(RELEASES), st.sampled_from(RUNS))))
def test_whatever_is_written_a_confirmed_release_is_replaced_only_by_another_confirmed_one(steps):
    view = LedgerState(stack="prod")
    for state, release, run in steps:
        try:
            check(view, state, run)
        except (IllegalStepError, Refused):
            continue
        before, view = view, folded(view, state, release, run)
        if before.confirmed is not None:
            assert view.confirmed is not None
        if view.confirmed != before.confirmed:
            assert state in {State.CONFIRMED, State.ROLLED_BACK}
        if isinstance(state, Decision):
            assert (view.state, view.attempt, view.confirmed) == (before.state, before.attempt, before.confirmed)


@given(st.lists(st.tuples(st.sampled_from(State), st.sampled_from(RUNS)), max_size=30))
def test_two_runs_are_never_under_way_together(steps):
    view = LedgerState(stack="prod")
    for state, run in steps:
        try:
            check(view, state, run)
        except IllegalStepError:
            continue
        other = view.attempt is not None and view.attempt.run != run
        takes_over = state in {State.LEASED, State.ROLLING_BACK, State.REFUSED, State.SUPERSEDED, view.state}
        assert not other or takes_over or state in ENDS
        view = folded(view, state, run=run)


def test_going_on_keeps_the_beginning_and_the_deadline_of_the_attempt():
    view = after(State.LEASED, State.ARMED, State.DEPLOYING, State.DARK)
    view = folded(view, State.CANARY, deadline="2026-11-23T01:00:00Z")
    view = folded(view, State.CANARY, run=RUNS[1])
    assert view.attempt is not None
    assert (view.attempt.run, view.attempt.deadline) == (RUNS[1], "2026-11-23T01:00:00Z")


def test_a_run_that_was_found_dead_before_it_changed_anything_leaves_what_stood_before():
    view = after(State.LEASED, State.ARMED)
    assert folded(view, State.REFUSED, run=RUNS[1]).attempt is not None
    ended = folded(view, State.REFUSED, run=RUNS[1], ended_run=RUNS[0].id)
    assert (ended.attempt, ended.state) == (None, None)


def test_decisions_of_people_are_known_until_they_are_taken_back():
    view = folded(folded(LedgerState(stack="prod"), Decision.BLOCKED), Decision.FROZEN, reason="Black Friday")
    assert (view.blocked, view.frozen) == ({RELEASES[0].digest: "because"}, "Black Friday")
    view = folded(folded(view, Decision.UNBLOCKED), Decision.THAWED)
    assert (view.blocked, view.frozen) == ({}, "")


PROMOTION = (State.LEASED, State.ARMED, State.DEPLOYING, State.DARK, State.LIVE, State.CONFIRMED)
FAILURE = (*PROMOTION[:4], State.ROLLING_BACK, State.ROLLED_BACK)
REFUSALS = {
    "rollback-failed": lambda view: after(*FAILURE[:-1], State.ROLLBACK_FAILED, view=view),
    "unfinished-release": lambda view: after(*PROMOTION[:4], view=view),
    "blocked": lambda view: folded(view, Decision.BLOCKED, release=RELEASES[1]),
    "frozen": lambda view: folded(view, Decision.FROZEN),
    "contract-pending": lambda view: folded(view, State.CONFIRMED, contract_pending=True),
    "rolled-back-too-often": lambda view: after(*FAILURE * MOST_ROLLBACKS, view=view),
}


@pytest.mark.parametrize("rule", REFUSALS)
def test_the_ledger_alone_refuses_by_name_and_names_the_way_forward(rule):
    confirmed = after(*PROMOTION)
    refuse_start(confirmed, RELEASES[1])
    with pytest.raises(Refused) as refused:
        refuse_start(REFUSALS[rule](confirmed), RELEASES[1])
    assert refused.value.rule == rule
    assert refused.value.next_step


@pytest.mark.parametrize(("rule", "despite"), [("frozen", "freeze"), ("rolled-back-too-often", "rollbacks")])
def test_a_person_may_set_a_freeze_and_the_count_of_rollbacks_aside(rule, despite):
    refuse_start(REFUSALS[rule](after(*PROMOTION)), RELEASES[1], Override(**{despite: "I know why"}))


@pytest.mark.parametrize("rule", sorted(REFUSALS.keys() - {"frozen", "rolled-back-too-often"}))
def test_nothing_else_can_be_set_aside(rule):
    everything = Override(alarms="x", freeze="x", rollbacks="x", inconclusive="x")
    with pytest.raises(Refused):
        refuse_start(REFUSALS[rule](after(*PROMOTION)), RELEASES[1], everything)


def test_a_confirmed_release_ends_the_count_of_rollbacks():
    view = after(*FAILURE * 2, *PROMOTION, *FAILURE, view=after(*PROMOTION))
    assert view.rollbacks == 1


def test_the_tries_of_one_rollback_are_counted_until_it_succeeds():
    view = after(
        *FAILURE[:-1], State.ROLLBACK_FAILED, State.ROLLING_BACK, State.ROLLBACK_FAILED, view=after(*PROMOTION)
    )
    assert view.rollback_tries == 2
    assert after(State.ROLLING_BACK, State.ROLLED_BACK, view=view).rollback_tries == 0
