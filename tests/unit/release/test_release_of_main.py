"""A production release is a commit of main, judged by the tables: what a shell changes in them is refused or told."""

from types import SimpleNamespace

import pytest

from release.errors import Refused, UsageError
from release.gates.preconditions import admit
from release.ledger.lifecycle import State
from release.reporting.explain import explain, story_picture
from release.rollout.promote import promote
from tests.unit.release.test_status import seen

WEAKER = {"RELEASE_QUESTIONS": "40", "LOCALCLOUD_CLOCK": "x1000", "RELEASE_STACK_CONFIG": '{"alarms": "off"}'}


@pytest.fixture
def shell(monkeypatch):
    """A shell whose variables change how a release is judged."""
    for name, value in WEAKER.items():
        monkeypatch.setenv(name, value)


def rehearsing(world):
    """The same world as the local cloud: its S3 is on loopback."""
    world.s3.meta = SimpleNamespace(endpoint_url="http://127.0.0.1:4566")


# Main


@pytest.mark.parametrize("known", [False, None], ids=["on another branch", "unknown to the clone"])
def test_a_commit_that_is_not_on_main_is_refused_and_nobody_can_override_it(world, confirmed, known):
    manifest = world.offer(2)
    world.on_main[manifest.sha] = known
    before = world.live()
    with pytest.raises(Refused, match="is not on main") as refused:
        promote(world.context(), manifest.digest)
    assert refused.value.rule == "not-on-main"
    assert "git fetch origin main" in refused.value.next_step
    assert world.live() == before
    assert world.states()[-1] == "REFUSED"


def test_check_says_so_before_anybody_is_asked_to_approve(world, confirmed):
    manifest = world.offer(2)
    world.on_main[manifest.sha] = False
    with pytest.raises(Refused, match="is not on main"):
        admit(world.context(), manifest.digest)


def test_a_rehearsal_releases_any_commit(world, confirmed):
    manifest = world.offer(2)
    world.on_main[manifest.sha] = False
    rehearsing(world)
    assert promote(world.context(), manifest.digest).state is State.CONFIRMED


# Variables


def test_variables_that_change_how_a_release_is_judged_are_recorded_and_paged(world, confirmed, shell):
    manifest = world.offer(2)
    promote(world.context(), manifest.digest)
    leased = next(entry for entry in reversed(world.context().ledger.entries()) if entry.state is State.LEASED)
    assert leased.details["settings"] == WEAKER
    told = next(page["Message"] for page in world.pages if "RELEASE_QUESTIONS" in page["Message"])
    assert all(name in told for name in WEAKER)
    assert "variable RELEASE_QUESTIONS=40" in seen(story_picture(explain(world.context(), manifest.digest)))


def test_on_the_automatic_path_they_are_refused(world, confirmed, shell):
    before = world.changes()
    with pytest.raises(UsageError, match="overrides no rule") as refused:
        promote(world.context(), world.offer(2).digest, path="automatic")
    assert "LOCALCLOUD_CLOCK" in refused.value.why
    assert world.changes() == before


def test_values_of_the_table_and_patience_change_nothing(world, confirmed, monkeypatch):
    for name, value in {"RELEASE_QUESTIONS": "3000", "RELEASE_LEASE_WAIT_S": "5", "RELEASE_METRIC_DELAY_S": ""}.items():
        monkeypatch.setenv(name, value)
    assert world.context().changed == {}


def test_a_rehearsal_may_be_short(world, confirmed, shell):
    rehearsing(world)
    pages = len(world.pages)
    promote(world.context(), world.offer(2).digest)
    assert len(world.pages) == pages
