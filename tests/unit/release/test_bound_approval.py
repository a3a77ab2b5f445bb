"""An approval is bound to the bytes, to the steps and to the state that the reviewer has seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import Refused, ReleaseError, UsageError
from release.ledger.lifecycle import State
from release.preview.approved import (
    ApprovedPlan,
    BoundApproval,
    differences,
    refuse_other_plan,
    refuse_unseen_steps,
)
from release.preview.plan import Head
from release.preview.state import deployed_state
from release.rollout.promote import promote, resume
from tests.unit.release.plan_world import FUNCTION, HEAD, TABLE, component, plan, same, step

MANIFEST = "ab" * 32
STATE, LATER = "11" * 32, "22" * 32
PARENT = component("Function", "analysis")


def function(memory, name="analysis"):
    inputs = {"name": f"prod-sentiment-{name}", "memorySize": 256, "publish": True}
    return step("update", FUNCTION, name, old=inputs, new=inputs | {"memorySize": memory}, parent=PARENT)


def approved(*steps, manifest=MANIFEST, serial=STATE, **how):
    return ApprovedPlan(manifest=manifest, serial=serial, plan=plan([*steps, *same(3)], **how))


SEEN = approved(function(512))
OTHERS = {
    "another release": (approved(function(512), manifest="cd" * 32), "release cdcdcdcdcdcd instead of abababababab"),
    "another value": (approved(function(1024)), "- memorySize: 256, + memorySize: 512, now - memorySize: 256"),
    "one more step": (
        approved(function(512), step("create", TABLE, "more", new={"name": "more"})),
        "only now: create dynamodb.Table more",
    ),
    "one step less": (approved(), "only approved: update lambda.Function analysis"),
    "the state of another release": (approved(function(512), serial=LATER), "the state was written again since"),
    "another stack": (approved(function(512), stack="preprod"), "stack preprod instead of prod"),
}


def test_the_plan_that_was_approved_may_be_carried_out_whoever_names_it():
    refuse_other_plan(BoundApproval(SEEN.digest, SEEN), SEEN)
    other_head = approved(function(512), head=Head(sha="77" * 20, changed_files=0))
    refuse_other_plan(BoundApproval(SEEN.digest), other_head)  # the manifest names the commit
    assert HEAD.sha != "77" * 20


@pytest.mark.parametrize("case", OTHERS)
def test_another_plan_is_refused_with_the_difference(case):
    now, said = OTHERS[case]
    with pytest.raises(Refused) as refused:
        refuse_other_plan(BoundApproval(SEEN.digest, SEEN), now)
    assert refused.value.rule == "plan-changed"
    assert said in refused.value.why
    assert "run all jobs" in refused.value.next_step


def test_without_the_approved_plan_at_hand_another_one_is_refused_all_the_same():
    with pytest.raises(Refused, match="something else than was approved") as refused:
        refuse_other_plan(BoundApproval(SEEN.digest), OTHERS["another value"][0])
    assert SEEN.digest[:12] in refused.value.why


def test_an_empty_approval_approves_nothing():
    with pytest.raises(Refused) as refused:
        refuse_other_plan(BoundApproval.read("", None), SEEN)
    assert refused.value.rule == "plan-not-approved"


def test_a_long_difference_says_how_much_more_there_is():
    now = approved(*(step("create", TABLE, f"t{number}", new={"name": "t"}) for number in range(20)))
    with pytest.raises(Refused) as refused:
        refuse_other_plan(BoundApproval(SEEN.digest, SEEN), now)
    assert refused.value.why.endswith("and 9 more")


@pytest.mark.parametrize(
    ("digest", "body"),
    [
        (SEEN.digest, OTHERS["another value"][0].model_dump_json()),
        ("", SEEN.model_dump_json()),
        (SEEN.digest, "{"),
        (SEEN.digest, SEEN.model_dump_json().replace('"format":1', '"format":2')),
    ],
)
def test_a_file_that_is_not_the_approved_plan_is_a_mistake_of_whoever_hands_it_over(digest, body):
    with pytest.raises(UsageError):
        BoundApproval.read(digest, body.encode())


def test_a_plan_that_was_written_and_read_is_the_same_one():
    assert BoundApproval.read(SEEN.digest, SEEN.model_dump_json(indent=1).encode()) == BoundApproval(SEEN.digest, SEEN)


@given(
    one=st.tuples(st.integers(128, 512), st.sampled_from([STATE, LATER, "none"]), st.sampled_from(["ab", "cd"])),
    other=st.tuples(st.integers(128, 512), st.sampled_from([STATE, LATER, "none"]), st.sampled_from(["ab", "cd"])),
)
def test_two_plans_have_one_digest_exactly_when_nothing_differs(one, other):
    first, second = (
        approved(function(memory), serial=serial, manifest=name * 32) for memory, serial, name in (one, other)
    )
    assert (first.digest == second.digest) is (one == other)
    assert bool([*differences(first, second)]) is (one != other)


def test_a_step_that_only_the_real_state_shows_is_refused():
    refuse_unseen_steps(SEEN.plan, approved(function(640)).plan)  # values may be known by now: versions of packages
    with pytest.raises(Refused, match="something else") as refused:
        refuse_unseen_steps(SEEN.plan, OTHERS["one more step"][0].plan)
    assert refused.value.why == "only now: create dynamodb.Table more"
    with pytest.raises(Refused) as refused:
        refuse_unseen_steps(SEEN.plan, OTHERS["one step less"][0].plan)
    assert refused.value.why == "only approved: update lambda.Function analysis"


# Under the lease


@pytest.fixture
def planned(monkeypatch):
    """What is planned under the lease."""
    plans = []
    monkeypatch.setattr("release.rollout.promote.plan_for_approval", lambda *_: plans[-1])
    return plans


def test_a_release_is_promoted_as_it_was_approved_and_the_ledger_says_so(world, planned):
    world.confirm(1)
    planned.append(SEEN)
    promote(world.context(), world.offer(2).digest, approval=BoundApproval(SEEN.digest, SEEN))
    (armed,) = [entry for entry in world.context().ledger.entries(20) if entry.details.get("approval")]
    assert (armed.state, armed.details["approval"]) == (State.ARMED, {"digest": SEEN.digest, "serial": STATE})


@pytest.mark.parametrize("case", OTHERS)
def test_a_release_whose_plan_has_changed_is_refused_before_anything_is(world, planned, case):
    confirmed = world.confirm(1)
    world.stack.ups.clear()
    planned.append(OTHERS[case][0])
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(2).digest, approval=BoundApproval(SEEN.digest, SEEN))
    assert refused.value.rule == "plan-changed"
    assert world.stack.ups == []
    assert set(world.live().values()) == {confirmed.digest}
    last = world.context().ledger.entries(1)[-1]
    assert (last.state, last.details["rule"]) == (State.REFUSED, "plan-changed")
    assert world.context().lease.holder() is None


def test_a_run_that_is_started_again_is_held_to_the_same_approval(world, planned, monkeypatch):
    world.confirm(1)
    run, offered = world.new_run(local=False), world.offer(2)
    planned.append(SEEN)
    with monkeypatch.context() as dying:
        dying.setattr("release.rollout.promote._end_bake", die)
        with pytest.raises(Died):
            promote(world.context(run=run), offered.digest, approval=BoundApproval(SEEN.digest, SEEN))
    planned.append(OTHERS["another value"][0])
    with pytest.raises(Refused) as refused:
        resume(world.context(run=run), BoundApproval(SEEN.digest, SEEN))
    assert refused.value.rule == "plan-changed"


class Died(BaseException):
    """A run that is killed."""


def die(*_):
    raise Died


# Rights that are missing


def test_a_manifest_or_a_state_that_is_not_there_or_may_not_be_read_names_the_right_to_read_it(world):
    context = world.context()
    with pytest.raises(Refused) as refused:
        context.promotions.manifest("0" * 64)
    with pytest.raises(ReleaseError) as unread:
        deployed_state(context)
    for why in (refused.value.why, unread.value.why):
        assert "s3:GetObject" in why
