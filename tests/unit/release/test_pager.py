"""Who is on call is told once, by every way there is, and what cannot be told changes nothing."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from release.clients.github import GitHubError
from release.errors import ReleaseError
from release.ledger.lifecycle import DeployedFunction, Deployment, ReleaseId, Run, State
from release.oncall.message import LONGEST_MESSAGE, Page
from release.oncall.pager import page
from release.oncall.sns import LONGEST_SUBJECT
from tests.unit.release.test_wording import HOSTILE, outside_code

RELEASE = ReleaseId(digest="a" * 64, sha="b" * 40)
OTHER = ReleaseId(digest="c" * 64, sha="d" * 40)
TOPIC = "arn:aws:sns:us-east-1:123456789012:prod-sentiment-on-call"
RUN = Run(id="77.1", actor="octo", url="https://github.com/o/r/actions/runs/77")


class FakeGitHub:
    def __init__(self, failing=False):
        self.issues, self.statuses, self.failing = [], [], failing

    def upsert_issue(self, key, title, body, labels=()):
        if self.failing:
            raise GitHubError("GitHub did not answer", why="HTTP 502")
        self.issues.append(SimpleNamespace(key=key, title=title, body=body, labels=labels))
        return "https://github.com/o/r/issues/1"

    def set_deployment_status(self, *status):
        if self.failing:
            raise GitHubError("GitHub did not answer", why="HTTP 502")
        self.statuses.append(status)


@pytest.fixture
def context(world):
    context = world.context()
    context.run = context.ledger.run = RUN
    context.github = FakeGitHub()
    context.aws.topics.meta.region_name = "us-east-1"
    return context


def served(release=OTHER):
    return Deployment(
        release=release,
        built_at="2026-11-23T05:00:00Z",
        at="2026-11-23T05:00:00Z",
        hand_over={},
        functions={"dashboard": DeployedFunction(version="3", code_sha256="x", configuration={})},
        dashboard_url="https://dashboard.test/",
        on_call_topic=TOPIC,
        alarms=(),
    )


def rolling_back(context, release=RELEASE):
    """A ledger in which a release is confirmed and the next one is on its way back."""
    book = context.ledger
    if book.view().confirmed is None:
        for state in (State.LEASED, State.ARMED, State.DEPLOYING, State.DARK, State.LIVE):
            book.append(state, release=OTHER)
        book.append(State.CONFIRMED, release=OTHER, served=served())
    for state in (State.LEASED, State.ARMED, State.DEPLOYING, State.ROLLING_BACK):
        book.append(state, release=release)


def failed(context, **more):
    subject = f"prod: {RELEASE.sha[:7]} ROLLBACK_FAILED"
    return page(context, subject, ["4 of 800 wrong"], release=RELEASE, state=State.ROLLBACK_FAILED, **more)


def test_a_page_says_what_why_what_to_do_and_where_to_look(world, context):
    rolling_back(context)
    assert failed(context) == []
    (told,) = world.pages
    assert told["TopicArn"] == TOPIC
    assert told["Subject"] == "prod: bbbbbbb ROLLBACK_FAILED"
    for part in (
        "traffic may still reach the failed release",
        "- 4 of 800 wrong",
        "next: at once: release rollback --stack prod --reason 'finish the rollback'",
        "dashboard: https://dashboard.test/",
        "prefix=ledger%2Fentries%2F00000010.json",
        f"release explain {RELEASE.digest[:12]} --stack prod",
        f"run: {RUN.url}",
    ):
        assert part in told["Message"], told["Message"]


def test_where_nothing_was_ever_confirmed_nobody_is_told_to_go_back(world, context):
    for state in (State.LEASED, State.ARMED, State.DEPLOYING, State.ROLLING_BACK):
        context.ledger.append(state, release=RELEASE)
    page(context, "prod: off traffic", [], release=RELEASE, state=State.ROLLED_BACK_TRAFFIC)
    assert "next: no release was ever confirmed" in world.pages[0]["Message"]
    assert "rollback" not in world.pages[0]["Message"].split("next: ")[1]


def test_github_gets_one_issue_per_release_and_stack_and_the_end_of_the_deployment(context):
    rolling_back(context)
    failed(context)
    (issue,) = context.github.issues
    assert issue.key == f"prod-{RELEASE.digest}"
    assert issue.title == "prod: bbbbbbb ROLLBACK_FAILED"
    assert "<https://dashboard.test/>" in issue.body
    (status,) = context.github.statuses
    assert status[:3] == (RELEASE.sha, "production", "error")
    assert status[4:] == (RUN.url, "https://dashboard.test/")


def test_the_deployment_is_that_of_the_way_without_a_reviewer_where_the_release_took_it(context):
    rolling_back(context)
    context.ledger.append(State.ROLLED_BACK, release=RELEASE, served=served())
    context.ledger.append(State.LEASED, release=RELEASE, path="automatic")
    failed(context)
    assert context.github.statuses[0][1] == "production-auto"


def test_without_a_token_the_topic_is_the_only_way(world, context):
    context.github = None
    rolling_back(context)
    assert failed(context) == []
    assert len(world.pages) == 1


def test_each_way_that_fails_is_a_complaint_and_the_others_are_still_told(world, context):
    rolling_back(context)
    context.github = FakeGitHub(failing=True)
    complaints = failed(context)
    assert len(world.pages) == 1
    assert [complaint.split(":")[0] for complaint in complaints] == ["GitHub (issue)", "GitHub (deployment)"]
    assert all("HTTP 502" in complaint for complaint in complaints)


def test_github_is_told_although_the_topic_is_away(context):
    def away(**_):
        raise EndpointConnectionError(endpoint_url="https://sns.test")

    rolling_back(context)
    context.aws.topics.publish = away
    (complaint,) = failed(context)
    assert complaint.startswith("the on-call topic: ")
    assert len(context.github.issues) == 1


def test_somebody_is_told_although_the_ledger_cannot_be_read(world, context, monkeypatch):
    rolling_back(context)

    def away(*_, **__):
        raise ReleaseError("S3 is away")

    monkeypatch.setattr(context.objects, "get", away)
    context.aws.account = lambda: "123456789012"
    assert failed(context) == []
    assert world.pages[0]["TopicArn"] == TOPIC
    assert len(context.github.issues) == 1


def test_a_bug_in_a_way_changes_nothing_either(context, monkeypatch):
    rolling_back(context)
    monkeypatch.setattr(context.github, "upsert_issue", lambda *_: 1 / 0)
    assert failed(context) == ["GitHub (issue): division by zero"]


def test_the_same_state_of_the_same_attempt_is_told_once(world, context):
    rolling_back(context)
    complaints = failed(context)
    context.ledger.append(State.ROLLBACK_FAILED, release=RELEASE, report={"paged": not complaints})
    context.ledger.append(State.ROLLING_BACK, release=RELEASE, reason="the rollback job tries again")
    assert failed(context) == []
    assert len(world.pages) == len(context.github.issues) == 1


def test_what_nobody_was_told_is_told_again(world, context):
    rolling_back(context)
    context.ledger.append(State.ROLLBACK_FAILED, release=RELEASE, report={"paged": False})
    context.ledger.append(State.ROLLING_BACK, release=RELEASE)
    failed(context)
    assert len(world.pages) == 1


def test_another_state_another_release_and_another_attempt_are_told(world, context):
    rolling_back(context)
    context.ledger.append(State.ROLLBACK_FAILED, release=RELEASE, report={"paged": True})
    context.ledger.append(State.ROLLING_BACK, release=RELEASE)
    page(context, "prod: back", [], release=RELEASE, state=State.ROLLED_BACK)
    page(context, "prod: another", [], release=OTHER, state=State.ROLLBACK_FAILED)
    assert len(world.pages) == 2
    context.ledger.append(State.ROLLED_BACK, release=RELEASE, served=served(), report={"paged": True})
    rolling_back(context)
    page(context, "prod: back once more", [], release=RELEASE, state=State.ROLLED_BACK)
    assert len(world.pages) == 3


def test_an_entry_that_is_written_already_names_release_and_state(world, context):
    rolling_back(context)
    entry = context.ledger.append(State.ROLLED_BACK, release=RELEASE, served=served())
    page(context, "prod: back", ["why"], entry=entry)
    assert f"prefix=ledger%2Fentries%2F{entry.seq:08d}.json" in world.pages[0]["Message"]
    assert context.github.statuses[0][2] == "failure"


def test_what_others_wrote_is_told_and_does_nothing():
    told = Page(
        subject="prod: @octocat <b> `x`",
        lines=tuple(HOSTILE),
        promise="it is `live`",
        next_step="release status",
        places=(("dashboard", "https://x/> @octocat"), ("run", "https://github.com/o/r/actions/runs/77")),
    )
    text = outside_code(told.markdown())
    for forbidden in ("@", "img", "evil", "click", "<!--", "#1", "\x1b"):
        assert forbidden not in text, text
    assert "onerror" in told.markdown()
    assert len([line for line in told.message().splitlines() if line.startswith("- ")]) == len(HOSTILE)


def test_a_page_of_any_size_is_within_the_limits_and_keeps_its_end(world, context):
    rolling_back(context)
    lines = ["x" * 5_000_000, *("`" * 3_000 for _ in range(1000))]
    page(context, "s\u00e9" * 500, lines, release=RELEASE, state=State.ROLLED_BACK)
    (told,), (issue,) = world.pages, context.github.issues
    assert len(told["Subject"]) <= LONGEST_SUBJECT
    assert len(told["Message"].encode()) <= LONGEST_MESSAGE
    assert len(issue.body) < 65_536 - 200
    assert len(issue.title) <= 256
    assert told["Message"].endswith(RUN.url)
    assert issue.body.endswith(f"<{RUN.url}>")


def test_a_subject_of_nothing_printable_is_still_a_subject(world, context):
    page(context, "\n\t", [])
    assert world.pages[0]["Subject"] == "prod: look at the release"
