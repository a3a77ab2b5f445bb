"""What a dead run leaves behind, what the next command makes of it, and that both say what the cloud shows."""

import pytest

from components.service.functions import KEYS
from release.errors import Refused, ReleaseError, RolledBack
from release.gates.preconditions import admit
from release.ledger.ledger import HEAD
from release.ledger.lifecycle import State
from release.pulumi.stack import PulumiError
from release.rollout import operations
from release.rollout.confirm import confirm
from release.rollout.promote import promote, resume
from release.rollout.rollback import rollback
from tests.unit.release.release_world import World, client_error, unreachable
from tests.unit.release.test_operations import Runs, context, dies

PROD = "prod-sentiment-lambda-deployments"


@pytest.fixture
def second(world, confirmed):
    """Release 2, confirmed after release 1."""
    return world.confirm(1, 2)


def move_live(world, version="1", weights=None):
    """What somebody does with another tool."""
    for key in KEYS:
        world.functions.put_alias(f"prod-sentiment-{key}", "live", version, weights)


def no_stack(*_, **__):
    raise PulumiError("the plugin is not there")


def has_left_a_contraction(world, release):
    """Write what `promote` writes when a confirmed release has left things to delete."""
    context = world.context()
    with context.leased("a test"):
        served = context.ledger.view().confirmed
        context.ledger.append(State.CONFIRMED, release=served.release, served=served, contract_pending=True)
    assert served.release.digest == release.digest


def goes_back_with_traffic_alone(world):
    world.stack.fail_up = no_stack
    assert rollback(world.context(), "previous", "customers complain").state is State.ROLLED_BACK_TRAFFIC
    world.stack.fail_up = lambda hand_over: None


# What is said of a release is what the cloud shows


def test_the_confirmed_release_is_not_called_confirmed_while_a_rollback_from_it_has_failed(world, second):
    world.functions.fail_update, world.stack.plan = unreachable, no_stack
    assert rollback(world.context(), "previous", "customers complain").state is State.ROLLBACK_FAILED
    with pytest.raises(Refused) as refused:
        promote(world.context(), second.digest)
    assert refused.value.rule == "rollback-failed"


def test_the_release_that_a_rollback_has_left_is_not_called_confirmed(world, second):
    goes_back_with_traffic_alone(world)
    with pytest.raises(Refused):
        promote(world.context(), second.digest)


@pytest.mark.parametrize("command", [lambda context: promote(context, context.digest), confirm])
@pytest.mark.parametrize("weights", [None, {"1": 0.3}])
def test_a_release_that_users_do_not_get_is_not_called_confirmed(world, second, command, weights):
    move_live(world, "2" if weights else "1", weights)
    context = world.context()
    context.digest = second.digest
    with pytest.raises(ReleaseError, match="not what the ledger has recorded") as error:
        command(context)
    assert f"release rollback --stack prod --to {second.digest[:12]}" in error.value.next_step

    assert rollback(world.context(), None, "a machine").nothing_to_do, "somebody may have meant it"
    assert rollback(world.context(), second.digest[:12], "as the error says").state is State.ROLLED_BACK
    assert set(world.live().values()) == {second.digest}
    assert world.context().ledger.view().blocked == {}
    assert promote(world.context(), second.digest).already


def test_a_release_whose_aliases_were_moved_back_during_the_last_look_is_not_recorded_as_confirmed(world, confirmed):
    manifest = world.offer(2)
    world.stack.fail_up = lambda hand_over: move_live(world) if hand_over.confirmed else None
    with pytest.raises(RolledBack) as failed:
        promote(world.context(), manifest.digest)
    assert "`live` of" in failed.value.why
    assert world.context().ledger.view().confirmed.release.digest == confirmed.digest
    assert "CONFIRMED" not in world.states()[world.states().index("LIVE", 8) :]


def test_after_a_rollback_there_is_no_confirmation_to_finish(world, second):
    rollback(world.context(), "previous", "customers complain")
    with pytest.raises(ReleaseError, match="ROLLED_BACK"):
        confirm(world.context())


def test_no_commit_is_called_older_than_itself(world, confirmed):
    with pytest.raises(Refused) as refused:
        admit(world.context(), confirmed.digest)
    assert "older" not in refused.value.what
    assert "confirmed" in refused.value.what


# A contraction


@pytest.mark.parametrize("command", [resume, confirm])
def test_a_contraction_never_puts_the_release_live_that_traffic_was_taken_off(world, confirmed, second, command):
    has_left_a_contraction(world, second)
    goes_back_with_traffic_alone(world)
    with pytest.raises(ReleaseError, match="no confirmed release to finish") as error:
        command(world.context())
    assert "release rollback" in error.value.next_step
    assert set(world.live().values()) == {confirmed.digest}
    assert world.context().ledger.view().state is State.ROLLED_BACK_TRAFFIC


def test_a_contraction_moves_no_traffic_to_a_version_that_nobody_has_judged(world, confirmed):
    has_left_a_contraction(world, confirmed)
    served = world.context().ledger.view().confirmed.stable
    for key in KEYS:  # the update publishes a version: somebody has changed a setting by hand
        name = f"prod-sentiment-{key}"
        versions = world.functions.published[name]
        world.functions.published[name] = {**versions, "2": versions["1"]}
    confirm(world.context())
    assert {key: world.functions.serves(key) for key in KEYS} == {key: {served[key]: 1.0} for key in KEYS}
    assert not world.context().ledger.view().contract_pending


# What is written is written


def no_head(bucket, key):
    if (bucket, key) == (PROD, HEAD):
        raise client_error("ServiceUnavailable", "PutObject", 503)


def confirming(world, monkeypatch, **hooks):
    """Let S3 go wrong from the moment when the release is about to be confirmed."""

    def begin(hand_over):
        if hand_over.confirmed:
            for name, hook in hooks.items():
                monkeypatch.setattr(world.s3, name, hook)

    world.stack.fail_up = begin


@pytest.mark.parametrize("how", ["the head cannot be moved", "the answer about the entry is lost"])
def test_a_release_whose_confirmation_is_stored_is_confirmed(world, confirmed, monkeypatch, how):
    manifest = world.offer(2)
    if how == "the head cannot be moved":
        confirming(world, monkeypatch, before_put=no_head)
    else:
        lost = []

        def lose(bucket, key):
            if bucket == PROD and "ledger/entries" in key and not lost:
                lost.append(key)
                raise client_error("InternalError", "PutObject", 500)

        confirming(world, monkeypatch, after_put=lose)
    report = promote(world.context(), manifest.digest)
    assert (report.state, report.manifest) == (State.CONFIRMED, manifest.digest)
    monkeypatch.undo()
    view = world.context().ledger.view()
    assert (view.state, view.confirmed.release.digest, view.blocked) == (State.CONFIRMED, manifest.digest, {})
    assert world.context().ledger.verify() == []
    assert set(world.live().values()) == {manifest.digest}


# A rollback that was begun


def test_a_rollback_that_was_begun_goes_where_it_was_going_however_much_was_written_since(world, confirmed, second):
    goes_back_with_traffic_alone(world)
    world.stack.drift = ("update aws:sqs/queue:Queue dead-letters",)
    for number in range(3, 15):
        with pytest.raises(Refused):
            promote(world.context(), world.offer(number).digest)
    done = rollback(world.context(), None, "finish the rollback")
    assert (done.from_.manifest, done.to.manifest, done.state) == (second.digest, confirmed.digest, State.ROLLED_BACK)


def test_the_watch_finishes_a_rollback_that_has_brought_traffic_back_alone(world, confirmed, second):
    goes_back_with_traffic_alone(world)
    assert operations.reap(world.context()).state is State.ROLLED_BACK
    assert world.context().ledger.view().confirmed.release.digest == confirmed.digest


# Going on


@pytest.mark.parametrize("state", ["CANARY", "LIVE"])
def test_a_release_is_resumed_after_the_schedules_have_taken_traffic_back(world, confirmed, state):
    run = dies(world, 2, state, local=True)
    world.stack.record = {  # its engine had moved traffic when it died
        key: ("2", {}) if key[0] == "live" else value for key, value in world.stack.record.items()
    }
    world.pass_time(7200)
    assert world.scheduler.schedules == {}
    seen = []
    world.stack.fail_up = lambda hand_over: seen.append((hand_over.traffic, len(world.scheduler.schedules)))
    assert resume(world.context()).state is State.CONFIRMED, run
    assert set(world.live().values()) == {world.offer(2).digest}
    assert (100, len(KEYS)) in seen


# The lease of a run that has died


@pytest.fixture
def patient(tmp_path, monkeypatch):
    """A world in which a run waits for the lease of another, with release 1 confirmed."""
    world = World(tmp_path, monkeypatch, lease_wait_s=600)
    promote(world.context(), world.offer(1).digest)
    return world


def next_commands(world):
    return {
        "promote": lambda context: promote(context, world.offer(3).digest),
        "resume": resume,
        "confirm": confirm,
        "rollback": lambda context: rollback(context, f"{1:040x}", "customers complain"),
    }


@pytest.mark.parametrize("state", ["LEASED", "ARMED"])
@pytest.mark.parametrize("command", ["promote", "resume", "confirm", "rollback"])
def test_nobody_waits_for_a_run_that_github_calls_ended(patient, command, state):
    if command == "rollback":
        promote(patient.context(), patient.offer(2).digest)
    dead = dies(patient, 4 if command == "rollback" else 2, state)
    since = patient.now
    run = patient.new_run(local=False)
    done = next_commands(patient)[command](context(patient, Runs(ended=[dead.id]), run=run))
    assert done.state is (State.ROLLED_BACK if command == "rollback" else State.CONFIRMED)
    assert (patient.now - since).total_seconds() < 240  # the watches take most of it
    view = patient.context().ledger.view()
    assert (view.attempt, patient.context().lease.holder()) == (None, None)
    assert patient.context().ledger.verify() == []


@pytest.mark.parametrize("github", ["runs", "does not answer", "is not there"])
@pytest.mark.parametrize("command", ["promote", "confirm", "rollback"])
def test_the_lease_of_a_run_that_may_live_is_waited_for_and_never_taken(patient, command, github):
    promote(patient.context(), patient.offer(2).digest)
    dead = dies(patient, 4, "ARMED")
    since, said = patient.now, Runs()
    said.ended = {"runs": set(), "does not answer": None}.get(github)
    run = patient.new_run(local=False)
    asked = context(patient, None if github == "is not there" else said, run=run)
    with pytest.raises(Refused) as refused:
        next_commands(patient)[command](asked)
    assert refused.value.rule == "lease-held"
    assert 600 <= (patient.now - since).total_seconds() < 660
    assert patient.context().lease.holder()["run"]["id"] == dead.id


def test_a_promotion_does_not_begin_what_the_time_of_its_step_does_not_hold(patient):
    held, digest = patient.context(), patient.offer(2).digest
    late = patient.context()
    take = late.lease.take

    def wait(*args, **kwargs):
        with held.leased("something long"):
            patient.pass_time(2100)
        take(*args, **kwargs)

    late.lease.take = wait
    with pytest.raises(Refused) as refused:
        promote(late, digest)
    assert refused.value.rule == "out-of-time"
    assert patient.stack.ups[-1][1], "an update was begun"
    view = patient.context().ledger.view()
    assert (view.state, view.attempt) == (State.CONFIRMED, None)
    assert promote(patient.context(), digest).state is State.CONFIRMED
