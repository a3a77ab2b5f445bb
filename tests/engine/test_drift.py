"""Drift on the real engine: what somebody changed in AWS is told by name; what cannot be read is never "no drift"."""

import io
import os

import httpx
import pytest
from rich.console import Console as RichConsole

from components.naming import names
from release.console import Console
from release.context import Context
from release.errors import ReleaseError
from release.ledger.lifecycle import ReleaseId, State
from release.lookout import drift
from release.preview.engine import refreshed
from release.pulumi.stack_config import stack_values
from release.settings import ReleaseSettings
from tests.engine.conftest import STACK, program_copy
from tests.engine.test_preview import git
from tests.unit.release.test_pager import served

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

NAMES = names(STACK)


def quiet():
    return Console(RichConsole(file=io.StringIO()))


@pytest.fixture
def look(service, monkeypatch, tmp_path):
    """Compare the running stack with the program of its release, as `release watch` does."""
    for name, value in service.cloud.variables.items():
        monkeypatch.setenv(name, value)
    folder = program_copy(tmp_path / "program")
    first = service.hand_over(service.release("first"), traffic=100, confirmed=True)
    service.up(first)  # other tests leave it on a later version of the same code

    def look():
        context = Context(stack=STACK, repo=folder, console=quiet(), settings=ReleaseSettings())
        config = stack_values(STACK, folder, os.environ) | first
        document = refreshed(folder, STACK, config, drift.state_of(context))
        return list(drift.differences(STACK, served(), document, config, folder))

    return look


def state_objects(service):
    listed = service.cloud.client("s3").list_objects_v2(Bucket=NAMES.state_bucket)["Contents"]
    return {one["Key"]: one["ETag"] for one in listed}


def test_a_stack_that_nobody_touched_has_no_drift_although_its_secrets_are_not_compared(look):
    assert look() == []


def test_what_somebody_changed_by_hand_is_told_with_was_and_is_and_the_edit_that_keeps_it(service, look):
    function, logs = NAMES.function("dashboard").function, NAMES.function("analysis").log_group
    service.cloud.client("lambda").update_function_configuration(FunctionName=function, MemorySize=640)
    service.cloud.client("logs").put_retention_policy(logGroupName=logs, retentionInDays=3)
    before = state_objects(service)
    found = {one.key: one for one in look()}
    assert state_objects(service) == before, "nothing is written where the state lies"
    memory = found.pop("drift of aws:lambda/function:Function dashboard")
    assert any(line.endswith("AWS has 640") and line.startswith("memorySize: ") for line in memory.lines)
    assert "`sentiment-pipeline:functionMemoryMb: 640` in Pulumi.preprod.yaml" in memory.fixes[1]
    (kept,) = [one for key, one in found.items() if key.startswith("drift of aws:cloudwatch/logGroup:LogGroup")]
    assert any(line.endswith("AWS has 3") and line.startswith("retentionInDays: ") for line in kept.lines)
    service.up(service.hand_over(service.release("first"), traffic=100, confirmed=True), refresh=True)
    assert look() == []


def test_what_could_not_be_read_is_an_error_that_names_it_and_not_the_absence_of_drift(service, look):
    service.cloud.run("localcloud", "fault", "add", "sqs:GetQueueAttributes", "--kind", "expired")
    try:
        with pytest.raises(ReleaseError, match=f"AWS cannot be compared with stack {STACK}") as error:
            look()
    finally:
        service.cloud.run("localcloud", "fault", "clear")
    assert "dead-letters" in error.value.why.lower() or "queue" in error.value.why.lower()


@pytest.fixture
def clone(service, tmp_path, monkeypatch):
    """A clone whose newest commit is the release that preprod's ledger calls served."""
    for name, value in service.cloud.variables.items():
        monkeypatch.setenv(name, value)
    folder = program_copy(tmp_path / "clone")
    (folder / ".gitignore").write_text(".venv\n.release\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    release = ReleaseId(digest="a" * 64, sha=git(folder, "rev-parse", "HEAD"))
    context = Context(stack=STACK, repo=folder, console=quiet(), settings=ReleaseSettings())
    for state in (State.BUILT, State.DEPLOYING):
        context.ledger.append(state, release=release)
    handed = service.release("first")
    context.ledger.append(State.LIVE, release=release, served=served(release).model_copy(update={"hand_over": handed}))
    return folder


def test_the_command_opens_an_issue_about_drift_and_closes_it_when_nothing_is_left(service, clone):
    functions, function = service.cloud.client("lambda"), NAMES.function("dashboard").function
    before = functions.get_function_configuration(FunctionName=function)["MemorySize"]

    def watch():
        report = service.cloud.run("release", "watch", "--stack", STACK, "--json", folder=clone).json()
        found = [one["key"] for one in report["observations"]]
        (issue,) = issues(service.cloud)[:1] or [None]
        assert bool(issue and issue["state"] == "open") == bool(found), report
        return [key for key in found if key.startswith("drift")], issue

    assert watch()[0] == []
    functions.update_function_configuration(FunctionName=function, MemorySize=before * 2)
    drifted, issue = watch()
    assert drifted == ["drift of aws:lambda/function:Function dashboard"]
    assert f"AWS has {before * 2}" in issue["body"]
    functions.get_waiter("function_updated_v2").wait(FunctionName=function)
    functions.update_function_configuration(FunctionName=function, MemorySize=before)
    functions.get_waiter("function_updated_v2").wait(FunctionName=function)
    drifted, issue = watch()
    assert drifted == []
    assert f"AWS has {before * 2}" not in issue["body"] or issue["state"] == "closed"


def issues(cloud):
    """Issues of the watch, open or closed, newest first."""
    variables = cloud.variables
    address = f"{variables['GITHUB_API_URL']}/repos/{variables['GITHUB_REPOSITORY']}/issues"
    headers = {"Authorization": f"Bearer {variables['GITHUB_TOKEN']}"}
    found = httpx.get(address, params={"state": "all", "labels": "watch"}, headers=headers)
    return found.raise_for_status().json()
