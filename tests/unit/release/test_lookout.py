"""What is wrong while nobody looks stands in one issue per environment, which opens, says what is now, and closes."""

import gzip
import json
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from components.naming import PROJECT, state_place
from release.cli import environment, main
from release.clients.github import GitHub, WorkflowRun
from release.errors import ReleaseError, UsageError
from release.lookout import drift, issue, watch
from release.preview.compare import ENGINE_UNKNOWN
from release.pulumi.checkpoint import SIGNATURE
from release.pulumi.stack_config import raw
from release.reports import Finding, Observation, Readiness
from tests.stacks import copy_to
from tests.unit.program.harness import ROOT
from tests.unit.release.release_world import EPOCH
from tests.unit.release.test_github_client import Issues, Waits
from tests.unit.release.test_pager import served
from tests.unit.release.test_wording import HOSTILE, outside_code

NOW = "2026-11-29T03:00:00Z"


def observed(key, **more):
    return Observation(
        key=key, verdict=Readiness.FAILED, title=f"{key} is wrong", lines=("seen",), fixes=("mend",), **more
    )


def repository(issues):
    return GitHub("ghs_x", "o/r", "https://api.github.test", Waits(), httpx.MockTransport(issues))


# The issue


def test_the_issue_says_each_finding_since_when_and_what_to_do_about_it():
    issues = Issues()
    address, found = issue.keep(repository(issues), "prod", [observed("a"), observed("b")], NOW, "https://run.test/1")
    (one,) = issues.issues
    assert address == one["html_url"]
    assert one["title"] == "prod: a is wrong, and 1 more"
    assert one["labels"] == ["release", "watch"]
    for part in ("### a is wrong", f"failed, since {NOW}", "seen", "- `mend`", "<https://run.test/1>"):
        assert part in one["body"]
    assert [each.since for each in found] == [NOW, NOW]


def test_a_finding_that_stays_keeps_its_time_and_what_comes_and_goes_is_a_comment():
    issues = Issues()
    github = repository(issues)
    issue.keep(github, "prod", [observed("a--b"), observed("b")], NOW, "")
    _, found = issue.keep(github, "prod", [observed("a--b"), observed("c")], "2026-11-29T04:00:00Z", "")
    (one,) = issues.issues
    assert {each.key: each.since for each in found} == {"a--b": NOW, "c": "2026-11-29T04:00:00Z"}
    (comment,) = one["said"]
    assert comment["body"].startswith("- new: c is wrong\n- gone: b")
    issue.keep(github, "prod", [observed("a--b"), observed("c")], "2026-11-29T05:00:00Z", "")
    assert len(one["said"]) == 1
    assert "Last look: 2026-11-29T05:00:00Z" in one["body"]


def test_the_issue_closes_with_what_is_gone_and_opens_anew_for_the_next_finding():
    issues = Issues()
    github = repository(issues)
    issue.keep(github, "prod", [observed("a")], NOW, "")
    issue.keep(github, "prod", [], NOW, "")
    issue.keep(github, "prod", [], NOW, "")
    (one,) = issues.issues
    assert one["state"] == "closed"
    assert one["said"][-1]["body"].startswith(f"Nothing is left to tell ({NOW}).\n\n- a")
    issue.keep(github, "prod", [observed("a")], "2026-11-29T09:00:00Z", "")
    assert [each["state"] for each in issues.issues] == ["closed", "open"]
    assert "since 2026-11-29T09:00:00Z" in issues.issues[1]["body"]


def test_the_issue_of_one_stack_is_not_that_of_the_other():
    issues = Issues()
    github = repository(issues)
    for stack in ("preprod", "prod"):
        issue.keep(github, stack, [observed("a")], NOW, "")
    issue.keep(github, "prod", [], NOW, "")
    assert [one["state"] for one in issues.issues] == ["open", "closed"]


@given(st.lists(st.sets(st.sampled_from("abcd")), min_size=1, max_size=6))
def test_at_most_one_issue_is_open_and_it_is_open_exactly_while_something_is_wrong(looks):
    issues = Issues()
    github = repository(issues)
    began = {}
    for hour, wrong in enumerate(looks):
        now = f"2026-11-29T{hour:02}:00:00Z"
        began = {key: began.get(key, now) for key in wrong}
        _, found = issue.keep(github, "prod", [observed(key) for key in sorted(wrong)], now, "")
        assert {one.key: one.since for one in found} == began
        assert [one["state"] for one in issues.issues].count("open") == bool(wrong)


def test_what_others_wrote_into_a_finding_is_shown_and_does_nothing():
    hostile = Observation(
        key="x", verdict=Readiness.FAILED, title=HOSTILE[0], lines=tuple(HOSTILE), fixes=(HOSTILE[1],)
    )
    text = outside_code(issue.body([hostile], NOW, "javascript:alert(1)")).replace(
        f"<!-- since {json.dumps({'x': ''})} -->", ""
    )
    for forbidden in ("@", "img", "evil", "click", "#1", "\x1b"):
        assert forbidden not in text, text


@pytest.mark.parametrize(
    "text", ["", "<!-- since {broken -->", '<!-- since {"a": 5} -->', '<!-- since {"a": "soon"} -->']
)
def test_times_that_are_none_of_ours_are_left_out(text):
    assert issue.since(text) == {}


# Looking


class Repository:
    """GitHub with waiting runs, and one issue that is kept."""

    def __init__(self, *runs):
        self.runs, self.kept, self.closed = runs, [], []

    def waiting_runs(self, workflow):
        return [run for run in self.runs if workflow == "deploy-prod.yml"]

    def run_has_ended(self, _):
        return True

    def open_issue_of(self, _):
        return None

    def keep_issue(self, key, title, body, news="", labels=()):
        self.kept.append((key, title, body))
        return "https://github.test/issues/1"


def finding(name, verdict=Readiness.OK):
    return Finding(name=name, stack="prod", verdict=verdict, asked="it", evidence="evidence", fix="fix it")


@pytest.fixture
def looking(monkeypatch):
    """The checks of the doctor and the look for drift, as a test says them; what was asked."""
    said = SimpleNamespace(verdicts={}, drift=[], asked=[], before_drift=lambda: None)

    def examine(checks, _places, _console):
        said.asked += [check.name for check in checks]
        return [finding(check.name, said.verdicts.get(check.name, Readiness.OK)) for check in checks]

    def look_for_drift(_context, _view):
        said.asked.append("drift")
        said.before_drift()
        if isinstance(said.drift, Exception):
            raise said.drift
        return said.drift

    monkeypatch.setattr(watch, "examine", examine)
    monkeypatch.setattr(watch, "look_for_drift", look_for_drift)
    return said


@pytest.fixture
def stacks(tmp_path):
    """A folder with the stack files of the tests."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    copy_to(folder)
    return folder


@pytest.fixture
def context(world, confirmed, stacks):
    context = world.context()
    context.repo = stacks
    context.github = Repository()
    return context


def waiting(number, hours):
    created = (EPOCH - timedelta(hours=hours)).isoformat()
    return WorkflowRun.model_validate(
        {
            "id": number,
            "path": "x",
            "event": "push",
            "status": "waiting",
            "head_branch": "main",
            "head_sha": "d" * 40,
            "head_repository": None,
            "html_url": f"https://github.test/runs/{number}",
            "created_at": created,
        }
    )


def test_an_environment_in_which_all_is_well_has_no_issue(context, looking):
    report = watch.watch(context)
    assert (report.observations, report.issue, report.quiet) == ((), "", "")
    assert looking.asked == [watch.LEASE, *watch.CHECKS, "drift"]
    assert context.github.kept == []


def test_while_a_run_is_at_work_nothing_is_called_drift_and_the_issue_stays_as_it_is(context, looking, world):
    looking.drift = [observed("drift of a function")]
    other = world.context()
    with other.leased("promote x"):
        report = watch.watch(context)
    assert report.quiet == f"run {other.run.id} is at work: promote x"
    assert looking.asked == [watch.LEASE]
    assert context.github.kept == []


def test_a_run_that_begins_while_drift_is_looked_for_makes_the_look_worth_nothing(context, looking, world):
    looking.drift = [observed("drift of a function")]
    other = world.context()
    looking.before_drift = lambda: other.lease.take("promote y", context.settings, lambda _: None)
    assert watch.watch(context).quiet == "a run has begun while this looked"
    assert context.github.kept == []


@pytest.mark.parametrize("verdict", [Readiness.FAILED, Readiness.UNKNOWN])
def test_a_run_that_died_with_the_lease_is_told_and_its_half_done_work_is_not_called_drift(
    context, looking, world, verdict
):
    looking.verdicts[watch.LEASE] = verdict
    world.context().lease.take("promote z", context.settings, lambda _: None)
    report = watch.watch(context)
    assert [one.title for one in report.observations] == ["a run has died, or nobody can see whether it lives"]
    assert "drift" not in looking.asked
    assert len(context.github.kept) == 1


def test_a_check_that_failed_or_could_not_look_is_told_and_a_warning_is_not(context, looking):
    looking.verdicts = {
        "alarms.table": Readiness.FAILED,
        "alarms.topic": Readiness.UNKNOWN,
        "alarms.quiet": Readiness.WARNING,
    }
    report = watch.watch(context)
    assert [one.key for one in report.observations] == ["check alarms.table", "check alarms.topic"]
    assert report.observations[0].fixes == ("fix it",)


def test_drift_that_nobody_could_look_for_is_told_and_never_taken_for_none(context, looking):
    looking.drift = ReleaseError("AWS cannot be compared with stack prod", why="lambda:GetPolicy was denied")
    (one,) = watch.watch(context).observations
    assert one.verdict is Readiness.UNKNOWN
    assert one.lines == ("AWS cannot be compared with stack prod: lambda:GetPolicy was denied",)


def test_a_run_that_waits_longer_than_the_setting_says_is_told(context, looking):
    context.github = Repository(waiting(5, 23), waiting(6, 30))
    (one,) = watch.watch(context).observations
    assert one.title == "run 6 has waited for more than 24 hours"
    context.settings = type(context.settings)(approval_wait_h=48)
    assert watch.watch(context).observations == ()


def test_where_nothing_was_ever_deployed_only_runs_are_looked_at(world, looking, stacks):
    context = world.context("preprod")
    context.repo, context.github = stacks, Repository(waiting(6, 99))
    assert watch.watch(context).observations == ()
    assert looking.asked == [watch.LEASE, "drift"]


def test_without_a_token_nobody_could_be_told_so_that_is_an_error(context, looking):
    context.github = None
    with pytest.raises(UsageError, match="GITHUB_TOKEN"):
        watch.watch(context)


def test_the_command_shows_what_was_found(context, looking, monkeypatch):
    monkeypatch.setattr(environment, "context", lambda _: context)
    looking.verdicts = {"alarms.quiet": Readiness.FAILED}
    ran = CliRunner().invoke(main.app, ["watch", "--stack", "prod"])
    assert ran.exit_code == 0
    assert ran.stdout.splitlines()[0].startswith("failed: alarms.quiet is failed, since 2036-")
    assert ran.stdout.splitlines()[-1] == "told in: https://github.test/issues/1"
    looking.verdicts = {}
    assert CliRunner().invoke(main.app, ["watch", "--stack", "prod"]).stdout == "prod: nothing to tell\n"


# Drift


URN = "urn:pulumi:prod::sentiment-pipeline::sentiment:service:Function$aws:lambda/function:Function"


def step(op="update", name="dashboard", old=None, new=None, **more):
    typ = more.pop("type", "aws:lambda/function:Function")
    state = {"type": typ, "custom": True, "urn": f"{URN}::{name}"}
    return {
        "op": op,
        "urn": f"{URN}::{name}",
        **({"oldState": {**state, "inputs": old}} if old is not None else {}),
        **({"newState": {**state, "inputs": new}} if new is not None else {}),
        **more,
    }


def found_in(*steps, stack="prod", config=None):
    return list(drift.differences(stack, served(), {"steps": list(steps)}, config or {}, ROOT))


def test_a_property_that_somebody_changed_is_told_with_what_was_and_what_is_and_both_ways_forward():
    (one,) = found_in(step(old={"memorySize": 512}, new={"memorySize": 256}))
    assert one.key == "drift of aws:lambda/function:Function dashboard"
    assert one.title == "lambda.Function dashboard is not what the release has made"
    assert one.lines == ("memorySize: the release has made 256, AWS has 512",)
    assert one.fixes == (
        "to undo it: release rollback --stack prod --to cccccccccccc --reason 'undo a change'",
        "to keep it: add `sentiment-pipeline:functionMemoryMb: 512` in Pulumi.prod.yaml (for all functions), "
        "and release that",
    )


def test_what_no_setting_holds_is_written_into_the_file_that_makes_it():
    (one,) = found_in(step(old={"description": "x"}, new={"description": "y"}), stack="preprod")
    assert one.fixes == (
        "to undo it: pulumi up --refresh --stack preprod",
        "to keep it: write description into components/service/function.py, and release that",
    )


def test_what_is_gone_from_aws_is_told():
    (one,) = found_in(step("create", new={"name": "x"}, type="aws:sqs/queue:Queue"))
    assert one.lines[0] == "AWS does not have it any more"
    assert one.fixes[1] == "to leave it away: take it out of components/service/messaging.py, and release that"


def test_secrets_are_not_compared():
    assert found_in(step(old={"secretString": "[secret]"}, new={"secretString": "other"})) == []
    assert found_in(step(old={"description": "[secret]"}, new={"description": "other"})) == []
    (one,) = found_in(step(old={"description": "[secret]", "timeout": 3}, new={"description": "other", "timeout": 9}))
    assert one.lines == ("timeout: the release has made 9, AWS has 3",)


def test_what_would_only_follow_another_difference_is_no_drift_of_its_own():
    alias = {"type": "aws:lambda/alias:Alias", "name": "dashboard-live"}
    found = found_in(
        step(old={"memorySize": 512}, new={"memorySize": 256}),
        step(old={"functionVersion": "1"}, new={"functionVersion": ENGINE_UNKNOWN}, **alias),
    )
    assert [one.key for one in found] == ["drift of aws:lambda/function:Function dashboard"]
    (moved,) = found_in(step(old={"functionVersion": "2"}, new={"functionVersion": "1"}, **alias))
    assert moved.key == "drift of aws:lambda/alias:Alias dashboard-live"


def test_what_is_the_same_is_no_drift():
    assert found_in(step("same", old={"timeout": 3}, new={"timeout": 3})) == []


def test_each_setting_that_a_fix_names_is_one_of_the_stack_files(stacks):
    assert {f"{PROJECT}:{name}" for name in drift.SETTINGS.values()} <= set(raw("prod", stacks))


@pytest.mark.parametrize("packed", [lambda body: body, gzip.compress])
def test_the_state_is_read_without_its_secrets_and_without_the_name_of_their_key(context, world, packed):
    sealed = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}
    latest = {
        "manifest": {"magic": "x"},
        "secrets_providers": {"type": "cloud"},
        "resources": [{"urn": "u", "inputs": {"key": sealed, "name": "n"}}],
    }
    bucket, folder = state_place("prod")
    body = packed(json.dumps({"version": 3, "checkpoint": {"latest": latest}}).encode())
    world.put(f"{folder}/.pulumi/stacks/{PROJECT}/prod.json", body, bucket)
    assert drift.state_of(context) == {
        "manifest": {"magic": "x"},
        "resources": [{"urn": "u", "inputs": {"key": "[secret]", "name": "n"}}],
    }


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"checkpoint": {"latest": []}}', b"\x1f\x8bbroken"])
def test_a_state_that_cannot_be_read_is_an_error_and_not_an_empty_one(context, world, body):
    if body is not None:
        bucket, folder = state_place("prod")
        world.put(f"{folder}/.pulumi/stacks/{PROJECT}/prod.json", body, bucket)
    with pytest.raises(ReleaseError, match="state of stack prod"):
        drift.state_of(context)


def test_an_update_that_was_interrupted_is_told():
    pending = {"pending_operations": [{"type": "creating", "resource": {"urn": "urn:x"}}]}
    (one,) = drift._interrupted("prod", pending)
    assert one.lines == ("creating urn:x",)
    assert "release reap --stack prod" in one.fixes[0]


@pytest.fixture
def compared(monkeypatch, stacks):
    """What the engine is asked to compare; it finds that nothing differs."""
    asked = []

    def refreshed(program, stack, config, deployment):
        asked.append((program, stack, config, deployment))
        return {"steps": [step("same", old={"timeout": 3}, new={"timeout": 3})]}

    monkeypatch.setattr(drift, "refreshed", refreshed)
    monkeypatch.setattr(drift, "archive", lambda _repo, sha, stack: f"{stack} of {sha}".encode())
    return asked


def with_state(context, world, folder):
    """A context whose programs are unpacked into `folder`, and whose state has one resource."""
    bucket, place = state_place(context.stack)
    latest = {"resources": [{"urn": "u"}], "pending_operations": [{"type": "creating", "resource": {"urn": "urn:x"}}]}
    body = json.dumps({"checkpoint": {"latest": latest}}).encode()
    world.put(f"{place}/.pulumi/stacks/{PROJECT}/{context.stack}.json", body, bucket)
    unpacked = []

    @contextmanager
    def program(packed):
        unpacked.append(packed)
        yield SimpleNamespace(program=folder)

    context.program = program
    return unpacked


def test_production_is_compared_with_the_program_that_was_confirmed_and_its_stable_versions(
    context, world, stacks, compared
):
    unpacked, view = with_state(context, world, stacks), context.ledger.view()
    found = drift.look_for_drift(context, view)
    assert unpacked == [context.releases.confirmed_program(view.served)]
    ((folder, stack, config, deployment),) = compared
    assert (folder, stack, deployment) == (stacks, "prod", {"resources": [{"urn": "u"}]})
    handed = json.loads(config[f"{PROJECT}:release"])
    assert (handed["stable"], handed["traffic"]) == (view.served.stable, 0)
    assert handed["release"] == view.served.hand_over
    assert config[f"{PROJECT}:environment"] == "prod"
    assert [one.key for one in found] == ["interrupted update"]


def test_preprod_is_compared_with_the_program_of_the_commit_that_it_serves(world, stacks, compared):
    context = world.context("preprod")
    context.repo = stacks
    unpacked = with_state(context, world, stacks)
    view = SimpleNamespace(served=served())
    drift.look_for_drift(context, view)
    assert unpacked == [f"preprod of {view.served.release.sha}".encode()]
    ((_, stack, config, _),) = compared
    handed = json.loads(config[f"{PROJECT}:release"])
    assert (stack, handed["traffic"], handed["confirmed"]) == ("preprod", 100, True)


def test_where_nothing_is_served_there_is_nothing_to_compare(context):
    assert drift.look_for_drift(context, SimpleNamespace(served=None)) == []
