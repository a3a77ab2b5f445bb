"""What another tool did to `live`: what is said about users comes from the aliases, and only weights are taken off."""

import pytest

from release.errors import Refused, RollbackIncomplete
from release.ledger.lifecycle import State
from release.reporting.status import picture, status
from release.rollout import operations
from release.rollout.promote import promote
from release.rollout.rollback import rollback
from tests.unit.release.release_world import unreachable
from tests.unit.release.test_status import seen

DASHBOARD = "prod-sentiment-dashboard"


@pytest.fixture
def confirmed(world):
    """A world in which release 2 is confirmed, after release 1."""
    return world.confirm(1, 2)


def put(world, version, weights=None):
    """What another tool does: `live` of the dashboard, past the ledger."""
    world.functions.put_alias(DASHBOARD, "live", version, weights)


def live(world):
    alias = world.context().traffic.alias("dashboard")
    return alias.version, alias.weights


# Status


def test_status_says_that_users_get_something_else_and_what_takes_it_off(world, confirmed):
    put(world, "2", {"1": 0.1})
    document = status(world.context())
    assert document.state is State.CONFIRMED
    assert document.astray == ("dashboard sends 10% of its traffic to version 1, which no run has put there",)
    assert document.next_step == "take off the weights that no run has set: release reap --stack prod"
    assert "the live aliases are not what the ledger recorded: dashboard sends 10%" in seen(picture(document))


def test_a_moved_alias_is_left_to_a_person_with_the_command_that_moves_it_back(world, confirmed):
    put(world, "1")
    document = status(world.context())
    assert document.astray == ("dashboard serves version 1, the ledger says 2",)
    assert (
        f"aws lambda update-alias --function-name {DASHBOARD} --name live --function-version 2 "
        "--routing-config AdditionalVersionWeights={}" in document.next_step
    )


def test_after_a_rollback_that_is_not_complete_users_are_called_safe_only_where_the_aliases_say_so(world, confirmed):
    world.stack.fail_up = unreachable
    with pytest.raises(RollbackIncomplete):
        promote(world.context(), world.offer(3).digest)
    document = status(world.context())
    assert document.state is State.ROLLED_BACK_TRAFFIC
    assert document.next_step.startswith("users are safe")
    put(world, "2", {"3": 0.1})
    document = status(world.context())
    assert document.next_step.startswith("at once: release rollback --stack prod")
    assert "no user traffic" not in document.promise
    assert "dashboard sends 10% of its traffic to version 3" in document.promise


def test_weights_of_a_run_that_is_at_work_are_nobodys_mistake(world, confirmed):
    seen_then = []

    def gate(call, work):
        done = work()
        if call.startswith("pulumi.up traffic 10"):
            world.gate = world.straight_on
            seen_then.append(status(world.context()))
        return done

    world.gate = gate
    promote(world.context(), world.offer(3).digest)
    assert seen_then[0].functions["dashboard"]["live"].weights
    assert seen_then[0].astray == ()


def test_a_function_that_serves_users_and_that_the_ledger_does_not_know_is_told(world, confirmed):
    served = world.context().ledger.view().served
    context = world.context()
    view = context.ledger.view()
    fewer = served.model_copy(update={"functions": {"dashboard": served.functions["dashboard"]}})
    context.ledger.view = lambda: view.model_copy(update={"served": fewer, "confirmed": fewer})
    assert "analysis serves version 2, of which the ledger knows nothing" in status(context).astray


# Reap


def test_weights_that_no_run_has_set_are_taken_off_written_and_paged(world, confirmed):
    put(world, "2", {"1": 0.1})
    assert operations.reap(world.context()).state is State.CONFIRMED
    assert live(world) == ("2", {})
    entry = world.context().ledger.entries(1)[0]
    assert (entry.state, entry.details["weights"]) == ("RESTORED", {"dashboard": {"1": 0.1}})
    assert "dashboard sends 10% of its traffic to version 1" in world.pages[-1]["Message"]
    assert world.context().lease.holder() is None
    view = world.context().ledger.view()
    assert (view.state, view.rollbacks, view.blocked) == (State.CONFIRMED, 0, {})
    assert promote(world.context(), world.offer(3).digest).state is State.CONFIRMED


def test_an_alias_that_somebody_moved_is_not_moved_by_a_machine(world, confirmed):
    put(world, "1", {"2": 0.5})
    before = world.changes()
    assert operations.reap(world.context()).nothing_to_do
    assert world.changes() == before


def test_while_the_ledger_is_not_at_rest_no_weight_is_touched(world, confirmed):
    context = world.context()
    context.lease.take("promote it", world.settings, lambda _: None)
    put(world, "2", {"1": 0.1})
    assert operations.reap(world.context()).left_alone == context.run.id
    assert live(world) == ("2", {"1": 0.1})


def test_a_run_that_begins_at_that_moment_keeps_its_weights(world, confirmed):
    """The lease is taken before the second look at the ledger, so that nobody is at work while weights go."""
    put(world, "2", {"1": 0.1})

    def gate(call, work):
        if call.startswith("s3.put_object") and call.endswith("ledger/lease.json"):
            world.gate = world.straight_on
            operations.freeze(world.context(), "somebody decides something", frozen=True)
            world.context().lease.take("promote it", world.settings, lambda _: None)
        return world.straight_on(call, work)

    world.gate = gate
    with pytest.raises(Refused) as refused:
        operations.reap(world.context())
    assert refused.value.rule == "lease-held"
    assert live(world) == ("2", {"1": 0.1})


def test_a_promotion_over_foreign_weights_is_refused_with_a_command_that_helps(world, confirmed):
    put(world, "2", {"1": 0.1})
    with pytest.raises(Refused) as refused:
        promote(world.context(), world.offer(3).digest)
    assert refused.value.rule == "cannot-go-back"
    assert "release status --stack prod" in refused.value.next_step
    assert rollback(world.context(), None, "does it help?").nothing_to_do
