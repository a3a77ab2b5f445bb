"""A tenth of the traffic on the real engine: the window sees the new release, by its answers and by its counts."""

import io

import pytest
from rich.console import Console as RichConsole

from components.naming import names
from components.service.functions import KEYS
from release.analysis.verdict import Outcome
from release.clock import Clock
from release.console import Console
from release.context import Context
from release.ledger.lifecycle import Deployment, ReleaseId
from release.rollout.canary import Canary, CanaryFailed
from release.settings import ReleaseSettings
from tests.cloud import CLOCK, ROOT
from tests.engine.conftest import STACK

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]

DASHBOARD = names(STACK).function("dashboard")
QUIET_ALARM = names(STACK).function("ingestion").alarm("errors")


def identity(release):
    return ReleaseId(digest=release["manifest"], sha=release["sha"])


@pytest.fixture
def outputs(service):
    return service.cloud.run("pulumi", "stack", "output", "--json", "--stack", STACK).json()


@pytest.fixture
def context(service, monkeypatch):
    for name, value in service.cloud.variables.items():
        monkeypatch.setenv(name, value)

    def made(**settings):
        return Context(
            stack=STACK,
            repo=ROOT,
            console=Console(RichConsole(file=io.StringIO())),
            settings=ReleaseSettings(**settings),
            clock=Clock(float(CLOCK.removeprefix("x"))),
        )

    return made


@pytest.fixture
def confirmed(service, context, outputs):
    """What the ledger would say of the confirmed release; the stack is back on it afterwards."""
    record = service.record()
    yield Deployment(
        release=identity(record["release"]),
        built_at="",
        at="",
        hand_over=record["release"],
        functions={name: context().traffic.deployed(name) for name in KEYS},
        dashboard_url=outputs["dashboard_url"],
        on_call_topic=outputs["on_call_topic"],
        alarms=tuple(outputs["alarms"]),
    )
    service.up(service.hand_over(record["release"], traffic=0, stable=record["stable"]))
    assert service.record() == record


def code_of(release):
    return {name: package["code_sha256"] for name, package in release["functions"].items()}


def watched(context, release, confirmed, outputs):
    """The verdicts of a window, and the one that ended it."""
    verdicts = []
    try:
        Canary(context, identity(release), code_of(release), verdicts.append).watch_weighted(confirmed, outputs)
    except CanaryFailed as failed:
        return verdicts, failed.verdict
    return verdicts, None


def test_a_sound_release_is_seen_at_ten_percent(service, context, confirmed, outputs):
    release = service.release("canary-sound")
    service.up(service.hand_over(release, traffic=10, stable=confirmed.stable))
    canary = Canary(context(), identity(release), code_of(release), [].append)
    assert canary.why_not_weighted(confirmed.stable) == ""
    version = service.versions("candidate")["dashboard"]
    assert service.weights("dashboard") == {version: 0.1}

    verdicts, ended = watched(context(), release, confirmed, outputs)

    assert ended is None, ended
    by_subject = {verdict.subject: verdict for verdict in verdicts}
    health, counts = by_subject["health at 10 %"], by_subject[f"calls of {DASHBOARD.function} version {version}"]
    assert health.numbers["of_new"] >= 1
    assert health.numbers["of_stable"] > health.numbers["of_new"]
    assert counts.numbers["errors"] == 0
    assert 1 <= counts.numbers["invocations"] <= health.numbers["of_new"]
    assert by_subject["alarms"].passed


def test_a_release_that_always_fails_at_ten_percent_is_caught_by_its_counts(service, context, confirmed, outputs):
    release = service.release("canary-broken", broken=True)
    service.up(service.hand_over(release, traffic=10, stable=confirmed.stable))
    # Its own alarm would ring too: here the quiet one of another function, so that the others have to notice.
    quiet = outputs | {"alarms": [QUIET_ALARM]}

    _, by_counts = watched(context(), release, confirmed, quiet)

    assert by_counts is not None
    assert by_counts.subject.startswith(f"calls of {DASHBOARD.function} version ")
    assert by_counts.outcome is Outcome.FAIL
    assert by_counts.numbers["errors"] >= 2
