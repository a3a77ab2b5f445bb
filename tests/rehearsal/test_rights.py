"""Least rights, the other way: what a rehearsed release asks of AWS is allowed to the identity that asks in CI.

Every call of the releaser, of the provider and of the integration tests was recorded while the tests of this folder ran
(tests/recorder). Two things are not the real ones: the provider is the stand-in, whose reads differ from the real
provider's (tests/isolation/test_provider_rights.py has those), and the engine's own calls to its state are counted by
the local cloud without their keys. That each call was also decided while it was made, test_identities.py shows.
"""

from pathlib import Path

import pytest

from components.identities import IDENTITIES
from localcloud.iam.evaluator import decide
from tests.ci_jobs import AS_IN_CI
from tests.rehearsal.records import Run, recorded, request

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

ENGINE = {"s3:CopyObject", "s3:DeleteObject", "s3:GetObject", "s3:HeadObject", "s3:ListObjectsV2", "s3:PutObject"}
"""What the engine asks of its state; the rights for it are tested beside those of the real provider."""


def _refused(run: Run, github_environment: str) -> set[tuple[str, str]]:
    """What a run asked for and an identity may not do."""
    (identity,) = [one for one in IDENTITIES if one.github_environment == github_environment]
    needed = list(run.needs().values())
    decisions = decide([request(identity, need) for need in needed])
    return {(need.action, need.resource) for need, one in zip(needed, decisions, strict=True) if not one.allowed}


WITHOUT_A_ROLE = {"build", "preview", "publish", "audit"}
"""Commands of jobs that have no role (the provider of a preview asks a server on loopback who it is), and one that an
administrator runs (docs/decisions/0022-calls-are-an-administrators.md)."""


@pytest.fixture(scope="module")
def runs(production):
    """Everything that was recorded so far, and what only looks, run now."""
    cloud = production.cloud
    for command in ("check", "route"):
        cloud.run("release", command, "--stack", "prod", "--digest", production.digest, expected=None)
    for stack in ("preprod", "prod"):
        cloud.run("release", "status", "--stack", stack, expected=None)
        cloud.run("release", "watch", "--stack", stack, expected=None)
    cloud.run("release", "history", "--stack", "prod", "--verify")
    return recorded(cloud)


def test_every_recorded_call_is_allowed_to_the_identity_that_makes_it_in_ci(runs):
    refused = {
        (run.words, github_environment): missing
        for run in runs
        if run.command not in WITHOUT_A_ROLE
        for github_environment in AS_IN_CI[run.environment, run.command]
        if (missing := _refused(run, github_environment))
    }
    assert refused == {}
    seen = {(run.environment, run.command) for run in runs}
    assert {("preprod", "deploy"), ("preprod", "validate"), ("prod", "promote"), ("prod", "status")} <= seen
    looked = [run for run in runs if run.command == "watch"]
    assert {run.environment for run in looked if any('"GetFunction"' in line for line in run.lines)} == {
        "preprod",
        "prod",
    }


def test_a_release_of_code_alone_needs_no_more_than_the_automatic_path_has(runs, request):
    _only_with(request, "test_broken_releases", "test_kills")
    of_code = [run for run in runs if (run.environment, run.command) == ("prod", "promote") and not run.makes_roles]
    moved = [run for run in of_code if any('"UpdateAlias"' in line for line in run.lines)]
    assert moved
    assert {run.words: _refused(run, "production-auto") for run in moved} == {run.words: set() for run in moved}


def test_what_a_dead_run_left_is_finished_with_the_rights_of_the_rollback(runs, request):
    _only_with(request, "test_kills")
    finished = [run for run in runs if (run.environment, run.command) == ("prod", "rollback")]
    assert any('"UpdateFunctionCode"' in line for run in finished for line in run.lines)
    assert {run.words: _refused(run, "production-rollback") for run in finished} == {
        run.words: set() for run in finished
    }


def test_the_watcher_could_not_have_deployed(runs):
    """A test of the test: the same calls, asked for by who may only look."""
    (first, *_) = [run for run in runs if (run.environment, run.command) == ("prod", "promote")]
    refused = {action for action, _ in _refused(first, "prod-watch")}
    assert {
        "lambda:CreateFunction",
        "iam:PassRole",
        "iam:CreateRole",
        "s3:PutObject",
        "dynamodb:CreateTable",
    } <= refused


def test_the_engine_asks_for_nothing_but_its_state(production):
    counted = production.cloud.run("localcloud", "fault", "calls", "--caller", "aws-sdk-go", "--json").json()["calls"]
    assert set(counted) <= ENGINE
    assert "s3:GetObject" in counted


def _only_with(request, *modules: str) -> None:
    """Skip where the tests that make the records were not chosen to run."""
    chosen = {Path(item.nodeid.partition("::")[0]).stem for item in request.session.items}
    if not chosen & set(modules):
        pytest.skip(f"records of {' or '.join(modules)} are missing: run the whole folder")
