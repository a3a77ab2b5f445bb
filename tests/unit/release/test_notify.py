"""What a run came to while nobody looked reaches people: once, with the reason, and never for a good release."""

import itertools
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from release.cli import environment, main
from release.clients.github import GitHubError, Job, Review
from release.errors import ReleaseError, UsageError
from release.ledger.lifecycle import Entry, ReleaseId, Run, State
from release.oncall import notify as telling
from release.oncall.notify import JobResult, RunSeen, needs_of, notice_of
from tests.unit.release.release_world import client_error, unreachable
from tests.unit.release.test_pager import rolling_back
from tests.unit.workflows.graph import Ending, needs, play, workflows

RELEASE = ReleaseId(digest="a" * 64, sha="b" * 40)
RUN = Run(id="77.1", actor="octo", url="https://github.com/o/r/actions/runs/77")
CHECK, REVIEWED, AUTOMATIC = "check-preprod-validation", "deploy-production", "deploy-production-auto"
GOOD = {CHECK: "success", REVIEWED: "success", AUTOMATIC: "skipped", "rollback": "skipped"}
QUIET_ENDS = {State.ROLLED_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED}


def of(**results):
    return {name.replace("_", "-"): JobResult(result=result) for name, result in results.items()}


def production(**results):
    return of(**{name.replace("-", "_"): result for name, result in GOOD.items()} | results)


def entry(state, seq=7, reason="", **details):
    return Entry(
        seq=seq, previous="x", at="2026-11-29T02:00:00Z", stack="prod", state=state, run=RUN, release=RELEASE,
        reason=reason, details=details,
    )  # fmt: skip


def seen(*entries, **more):
    return RunSeen(sha=RELEASE.sha, release=RELEASE, entries=entries, **more)


# What is told


@pytest.mark.parametrize("stack", ["preprod", "prod"])
def test_nothing_is_told_of_a_run_whose_jobs_all_ended_well(stack):
    assert notice_of(stack, production(), seen(entry(State.CONFIRMED))).quiet


def test_a_rejected_approval_is_told_with_who_rejected_it_and_what_they_said():
    reviews = (
        Review.model_validate({"state": "approved", "user": {"login": "ann", "type": "User"}}),
        Review.model_validate({"state": "rejected", "comment": "not today", "user": {"login": "bob", "type": "User"}}),
    )
    told = notice_of("prod", production(deploy_production="failure"), seen(reviews=reviews))
    assert told.subject == "prod: bbbbbbb was rejected by bob; nothing was changed"
    assert "said: not today" in told.lines


def test_without_an_answer_of_github_a_rejection_is_told_as_what_is_known():
    told = notice_of("prod", production(deploy_production="failure"), seen(unread=("GitHub does not say",)))
    assert "ended before the ledger knew of it: an approval was rejected, or its job could not begin" in told.subject
    assert told.lines == ("job deploy-production: failure", "GitHub does not say")


def test_a_refusal_is_told_with_its_rule_its_reason_and_the_way_forward():
    refused = entry(State.REFUSED, reason="prod is frozen", rule="frozen", why="by ann", next_step="release freeze off")
    told = notice_of("prod", production(deploy_production="failure"), seen(refused))
    assert told.subject == "prod: bbbbbbb is refused by rule frozen"
    assert told.lines[:2] == ("prod is frozen", "why: by ann")
    assert told.next_step == "release freeze off"


@pytest.mark.parametrize("state", sorted(QUIET_ENDS))
def test_what_the_pager_has_told_is_not_told_again_and_what_it_has_not_is(state):
    needs_ = production(deploy_production="failure", rollback="success")
    assert notice_of("prod", needs_, seen(entry(state, report={"paged": True}))).quiet
    told = notice_of("prod", needs_, seen(entry(state, reason="4 of 800 wrong", report={"paged": False})))
    assert not told.quiet
    assert told.state is state
    assert "because: 4 of 800 wrong" in told.lines


@pytest.mark.parametrize("state", [State.LEASED, State.ARMED, State.DEPLOYING, State.DARK, State.CANARY, State.LIVE])
def test_a_run_that_stopped_half_way_and_was_not_finished_is_told_with_the_command_that_finishes_it(state):
    told = notice_of("prod", production(deploy_production="cancelled", rollback="failure"), seen(entry(state)))
    assert f"stopped in {state}" in told.subject
    assert told.next_step == "release reap --stack prod"


def test_a_run_that_a_newer_release_called_off_is_nobodys_trouble():
    cancelled = production(deploy_production="cancelled")
    assert notice_of("prod", cancelled, seen(superseded=True)).quiet
    assert notice_of("prod", cancelled, seen(entry(State.SUPERSEDED))).quiet
    assert "was cancelled, or ran out of time" in notice_of("prod", cancelled, seen()).subject


def test_a_release_that_was_not_admitted_is_told_by_the_job_that_knows_the_rule():
    needs_ = production(check_preprod_validation="failure", deploy_production="skipped")
    assert notice_of("prod", needs_, seen()).subject == "prod: bbbbbbb was not admitted to production"


def test_a_confirmed_release_whose_job_failed_afterwards_is_told_unless_that_was_told():
    needs_ = production(deploy_production="failure")
    assert "is confirmed, but" in notice_of("prod", needs_, seen(entry(State.CONFIRMED))).subject
    assert notice_of("prod", needs_, seen(entry(State.CONFIRMED), contract_pending=True)).quiet


def test_that_the_ledger_cannot_be_read_is_told_and_taken_for_nothing():
    failed = production(deploy_production="failure")
    told = notice_of("prod", failed, RunSeen(sha=RELEASE.sha, entries=None, unread=("S3 is away",)))
    assert "its ledger cannot be read" in told.subject
    assert "S3 is away" in told.lines


def test_of_preprod_the_job_is_named_that_failed_and_those_of_production_are_not():
    jobs = tuple(
        Job.model_validate({"name": name, "conclusion": conclusion, "html_url": f"https://github.test/{number}"})
        for number, (name, conclusion) in enumerate(
            [
                ("Build", "success"),
                ("Preprod / Deploy to preprod", "success"),
                ("Preprod / Integration tests", "failure"),
                ("Preprod / Validate", "skipped"),
                ("Production / Check preprod validation", "failure"),
            ]
        )
    )
    told = notice_of("preprod", of(build="success", preprod="failure"), seen(jobs=jobs))
    assert told.subject == "preprod: bbbbbbb did not pass Integration tests, so it does not go to production"
    assert told.lines == ("Preprod / Integration tests: failure https://github.test/2",)
    production_ = notice_of("prod", production(check_preprod_validation="failure"), seen(jobs=jobs))
    assert production_.lines == ("Production / Check preprod validation: failure https://github.test/4",)


def test_where_production_was_dispatched_by_hand_all_jobs_are_its_own():
    jobs = (Job.model_validate({"name": "Deploy to production", "conclusion": "timed_out"}),)
    told = notice_of("prod", production(deploy_production="failure"), seen(jobs=jobs))
    assert told.lines == ("Deploy to production: timed_out",)


def test_the_deploy_of_preprod_that_failed_says_why():
    refused = entry(State.REFUSED, reason="pulumi up failed", rule="preprod-failed")
    told = notice_of("preprod", of(build="success", preprod="failure"), seen(refused))
    assert told.lines[0] == "pulumi up failed"


STATES = [None, *State]


@pytest.mark.parametrize("deploy", [REVIEWED, AUTOMATIC])
@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
@pytest.mark.parametrize(("state", "paged"), [*itertools.product(STATES, [True, False])])
def test_whatever_ends_badly_is_told_unless_the_ledger_says_that_it_was(deploy, result, state, paged):
    """The whole table: how the job ended, over the workflow as it is, and what the ledger holds of the run."""
    files = workflows()
    gate = Ending(outputs={"environment": "production-auto" if deploy == AUTOMATIC else "production"})
    outputs = {"state": state.lower()} if state else {}
    endings = {CHECK: gate, deploy: Ending(result, outputs)}
    ended = play(files, "deploy-prod.yml", endings, cancelled=result == "cancelled")
    needed = needs(files["deploy-prod.yml"]["jobs"]["notify"])
    told = notice_of(
        "prod",
        {name: JobResult(result=ended[name]) for name in needed},
        seen(*([entry(state, report={"paged": paged})] if state else [])),
    )
    known = state is State.SUPERSEDED or (state in QUIET_ENDS and paged)
    assert told.quiet == (result == "success" or known)
    assert told.subject


@given(
    st.sampled_from(["preprod", "prod"]),
    st.dictionaries(
        st.sampled_from([CHECK, REVIEWED, AUTOMATIC, "rollback", "build", "preprod"]),
        st.sampled_from(["success", "failure", "cancelled", "skipped"]),
        min_size=1,
    ),
)
def test_a_run_of_which_nothing_is_known_but_a_failure_is_always_told(stack, results):
    told = notice_of(stack, {name: JobResult(result=result) for name, result in results.items()}, RunSeen(entries=None))
    assert told.quiet == (not set(results.values()) & {"failure", "cancelled"})


def test_the_job_that_calls_production_has_the_name_by_which_its_jobs_are_told_apart():
    calling = [job for job in workflows()["build-and-promote.yml"]["jobs"].values() if "deploy-prod" in str(job)]
    assert [job["name"] for job in calling] == [telling.PRODUCTION]


# The results of the jobs


@pytest.mark.parametrize("text", ["", "{}", "null", "[]", '{"build": {}}', '{"build": {"result": "failed"}}', "${{"])
def test_results_that_say_nothing_are_a_mistake_and_not_a_good_run(text):
    with pytest.raises(UsageError, match="nobody says how the jobs of this run ended"):
        needs_of(text)


def test_results_are_read_as_the_expression_writes_them():
    text = json.dumps(
        {
            "build": {"result": "success", "outputs": {"digest": "a" * 64}},
            "preprod": {"result": "failure", "outputs": {}},
            "rollback": {"result": "skipped", "outputs": None},
        }
    )
    found = needs_of(text)
    assert found["build"].outputs == {"digest": "a" * 64}
    assert found["preprod"].result == "failure"
    assert (found["rollback"].result, found["rollback"].outputs) == ("skipped", {})


# Telling


class FakeGitHub:
    def __init__(self, error=None):
        self.issues, self.error = [], error

    def jobs(self, _):
        if self.error:
            raise self.error
        return [Job.model_validate({"name": "Deploy to production", "conclusion": "failure"})]

    def reviews(self, _):
        return [Review.model_validate({"state": "rejected", "user": {"login": "bob", "type": "User"}})]

    def upsert_issue(self, key, title, body, labels=()):
        if self.error:
            raise self.error
        self.issues.append(SimpleNamespace(key=key, title=title, body=body, labels=labels))


def in_run(context, github=None):
    context.run = context.ledger.run = RUN
    context.github = github or FakeGitHub()
    context.aws.topics.meta.region_name = "us-east-1"
    context.aws.account = lambda: "123456789012"
    return context


FAILED = production(deploy_production="failure", rollback="success")


def test_a_rejection_reaches_the_topic_and_an_issue_of_the_release(world):
    context = in_run(world.context())
    digest = world.offer(1).digest
    needs_ = {**FAILED, CHECK: JobResult(result="success", outputs={"digest": digest})}
    report = telling.notify(context, needs_, "d" * 40)
    assert report.told
    (page,), (issue,) = world.pages, context.github.issues
    assert "was rejected by bob" in page["Subject"]
    assert issue.key == f"prod-{digest}"
    assert RUN.url in issue.body


def test_a_rollback_that_was_paged_reaches_nobody_twice(world):
    context = in_run(world.context())
    rolling_back(context)
    context.ledger.append(State.ROLLBACK_FAILED, release=RELEASE, report={"paged": True})
    report = telling.notify(context, FAILED)
    assert not report.told
    assert world.pages == context.github.issues == []


def test_the_right_that_the_role_lacks_is_named_to_its_end(world, monkeypatch):
    context = in_run(world.context())
    user = "arn:aws:sts::123456789012:assumed-role/preprod-sentiment-watch/12345678901-1"
    why = "because no identity-based policy allows the s3:GetObject action"
    sentence = f"User: {user} is not authorized to perform: s3:GetObject on resource: ledger/head.json {why}"

    def denied(_):
        doing = "reading ledger/head.json in preprod-sentiment-lambda-deployments was denied"
        called = "An error occurred (AccessDenied) when calling the GetObject operation"
        raise ReleaseError(doing, why=f"{called}: {sentence}")

    monkeypatch.setattr(context.ledger, "newest_first", denied)
    telling.notify(context, FAILED)
    assert why in world.pages[0]["Message"]


def test_entries_of_another_run_say_nothing_about_this_one(world):
    context = in_run(world.context())
    rolling_back(context)
    context.ledger.append(State.ROLLBACK_FAILED, release=RELEASE, report={"paged": True})
    context.run = Run(id="78.1", actor="octo")
    assert telling.notify(context, FAILED).told


def test_a_topic_that_only_the_first_deployment_makes_is_a_note_where_the_issue_is_opened(world):
    context = in_run(world.context())

    def missing(**_):
        raise client_error("NotFound", "Publish", 404)

    context.aws.topics.publish = missing
    report = telling.notify(context, FAILED)
    assert report.notes == ("nothing was ever deployed to prod, so its on-call topic is not there yet",)
    assert len(context.github.issues) == 1
    context.github = None
    with pytest.raises(ReleaseError, match="not everybody was told"):
        telling.notify(context, FAILED)


def test_a_missing_topic_is_a_failure_where_something_is_deployed(world):
    context = in_run(world.context())
    rolling_back(context)

    def missing(**_):
        raise client_error("NotFound", "Publish", 404)

    context.aws.topics.publish = missing
    with pytest.raises(ReleaseError, match="not everybody was told"):
        telling.notify(context, FAILED)


def test_who_cannot_be_told_over_one_channel_is_told_over_the_other_and_the_job_fails(world):
    context = in_run(world.context(), FakeGitHub(GitHubError("GitHub did not answer", why="HTTP 502")))
    with pytest.raises(ReleaseError, match="not everybody was told") as error:
        telling.notify(context, FAILED)
    assert "HTTP 502" in error.value.why
    assert len(world.pages) == 1
    assert "GitHub does not say which job it was" in world.pages[0]["Message"]
    context = in_run(world.context())
    context.aws.topics.publish = unreachable
    with pytest.raises(ReleaseError, match="not everybody was told"):
        telling.notify(context, FAILED)
    assert len(context.github.issues) == 1


def test_the_command_reads_the_results_from_its_environment_and_says_what_it_told(world, monkeypatch):
    context = in_run(world.context())
    monkeypatch.setattr(environment, "context", lambda _: context)
    monkeypatch.setenv("NEEDS", json.dumps({name: {"result": "success", "outputs": {}} for name in GOOD}))
    ran = CliRunner().invoke(main.app, ["notify", "--stack", "prod"])
    assert (ran.exit_code, ran.stdout) == (0, "nothing to tell: every job ended as it should\n")
    monkeypatch.setenv(
        "NEEDS", json.dumps({**{name: {"result": "success"} for name in GOOD}, "rollback": {"result": "failure"}})
    )
    ran = CliRunner().invoke(main.app, ["notify", "--stack", "prod"])
    assert ran.exit_code == 0
    assert ran.stdout.startswith("told: prod: ")
    monkeypatch.setenv("NEEDS", "")
    assert CliRunner().invoke(main.app, ["notify", "--stack", "prod"]).exit_code == 2
