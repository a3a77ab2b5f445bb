"""Who can become which role: GitHub's tokens, claim by claim, against the trust policies of the identities."""

from collections.abc import Mapping
from functools import cache

import pytest

from components.identities import IDENTITIES, Identity, trust_of
from components.naming import ENVIRONMENTS, foundation_stack
from components.settings import Settings, parse
from localcloud.iam.evaluator import DENIED, NOT_ALLOWED, PolicyRequest, decide
from tests.unit.program.harness import configuration

OWNER, REPOSITORY, OWNER_ID, REPOSITORY_ID = "traylorre", "sentiment-pipeline", "1001", "2002"
FILES = (
    "build-and-promote.yml",
    "deploy-prod.yml",
    "watch.yml",
    "preprod.yml",
    "pull-request.yml",
    "stack-preview.yml",
)
PLAIN, WITH_IDS = "as for older repositories", "with both ids"
Claims = Mapping[str, str]


@cache
def _settings(environment: str, form: str) -> Settings:
    ids = {"githubOwnerId": OWNER_ID, "githubRepositoryId": REPOSITORY_ID} if form == WITH_IDS else {}
    stack = foundation_stack(environment)
    values = configuration(stack, githubRepository=f"{OWNER}/{REPOSITORY}", **ids)
    return parse(values, stack)


def _token(
    form: str,
    environment: str,
    *,
    owner: str = OWNER,
    repository: str = REPOSITORY,
    owner_id: str = OWNER_ID,
    repository_id: str = REPOSITORY_ID,
    suffix: str = "",
    file: str = "deploy-prod.yml",
    file_ref: str = "refs/heads/main",
    **changed: str,
) -> dict[str, str]:
    """What GitHub says of a job; `suffix` takes the place of the environment in `sub`."""
    place = f"{owner}@{owner_id}/{repository}@{repository_id}" if form == WITH_IDS else f"{owner}/{repository}"
    return {
        "aud": "sts.amazonaws.com",
        "sub": f"repo:{place}:{suffix or f'environment:{environment}'}",
        "ref": "refs/heads/main",
        "environment": environment,
        "repository": f"{owner}/{repository}",
        "repository_id": repository_id,
        "repository_owner_id": owner_id,
        "job_workflow_ref": f"{owner}/{repository}/.github/workflows/{file}@{file_ref}",
        "workflow": "deploy-prod",
        "actor": "somebody",
        "actor_id": "42",
        **changed,
    }


def _without(token: Claims, claim: str) -> dict[str, str]:
    return {name: value for name, value in token.items() if name != claim}


def _strangers(form: str, environment: str, file: str) -> dict[str, Claims]:
    """Tokens that must open no role, by what is wrong with them; all else is as it should be."""
    right = _token(form, environment, file=file)

    def token(**changes: str) -> dict[str, str]:
        return _token(form, environment, **{"file": file, **changes})

    def subject(text: str) -> dict[str, str]:
        return right | {"sub": right["sub"].replace(f"environment:{environment}", text)}

    return {
        "fork": token(owner="mallory", owner_id="666", repository_id="667"),
        "other owner of the same name's repository": token(owner="traylorre2", owner_id="1002"),
        "other repository": token(repository="something-else", repository_id="2003"),
        "repository whose name goes on": token(repository=f"{REPOSITORY}-2", repository_id="2004"),
        "renamed repository": token(repository="renamed"),
        "repository moved to another owner": token(owner="acme", owner_id="3003"),
        "other branch": token(ref="refs/heads/feature"),
        "branch whose name goes on": token(ref="refs/heads/main2"),
        "branch that ends alike": token(ref="refs/heads/x/refs/heads/main"),
        "tag called main": token(ref="refs/tags/main"),
        "short ref": token(ref="main"),
        "pull request": token(suffix="pull_request", ref="refs/pull/7/merge", file_ref="refs/pull/7/merge"),
        "pull request with the environment": token(ref="refs/pull/7/merge", file_ref="refs/pull/7/merge"),
        "no environment": _without(token(suffix="ref:refs/heads/main"), "environment"),
        "environment that does not exist": token(suffix="environment:staging"),
        "environment whose name goes on": subject(f"environment:{environment}-2"),
        "environment as a claim, and not in the subject": token(suffix="ref:refs/heads/main"),
        "two environments": subject(f"environment:{environment}:environment:{environment}"),
        "no subject": _without(right, "sub"),
        "empty subject": right | {"sub": ""},
        "no audience": _without(right, "aud"),
        "GitHub's own audience": right | {"aud": f"https://github.com/{OWNER}"},
        "audience of another cloud": right | {"aud": "api://AzureADTokenExchange"},
        "no ref": _without(right, "ref"),
        "subject in upper case": right | {"sub": right["sub"].upper()},
        "environment in upper case": subject(f"environment:{environment.upper()}"),
        "owner in upper case": token(owner=OWNER.upper()),
        "ref in upper case": right | {"ref": "refs/heads/MAIN"},
        "audience in upper case": right | {"aud": "STS.amazonaws.com"},
        "subject of wildcards": right | {"sub": "repo:*"},
        "environment of wildcards": subject("environment:*"),
        "ref of wildcards": right | {"ref": "refs/heads/*"},
        "everything a wildcard": dict.fromkeys(right, "*"),
        "space around": right | {"sub": f" {right['sub']} "},
        "customised subject": right | {"sub": f"repository_id:{REPOSITORY_ID}:{right['sub']}"},
        "nothing at all": {},
    }


def _other_files(form: str, environment: str) -> dict[str, Claims]:
    """Tokens that only a role with pinned workflows refuses."""
    return {
        "other workflow file": _token(form, environment, file="evil.yml"),
        "file whose name goes on": _token(form, environment, file="deploy-prod.yml.yml"),
        "file in another folder": _token(form, environment, file="x/deploy-prod.yml"),
        "file at a branch": _token(form, environment, file_ref="refs/heads/feature"),
        "file at a pull request": _token(form, environment, file_ref="refs/pull/7/merge"),
        "file at a tag": _token(form, environment, file_ref="refs/tags/main"),
        "file at a commit": _token(form, environment, file_ref="a" * 40),
        "file of another repository": _token(form, environment)
        | {"job_workflow_ref": "mallory/shared/.github/workflows/deploy-prod.yml@refs/heads/main"},
        "file of wildcards": _token(form, environment, file="*"),
        "no file": _without(_token(form, environment), "job_workflow_ref"),
    }


def _request(
    identity: Identity, form: str, claims: Claims, issuer: str = "token.actions.githubusercontent.com"
) -> PolicyRequest:
    settings = _settings(identity.environment, form)
    arns = settings.arns
    return PolicyRequest(
        principal=arns.of("identity provider", issuer),
        action="sts:AssumeRoleWithWebIdentity",
        resource=arns.of("role", identity.role(arns.names)),
        account=arns.account_id,
        resource_policy=trust_of(identity, settings),
        trust=True,
        context={f"token.actions.githubusercontent.com:{claim}": value for claim, value in claims.items()},
    )


def _asked(identity: Identity, form: str) -> tuple[dict[str, PolicyRequest], set[str]]:
    """Every token by its name, and the names of those that the role is meant for."""
    environment = identity.github_environment
    tokens: dict[str, Claims] = {}
    meant = {f"environment {environment}, {file}" for file in (identity.workflows or FILES)}
    for other in IDENTITIES:
        for file in FILES:
            tokens[f"environment {other.github_environment}, {file}"] = _token(
                form, other.github_environment, file=file
            )
    file = identity.workflows[0] if identity.workflows else "build-and-promote.yml"
    tokens |= _strangers(form, environment, file)
    other_files = _other_files(form, environment)
    tokens |= other_files
    if not identity.workflows:
        meant |= set(other_files)
    other_form = PLAIN if form == WITH_IDS else WITH_IDS
    tokens[f"subject {other_form}"] = _token(other_form, environment, file=file)
    return {name: _request(identity, form, claims) for name, claims in tokens.items()}, meant


@pytest.mark.parametrize("form", [PLAIN, WITH_IDS])
def test_exactly_the_jobs_that_are_meant_become_a_role(form):
    asked, expected = {}, {}
    for identity in IDENTITIES:
        tokens, meant = _asked(identity, form)
        assert len(tokens) - len(meant) > 30
        asked |= {(identity.github_environment, name): request for name, request in tokens.items()}
        expected |= {(identity.github_environment, name): name in meant for name in tokens}
    decisions = dict(zip(asked, decide(list(asked.values())), strict=True))
    assert {key for key, one in decisions.items() if one.allowed} == {
        key for key, is_meant in expected.items() if is_meant
    }
    assert {one.outcome for key, one in decisions.items() if not expected[key]} == {NOT_ALLOWED}


def test_the_token_of_another_issuer_opens_nothing_even_with_the_right_claims():
    issuers = (
        "token.actions.githubusercontent.com",
        "oidc.circleci.com",
        "token.actions.githubusercontent.com/mallory",
    )
    asked = [
        _request(identity, PLAIN, _token(PLAIN, identity.github_environment), issuer)
        for identity in IDENTITIES
        for issuer in issuers
    ]
    assert [decision.allowed for decision in decide(asked)] == [True, False, False] * len(IDENTITIES)


def test_nobody_assumes_a_role_of_ci_without_githubs_token(both):
    asked = [
        PolicyRequest(
            principal=who.arn,
            action=action,
            resource=role.arn,
            account=role.account,
            identity=[] if who.name == role.name else who.policies,
            resource_policy=role.trust,
            trust=True,
        )
        for role in both.ci()
        for who in [*both.principals, *(both.administrator(environment) for environment in ENVIRONMENTS)]
        for action in ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    ]
    assert {decision.outcome for decision in decide(asked)} <= {NOT_ALLOWED, DENIED}


def test_roles_of_the_service_are_taken_by_their_aws_service_and_nobody_else(both):
    known = {"schedule": {"scheduler"}, "safety": {"scheduler", "states"}, "way-back": {"events"}}
    takes = {
        role.name: known.get(role.name.removeprefix(f"{role.environment}-sentiment-"), {"lambda"})
        for role in both.principals
        if role not in both.ci()
    }
    assert len(takes) == 12
    asked = {
        (role.name, principal, account): PolicyRequest(
            principal=principal,
            action="sts:AssumeRole",
            resource=role.arn,
            account=role.account,
            identity=[both.administrator(role.environment).policies[0]] if principal.startswith("arn:") else [],
            resource_policy=role.trust,
            trust=True,
            context={"aws:SourceAccount": account},
        )
        for role in both.principals
        if role.name in takes
        for principal in (
            *(
                f"{service}.amazonaws.com"
                for service in ("lambda", "scheduler", "states", "events", "ec2", "ecs-tasks")
            ),
            both.administrator("prod").arn,
            both.administrator("preprod").arn,
        )
        for account in (role.account, "999999999999")
    }
    allowed = {key for key, decision in zip(asked, decide(list(asked.values())), strict=True) if decision.allowed}
    # Lambda takes a role only for functions of the role's own account; the others have to be told to.
    assert allowed == {
        (role.name, f"{service}.amazonaws.com", account)
        for role in both.principals
        for service in takes.get(role.name, ())
        for account in ((role.account, "999999999999") if service == "lambda" else (role.account,))
    }


def test_a_trust_policy_with_a_wildcard_would_be_found():
    """A test of the test: what went wrong elsewhere opens doors here too."""
    identity = IDENTITIES[0]
    settings = _settings(identity.environment, PLAIN)
    loose = trust_of(identity, settings)
    equals = loose["Statement"][0]["Condition"].pop("StringEquals")
    loose["Statement"][0]["Condition"]["StringLike"] = equals | {
        "token.actions.githubusercontent.com:sub": f"repo:{OWNER}/{REPOSITORY}*"
    }
    strangers = _strangers(PLAIN, identity.github_environment, "build-and-promote.yml")
    asked = {name: _request(identity, PLAIN, claims) for name, claims in strangers.items()}
    changed = [PolicyRequest(**{**vars(request), "resource_policy": loose}) for request in asked.values()]
    opened = {name for name, decision in zip(asked, decide(changed), strict=True) if decision.allowed}
    assert {"repository whose name goes on", "no environment", "environment that does not exist"} <= opened
