"""Least rights, the other way: what a rehearsed release asks of AWS is allowed to the identity that asks in CI.

Every call of the releaser, of the provider and of the integration tests was recorded while the tests of this folder ran
(tests/recorder). Three things are not the real ones: the provider is the stand-in, whose reads differ from the real
provider's (tests/isolation/test_provider_rights.py has those); the engine's own calls to its state are counted by the
local cloud without their keys; and commands that CI gives to different identities ran as one user.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.arns import Arns
from components.identities import IDENTITIES, Identity
from components.naming import names
from components.policies.bucket import deployment_bucket
from tests.iam import Request, decide
from tests.needs import Need, needs

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

ACCOUNT, REGION = "123456789012", "us-east-1"
ENGINE = {"s3:CopyObject", "s3:DeleteObject", "s3:GetObject", "s3:HeadObject", "s3:ListObjectsV2", "s3:PutObject"}
"""What the engine asks of its state; the rights for it are tested beside those of the real provider."""


@dataclass(frozen=True)
class Run:
    """One recorded `release` command."""

    words: str
    lines: tuple[str, ...]

    @property
    def environment(self) -> str:
        return "preprod" if "--stack preprod" in self.words else "prod"

    @property
    def command(self) -> str:
        return self.words.partition(" ")[0] + (" --no-record" if "--no-record" in self.words else "")

    @property
    def makes_roles(self) -> bool:
        """Whether it changed more than code: those runs only a reviewer lets through."""
        return any('"operation": "CreateRole"' in line for line in self.lines)

    def needs(self) -> dict[tuple[str, str, str], Need]:
        arns = _arns(self.environment)
        found = [
            need
            for line in set(self.lines)
            for call in [json.loads(line)]
            for need in needs(call["service"], call["operation"], call["parameters"], arns)
        ]
        return {(need.action, need.resource, str(sorted(need.context.items()))): need for need in found}


def _arns(environment: str) -> Arns:
    return Arns(account_id=ACCOUNT, region=REGION, names=names(environment))


def _recorded(cloud) -> list[Run]:
    files = sorted(Path(cloud.variables["LOCALCLOUD_RECORD_CALLS"]).iterdir())
    return [Run(file.name.partition(" ")[2], tuple(file.read_text().splitlines())) for file in files]


def _refused(run: Run, github_environment: str) -> set[tuple[str, str]]:
    """What a run asked for and an identity may not do."""
    (identity,) = [one for one in IDENTITIES if one.github_environment == github_environment]
    needed = list(run.needs().values())
    decisions = decide([_request(identity, need) for need in needed])
    return {(need.action, need.resource) for need, one in zip(needed, decisions, strict=True) if not one.allowed}


def _request(identity: Identity, need: Need) -> Request:
    arns = _arns(identity.environment)
    buckets = {environment: _arns(environment).names.bucket for environment in ("preprod", "prod")}
    owner = next((one for one, bucket in buckets.items() if f":::{bucket}" in need.resource), "")
    return Request(
        principal=arns.of("role", identity.role(arns.names)),
        action=need.action,
        resource=need.resource,
        account=ACCOUNT,
        identity=[identity.rights(arns)],
        resource_policy=deployment_bucket(_arns(owner), "arn:aws:iam::123456789012:role/none") if owner else None,
        context=need.context,
    )


AS_IN_CI = {
    ("preprod", "deploy"): ["preprod"],
    ("preprod", "validate --no-record"): ["preprod-test"],
    ("preprod", "validate"): ["preprod-validate"],
    ("preprod", "status"): ["preprod-watch"],
    ("preprod", "watch"): ["preprod-watch"],
    ("prod", "check"): ["prod-watch"],
    ("prod", "explain"): ["prod-watch"],
    ("prod", "history"): ["prod-watch"],
    ("prod", "route"): ["prod-watch"],
    ("prod", "status"): ["prod-watch"],
    ("prod", "notify"): ["prod-watch"],
    ("prod", "watch"): ["prod-watch"],
    ("prod", "confirm"): ["production"],
    ("prod", "keep"): ["production"],
    ("prod", "promote"): ["production"],
    ("prod", "resume"): ["production"],
    ("prod", "rollback"): ["production", "production-rollback"],
    ("prod", "reap"): ["production-rollback"],
    ("prod", "unblock"): ["production"],
}
"""Environment and command: the GitHub environments whose jobs run it (docs/explanation/flow.md)."""
WITHOUT_A_ROLE = {"build", "preview", "publish", "audit"}
"""Commands of jobs that have no role (the provider of a preview asks a server on loopback who it is), and one that an
administrator runs (docs/decisions/0021-calls-are-an-administrators.md)."""


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
    return _recorded(cloud)


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
