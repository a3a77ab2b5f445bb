"""M14: a release is followed from its commit to the calls that deployed it, and a gap is told as a gap."""

import json
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from components.identities import IDENTITIES
from release.cli import environment, main
from release.clients.github import GitHubError, Review
from release.errors import ReleaseError, UsageError
from release.ledger.lifecycle import Run
from release.reporting import audit as auditing
from release.reporting.workflow_summary import lines
from release.rollout.promote import promote
from tests.unit.program.evaluate import decision
from tests.unit.program.test_policies import _arns
from tests.unit.release.release_world import EPOCH, client_error


class EventHistory:
    """CloudTrail's LookupEvents: one attribute, a window, pages of at most 50, tokens that belong to a question."""

    def __init__(self, *events):
        self.events, self.asked = events, []

    def lookup_events(self, *, LookupAttributes, StartTime, EndTime, MaxResults, NextToken=""):  # noqa: N803
        (attribute,) = LookupAttributes
        assert attribute["AttributeKey"] == "Username"
        assert 0 < MaxResults <= 50
        self.asked.append(attribute["AttributeValue"])
        found = [
            one
            for one in self.events
            if one["Username"] == attribute["AttributeValue"] and StartTime <= one["EventTime"] <= EndTime
        ]
        start = int(NextToken or 0)
        more = {"NextToken": str(start + MaxResults)} if start + MaxResults < len(found) else {}
        return {"Events": found[start : start + MaxResults], **more}


def event(number, session, *, name="UpdateAlias20150331", read="false", at=EPOCH, error=""):
    return {
        "EventId": f"e{number}",
        "EventName": name,
        "EventSource": "lambda.amazonaws.com",
        "EventTime": at,
        "ReadOnly": read,
        "Username": session,
        "Resources": [{"ResourceType": "AWS::Lambda::Function", "ResourceName": "prod-sentiment-dashboard"}],
        "CloudTrailEvent": json.dumps({"errorCode": error} if error else {}),
    }


RUN = Run(id="77.2", actor="octo", url="https://github.com/o/r/actions/runs/77", job="deploy-production")


class Reviews:
    def __init__(self, error=None):
        self.error = error

    def reviews(self, run_id):
        assert run_id == 77
        if self.error:
            raise self.error
        return [Review.model_validate({"state": "approved", "user": {"login": "ann", "type": "User"}})]


@pytest.fixture
def released(world, monkeypatch):
    """Release 1, promoted by a run of CI; and a context that audits it."""
    manifest = world.offer(1)
    promoting = world.context(run=RUN)
    promote(promoting, manifest.digest)
    commit = SimpleNamespace(committed_at=datetime.fromisoformat("2036-11-23T05:00:00+00:00"))
    monkeypatch.setattr(auditing, "find_commit", lambda _repo, _sha: commit)
    context = world.context()
    context.aws.trail = EventHistory(*(event(n, "77-2") for n in range(120)), event(200, "78-1"))
    context.github = Reviews()
    return SimpleNamespace(manifest=manifest, context=context, world=world)


def test_every_step_of_a_release_is_told_with_who_approved_it_and_what_its_session_called(released):
    report = auditing.audit([released.context], released.manifest.sha)
    assert report.gaps == []
    assert (report.sha, report.manifest) == (released.manifest.sha, released.manifest.digest)
    assert {one.function: one.sha256 for one in report.artifacts} == report.packages
    assert all(one.version and one.key.startswith("packages/") for one in report.artifacts)
    assert report.validation.tests == 12
    assert [str(entry.state) for entry in report.entries][-1] == "CONFIRMED"
    (run,) = report.runs
    assert (run.session, run.path, run.approvals) == ("77-2", "reviewed", ("approved by ann",))
    assert len(run.calls) == 120
    assert released.context.aws.trail.asked == ["77-2"] * 3
    told = "\n".join(lines(report))
    for part in (
        f"commit {released.manifest.sha}",
        "version v",
        "as built",
        "CONFIRMED",
        RUN.url,
        "approved by ann",
        "session 77-2: 120 changing calls, 0 that read",
        "lambda:UpdateAlias20150331 prod-sentiment-dashboard",
    ):
        assert part in told, told


def test_a_release_is_found_by_the_start_of_its_commit_or_digest_and_nothing_else_is(released):
    assert auditing.audit([released.context], released.manifest.digest[:10]).sha == released.manifest.sha
    for name in ("", "zz", "f" * 40):
        with pytest.raises(UsageError, match="names no release"):
            auditing.audit([released.context], name)


@given(st.integers(0, 260), st.integers(0, 5))
def test_the_calls_of_a_session_are_all_read_whatever_the_number_of_pages(own, others):
    at = EPOCH + timedelta(minutes=5)
    history = EventHistory(
        *(event(n, "77-2", at=at) for n in range(own)), *(event(n, "1-1", at=at) for n in range(others))
    )
    context = SimpleNamespace(
        aws=SimpleNamespace(trail=history), clock=SimpleNamespace(now=lambda: EPOCH, sleep=lambda _: None)
    )
    written = [SimpleNamespace(at=EPOCH.isoformat())]
    calls, why = auditing._calls_of(context, "77-2", written)
    assert (len(calls), why) == (own, "")
    assert len(history.asked) == max(1, -(-own // 50))


def test_calls_outside_of_the_time_of_the_run_are_not_its(released):
    released.context.aws.trail = EventHistory(event(1, "77-2", at=EPOCH - timedelta(days=1)), event(2, "77-2"))
    (run,) = auditing.audit([released.context], released.manifest.sha).runs
    assert [call.id for call in run.calls] == ["e2"]


def test_calls_that_could_not_be_read_are_told_and_are_no_empty_list(released):
    def denied(**_):
        raise client_error("AccessDeniedException", "LookupEvents")

    released.context.aws.trail.lookup_events = denied
    report = auditing.audit([released.context], released.manifest.sha)
    assert report.gaps[0].startswith("run 77.2 in prod: its calls: ")
    told = "\n".join(lines(report))
    assert "AccessDeniedException" in told
    assert "0 changing calls" not in told


def test_a_history_that_breaks_off_is_told_as_a_part(released):
    history = released.context.aws.trail
    whole = history.lookup_events

    def broken(**asked):
        if asked.get("NextToken"):
            raise client_error("ThrottlingException", "LookupEvents")
        return whole(**asked)

    history.lookup_events = broken
    (run,) = auditing.audit([released.context], released.manifest.sha).runs
    assert len(run.calls) == 50
    assert run.unread[0].startswith("not all of its calls: ")


def test_a_release_older_than_the_event_history_is_told_where_its_calls_lie(released):
    released.world.now += timedelta(days=91)
    (run,) = auditing.audit([released.context], released.manifest.sha).runs
    assert run.unread == (
        "its calls: older than CloudTrail's 90 days; the trail keeps them in "
        "s3://sentiment-pipeline-trail-123456789012",
    )


def test_that_github_does_not_say_who_approved_is_told(released):
    released.context.github = Reviews(GitHubError("GitHub did not answer", why="HTTP 502"))
    (run,) = auditing.audit([released.context], released.manifest.sha).runs
    assert run.unread == ("who approved it: GitHub did not answer (HTTP 502)",)
    released.context.github = None
    (run,) = auditing.audit([released.context], released.manifest.sha).runs
    assert "no GITHUB_TOKEN" in run.unread[0]


def test_a_package_whose_bytes_are_others_or_gone_is_told(released):
    versions = released.world.s3.versions
    keys = [key for key in versions if key[1].startswith("packages/") and key[1].endswith(".zip")]
    (body, etag, version) = versions[keys[0]]
    versions[keys[0]] = (body + b"x", etag, version)
    del versions[keys[1]]
    gaps = auditing.audit([released.context], released.manifest.sha).gaps
    assert len(gaps) == 2
    assert any("the bytes are not those of the manifest" in gap for gap in gaps)
    assert any("there is no such version of the object" in gap for gap in gaps)


def test_what_cannot_be_read_hides_nothing_else(released, monkeypatch):
    def gone(*_):
        raise ReleaseError("this clone does not know the commit")

    monkeypatch.setattr(auditing, "find_commit", gone)
    report = auditing.audit([released.context], released.manifest.sha)
    assert report.unread == ("commit: this clone does not know the commit",)
    assert report.entries
    assert report.committed_at == ""


def test_the_command_ends_with_1_where_something_could_not_be_read(released, monkeypatch):
    monkeypatch.setattr(environment, "context", lambda _: released.context)
    ran = CliRunner().invoke(main.app, ["audit", released.manifest.sha, "--stack", "prod"])
    assert ran.exit_code == 0
    released.context.github = None
    ran = CliRunner().invoke(main.app, ["audit", released.manifest.sha, "--stack", "prod", "--json"])
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["runs"][0]["unread"]


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
def test_no_role_of_ci_reads_the_calls_of_the_whole_account(identity):
    """LookupEvents knows no resources: whoever may ask sees the calls of the other environment too."""
    policy = identity.rights(_arns(identity.environment))
    assert decision(policy, "cloudtrail:LookupEvents", "*") != "allowed"
