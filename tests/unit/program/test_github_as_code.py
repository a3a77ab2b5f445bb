"""GitHub as code: environments with their gates, and what jobs are told in them."""

import json
import re

import pytest

from components.github_rules import BRANCH
from components.github_secrets import BUCKET, REGION, ROLE_ARN, github_secrets
from components.identities import IDENTITIES, identities
from components.naming import ENVIRONMENTS, foundation_stack, names
from release.pulumi.stack_config import load
from tests.stacks import STACK_FILES
from tests.unit.program.harness import ACCOUNT, FOUNDATION_STACKS, deployed, run

REVIEWER = 1009
"""The harness makes an id of the length of `traylorre`."""
M11 = {
    "preprod": {
        "PREPROD_NEWSAPI_SECRET_ARN",
        "PREPROD_DASHBOARD_API_KEY_SECRET_ARN",
        "PREPROD_DASHBOARD_API_KEY",
        "PREPROD_SNS_TOPIC_ARN",
    },
    "prod": {"PROD_NEWSAPI_SECRET_ARN", "PROD_DASHBOARD_API_KEY_SECRET_ARN", "PROD_DASHBOARD_API_KEY"},
}


def _environments(**overrides):
    made = {}
    for stack in FOUNDATION_STACKS:
        deployment = run(stack, **overrides) if overrides else deployed(stack)
        made |= {name: one.inputs for name, one in deployment.of("RepositoryEnvironment").items()}
    return made


def test_there_is_one_environment_per_identity_and_no_other():
    assert sorted(_environments()) == sorted(one.github_environment for one in IDENTITIES)
    assert len(_environments()) == 8


def test_only_production_waits_for_a_reviewer_and_nobody_goes_round():
    for name, inputs in _environments().items():
        assert inputs.get("reviewers") == ([{"users": [REVIEWER]}] if name == "production" else None), name
        assert inputs["canAdminsBypass"] is False
        assert inputs["preventSelfReview"] is False
        assert inputs["deploymentBranchPolicy"] == {"protectedBranches": False, "customBranchPolicies": True}
        assert inputs["repository"] == "sentiment-pipeline"


def test_every_environment_deploys_from_main_only():
    for environment in ENVIRONMENTS:
        policies = deployed(foundation_stack(environment)).of("RepositoryEnvironmentDeploymentPolicy").values()
        assert {policy.inputs["environment"]: policy.inputs["branchPattern"] for policy in policies} == dict.fromkeys(
            (one.github_environment for one in identities(environment)), BRANCH
        )


@pytest.mark.parametrize(
    ("settings", "reviewers"),
    [
        ({"reviewers": ["anna", "berta"]}, {"users": [1004, 1005]}),
        ({"reviewers": ["anna"], "reviewerTeams": ["on-call"]}, {"users": [1004], "teams": [2007]}),
        ({"reviewers": [], "reviewerTeams": ["on-call"]}, {"teams": [2007]}),
    ],
)
def test_with_several_reviewers_or_a_team_nobody_approves_their_own_change(settings, reviewers):
    environments = _environments(**settings)
    assert environments["production"]["reviewers"] == [reviewers]
    assert environments["production"]["preventSelfReview"] is True
    others = [inputs for name, inputs in environments.items() if name != "production"]
    assert {(inputs.get("reviewers") is None, inputs["preventSelfReview"]) for inputs in others} == {(True, False)}


def test_teams_are_asked_for_without_their_members():
    deployment = run("prod-foundation", reviewerTeams=["on-call"])
    assert set(deployment.invokes) == {"github:index/getUser:getUser", "github:index/getTeam:getTeam"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_names_of_the_secrets_are_those_of_the_requirement_but_for_access_keys(environment):
    named = github_secrets(environment)
    assert {*named.of_program, *named.of_bootstrap} == M11[environment]
    assert len(named.of_program) + len(named.of_bootstrap) == len(M11[environment])
    assert [name for name in M11[environment] if not name.endswith("_ARN")] == list(named.of_bootstrap)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_jobs_are_told_where_secrets_are_but_no_secret(environment):
    deployment = deployed(foundation_stack(environment))
    told = {}
    for resource in deployment.of("ActionsEnvironmentSecret").values():
        value = json.dumps(resource.inputs["plaintextValue"])
        assert re.search(r"arn:aws:(secretsmanager|sns):", value), resource.urn
        told.setdefault(resource.inputs["environment"], set()).add(resource.inputs["secretName"])
    expected = set(github_secrets(environment).of_program)
    assert told == {one.github_environment: expected for one in identities(environment) if one.secrets}
    if environment == "preprod":
        topic = deployment.one("ActionsEnvironmentSecret", "preprod-PREPROD_SNS_TOPIC_ARN")["plaintextValue"]
        arns = load("preprod", STACK_FILES, {}).arns
        assert arns.of("topic", names("preprod").new_items_topic) in json.dumps(topic)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_jobs_are_told_their_role_region_and_bucket(environment):
    variables = {
        (resource.inputs["environment"], resource.inputs["variableName"]): resource.inputs["value"]
        for resource in deployed(foundation_stack(environment)).of("ActionsEnvironmentVariable").values()
    }
    expected = {}
    for identity in identities(environment):
        role = f"arn:aws:iam::{ACCOUNT}:role/{identity.role(names(environment))}"
        expected |= {
            (identity.github_environment, ROLE_ARN): role,
            (identity.github_environment, REGION): "us-east-1",
            (identity.github_environment, BUCKET): names(environment).bucket,
        }
    assert variables == expected


def test_nothing_is_told_to_the_whole_repository():
    for stack in FOUNDATION_STACKS:
        kinds = {resource.typ for resource in deployed(stack).custom}
        assert not {kind for kind in kinds if kind.endswith((":ActionsSecret", ":ActionsVariable"))}
