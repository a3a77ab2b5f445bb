"""M9: what a run on another machine may take over, whose locks it may remove, and whom it leaves alone."""

import errno
import io
import os
import signal

import pytest

import release.rollout.rollback
from release.cli import main
from release.cli.command import _explained
from release.console import Console, _Rich
from release.errors import LeaseLost, Refused, RolledBack
from release.ledger.lifecycle import Run, State
from release.rollout.operations import alive, reap, unlock
from release.rollout.promote import promote
from release.rollout.rollback import rollback
from tests.unit.release.actors import Stage
from tests.unit.release.invariants import at_rest
from tests.unit.release.release_world import FAST, World, engine_of

UPDATES = {
    State.DEPLOYING: "pulumi.up traffic 0",
    State.CANARY: "pulumi.up traffic 10",
    State.LIVE: "pulumi.up traffic 100",
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, **FAST)
    world.confirm(1)
    return world


def job(world, of, name, *, attempt=1):
    """Another job of the CI run `of`, on a runner of its own."""
    host = world.new_run(local=False).host
    number = of.id.partition(".")[0]
    pid = world.runs
    return Run(id=f"{number}.{attempt}", actor="bot", host=host, pid=pid, machine=f"boot of {host}", job=name)


def killed(world, state):
    """A deploy job that was killed in the middle of the update of this state."""
    stage, digest = Stage(world), world.offer(2).digest
    run = world.new_run(local=False)
    process = stage.start(lambda context: promote(context, digest), run=run)
    while process.waits_for != UPDATES[state]:
        stage.step(process)
    stage.step(process, 1)
    stage.end()
    assert world.context().ledger.view().state is state
    assert world.stack.locked_by == run
    return run, digest


@pytest.mark.parametrize("state", UPDATES)
def test_the_rollback_job_of_the_same_run_finishes_on_another_machine(world, state):
    run, _ = killed(world, state)
    done = rollback(world.context(run=job(world, run, "rollback")), None, "deploy failed")
    assert done.state is State.ROLLED_BACK, done.problems
    assert at_rest(world) == []
    assert not world.locks()


@pytest.mark.parametrize("state", [State.LEASED, State.ARMED])
def test_the_rollback_job_ends_what_had_changed_nothing(world, state):
    stage, digest = Stage(world), world.offer(2).digest
    run = world.new_run(local=False)
    process = stage.start(lambda context: promote(context, digest), run=run)
    while world.context().ledger.view().state is not state:
        stage.step(process)
    stage.end()
    assert rollback(world.context(run=job(world, run, "rollback")), None, "deploy failed").nothing_to_do
    assert at_rest(world) == []
    assert world.states()[-1] == "REFUSED"
    assert world.context().lease.holder() is None


@pytest.mark.parametrize("state", UPDATES)
def test_a_rerun_of_the_failed_jobs_goes_on_with_what_its_first_attempt_left(world, state):
    run, digest = killed(world, state)
    assert promote(world.context(run=job(world, run, "deploy", attempt=2)), digest).state is State.CONFIRMED
    assert at_rest(world) == []


def test_a_rerun_finishes_the_way_back_that_its_first_attempt_began(world):
    run, digest = killed(world, State.DEPLOYING)
    stage, back = Stage(world), job(world, run, "rollback")
    process = stage.start(lambda context: rollback(context, None, "deploy failed"), run=back)
    while world.context().ledger.view().state is not State.ROLLING_BACK:
        stage.step(process)
    stage.end()
    with pytest.raises(Refused) as refused:
        promote(world.context(run=job(world, run, "deploy", attempt=2)), digest)
    assert refused.value.rule == "blocked"
    assert world.states()[-2:] == ["ROLLED_BACK", "REFUSED"]


def test_a_second_machine_of_that_name_leaves_a_living_run_alone(world):
    stage, digest = Stage(world), world.offer(2).digest
    process = stage.start(lambda context: promote(context, digest), run=world.new_run(host="laptop"))
    while world.context().ledger.view().state is not State.CANARY:
        stage.step(process)
    twin = world.new_run(host="laptop").model_copy(update={"machine": "another boot"})
    world.dead.add(process.run.id)  # as that machine sees it: it has no process of that id
    assert reap(world.context(run=twin)).left_alone == process.run.id
    world.dead.clear()
    assert stage.finish(process).result.state is State.CONFIRMED
    stage.end()


def test_who_has_lost_the_lease_to_another_run_is_over_though_nobody_sees_its_process(world):
    stage, digest = Stage(world), world.offer(2).digest
    process = stage.start(lambda context: promote(context, digest), run=world.new_run(host="laptop"))
    while world.context().ledger.view().state is not State.CANARY:
        stage.step(process)
    elsewhere = world.context(run=world.new_run(host="desk"))
    assert "cannot be seen from here" in alive(elsewhere, process.run)
    unlock(elsewhere, "the laptop was stolen")
    elsewhere.lease.take("rollback", world.settings, lambda _: None, above=elsewhere.ledger.view().fence)
    asking = world.context(run=world.new_run(host="third"))
    assert alive(asking, process.run) is None
    assert "cannot be seen from here" in alive(asking, elsewhere.run)
    stage.end()


# Locks in Pulumi's state


@pytest.mark.parametrize("body", [None, b"", b"no JSON", b"[]", b"{}", b'{"pid": 1}'])
def test_a_foreign_lock_refuses_the_release_before_anything_has_changed(world, body):
    ann = Run(id="local-ann", actor="ann", host="their-machine", pid=1)
    key = world.stack.put_lock(world.stack.lock_of(ann) if body is None else body)
    digest, ups = world.offer(2).digest, len(world.stack.ups)
    with pytest.raises(Refused) as refused:
        promote(world.context(), digest)
    assert refused.value.rule == "stack-locked"
    assert ("ann@their-machine" if body is None else key) in refused.value.what
    assert key in refused.value.next_step
    assert world.states()[-2:] == ["LEASED", "REFUSED"]
    assert digest not in world.context().ledger.view().blocked
    assert len(world.stack.ups) == ups
    assert world.locks()


def test_a_lock_of_the_host_and_process_id_of_an_engine_that_began_later_is_foreign(world):
    run = world.new_run()
    earlier = world.stack.lock_of(run)
    world.pass_time(10)
    lease = world.context(run=run).lease
    lease.take("promote", world.settings, lambda _: None, above=world.context().ledger.view().fence)
    lease.note_engine(engine_of(run))
    lease.give_back()
    world.stack.put_lock(earlier)
    with pytest.raises(Refused, match="locked"):
        promote(world.context(), world.offer(2).digest)
    assert world.locks()


def test_a_rollback_ends_an_engine_of_ours_that_still_runs_on_this_machine(world):
    stage, digest = Stage(world), world.offer(2).digest
    process = stage.start(lambda context: promote(context, digest))
    while process.waits_for != UPDATES[State.LIVE]:
        stage.step(process)
    stage.step(process, 1)
    stage.end()
    world.surviving.add(engine_of(process.run))
    assert rollback(world.context(), None, "it died").state is State.ROLLED_BACK
    assert not world.surviving
    assert at_rest(world) == []


def test_who_has_lost_the_lease_starts_no_engine_and_removes_no_lock(world):
    lost = world.context()
    world.stack.put_lock(b"of whoever has taken over")
    for work in (lambda: lost.lease.note_engine(5), lost.locks.clear):
        with pytest.raises(LeaseLost):
            work()
    assert world.locks()


# What stops a run


def test_an_alias_that_moves_while_the_stack_is_brought_back_is_seen_at_the_end(world, monkeypatch):
    run, _ = killed(world, State.LIVE)
    newest = max(world.functions.published["prod-sentiment-analysis"], key=int)
    look, seen = release.rollout.rollback.what_differs, []

    def and_then_it_moves(*arguments):
        seen.append(look(*arguments))
        world.functions.put_alias("prod-sentiment-analysis", "live", newest)
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr("release.rollout.rollback.what_differs", and_then_it_moves)
        done = rollback(world.context(run=job(world, run, "rollback")), None, "deploy failed")
    assert seen == [[]]
    assert done.state is State.ROLLED_BACK_TRAFFIC
    assert "`live` of analysis is 2, not version 1 alone: somebody has moved it" in done.problems[0]
    assert world.scheduler.schedules, "without a proof the schedules stay"
    assert set(world.live().values()) == {world.offer(1).digest}
    assert rollback(world.context(), None, "again").state is State.ROLLED_BACK
    assert not world.scheduler.schedules


class Closed(io.StringIO):
    """Output that nobody reads from its line number `last` on."""

    def __init__(self, last, error):
        super().__init__()
        self.left, self.error = last, error

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return len(text)


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "No space left on device")], ids=str)
def test_output_that_cannot_be_written_any_more_ends_in_the_way_back(world, error):
    before, known, ends, line = world.save(), len(world.states()), set(), 0
    while "CONFIRMED" not in ends:
        world.restore(before)
        context, digest = world.context(), world.offer(2).digest
        context.console = Console(_Rich(file=Closed(line, error)))
        try:
            promote(context, digest)
        except (Refused, RolledBack, KeyboardInterrupt):
            assert at_rest(world) == [], line
        ends.update(world.states()[known:][-1:])
        line += 1 if "SOAK_MINUTES" in os.environ else 5
    assert ends >= {"REFUSED", "ROLLED_BACK", "CONFIRMED"}


@pytest.mark.parametrize("line", [2, 5, 9])
def test_a_rollback_goes_on_without_output(world, line):
    killed(world, State.LIVE)
    context = world.context(run=world.new_run())
    context.lease.break_open()
    context.console = Console(_Rich(file=Closed(line, BrokenPipeError())))
    assert rollback(context, None, "deploy failed").state is State.ROLLED_BACK


def test_output_that_is_closed_interrupts_once_and_is_dropped_from_then_on():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        console = Console(_Rich(file=pipe))
        with pytest.raises(KeyboardInterrupt):
            console.line("nobody reads this")
        console.error("nor", "this", "one")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_that_asks_to_end_is_taken_like_ctrl_c(monkeypatch, number):
    before = {each: signal.getsignal(each) for each in (signal.SIGHUP, signal.SIGTERM)}
    monkeypatch.setattr(main, "app", lambda: os.kill(os.getpid(), number))
    try:
        with pytest.raises(KeyboardInterrupt):
            main.main()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_a_full_disk_is_no_bug_of_the_releaser():
    assert _explained(OSError(errno.ENOSPC, "No space left on device")).what == "the disk is full"
