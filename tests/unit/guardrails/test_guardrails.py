"""The security properties hold for every stack, and each rule sees the stack that breaks it."""

import json
from dataclasses import replace

import pytest

from guardrails.resource import UNKNOWN, Resource, of_preview
from guardrails.rules import RULES, findings
from tests.unit.program.harness import STACKS, deployed


def resources(stack):
    return [
        Resource(type=one.typ, name=one.name, parent=one.parent, props=one.inputs, protect=one.protect)
        for one in deployed(stack).custom
    ]


def without(stack, kind):
    return [one for one in resources(stack) if not one.type.endswith(f":{kind}")]


def changed(stack, kind, **props):
    """The stack with the first resource of a kind changed."""
    made, done = [], False
    for one in resources(stack):
        hit = not done and one.type.endswith(f":{kind}")
        done = done or hit
        made.append(replace(one, props={**one.props, **props}) if hit else one)
    assert done, kind
    return made


def added(stack, kind, **props):
    return [*resources(stack), Resource(type=kind, name="added", parent="", props=props, protect=False)]


def document(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


PROVIDER = {"Federated": "arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"}
CLAIM = "token.actions.githubusercontent.com:"
EXACT = {f"{CLAIM}aud": "a", f"{CLAIM}sub": "s", f"{CLAIM}ref": "r"}
FOUNDATION, SERVICE = "prod-foundation", "prod"
BREAKS = [
    ("private-buckets", without(FOUNDATION, "BucketPublicAccessBlock")),
    ("private-buckets", without(FOUNDATION, "BucketPolicy")),
    ("private-buckets", changed(FOUNDATION, "BucketPublicAccessBlock", blockPublicPolicy=False)),
    ("private-buckets", changed(FOUNDATION, "BucketOwnershipControls", rule={"objectOwnership": "ObjectWriter"})),
    ("private-buckets", changed(FOUNDATION, "BucketVersioning", versioningConfiguration={"status": "Suspended"})),
    ("tls-only", changed(FOUNDATION, "BucketPolicy", policy=document(Principal={"AWS": "1"}, Action="s3:GetObject"))),
    ("tls-only", changed(FOUNDATION, "BucketPolicy", policy=UNKNOWN)),
    ("no-open-policies", changed(SERVICE, "QueuePolicy", policy=document(Principal="*", Action="sqs:SendMessage"))),
    ("no-open-policies", changed(SERVICE, "QueuePolicy", policy=document(Principal={"AWS": ["*"]}, Action="sqs:*"))),
    ("no-open-policies", changed(SERVICE, "TopicPolicy", policy=document(Principal={"Service": "s"}, Action="a"))),
    ("no-open-policies", changed(SERVICE, "QueuePolicy", policy=UNKNOWN)),
    ("narrow-rights", changed(SERVICE, "RolePolicy", policy=document(Action="*", Resource="x"))),
    ("narrow-rights", changed(SERVICE, "RolePolicy", policy=document(Action=["iam:*"], Resource="x"))),
    ("narrow-rights", changed(SERVICE, "RolePolicy", policy=document(Action="s3:GetObject", Resource="*"))),
    ("narrow-rights", changed(SERVICE, "RolePolicy", policy=document(NotAction="iam:CreateRole", Resource="x"))),
    ("narrow-rights", changed(SERVICE, "RolePolicy", policy=document(Action="iam:PassRole", Resource="x"))),
    ("narrow-rights", changed(SERVICE, "RolePolicy", policy=document(Action="iam:CreateRole", Resource="x"))),
    ("narrow-rights", changed(SERVICE, "RolePolicy", policy=UNKNOWN)),
    ("exact-trust", changed(FOUNDATION, "Role", assumeRolePolicy=document(Principal="*", Action="sts:AssumeRole"))),
    ("exact-trust", changed(FOUNDATION, "Role", assumeRolePolicy=document(Principal=PROVIDER, Action="a"))),
    (
        "exact-trust",
        changed(
            FOUNDATION,
            "Role",
            assumeRolePolicy=document(
                Principal=PROVIDER, Action="a", Condition={"StringEquals": EXACT | {f"{CLAIM}sub": "repo:o/r:*"}}
            ),
        ),
    ),
    (
        "exact-trust",
        changed(
            FOUNDATION,
            "Role",
            assumeRolePolicy=document(Principal=PROVIDER, Action="a", Condition={"StringLike": EXACT}),
        ),
    ),
    ("exact-trust", changed(FOUNDATION, "Role", assumeRolePolicy=UNKNOWN)),
    ("bounded-roles", changed(SERVICE, "Role", permissionsBoundary=None)),
    ("pinned-code", changed(SERVICE, "Function", publish=False)),
    ("pinned-code", changed(SERVICE, "Function", s3ObjectVersion=None)),
    ("pinned-code", changed(SERVICE, "Function", environment={"variables": {"NEWS_API_KEY": "abc"}})),
    (
        "no-endless-loops",
        added(SERVICE, "aws:lambda/functionRecursionConfig:FunctionRecursionConfig", recursiveLoop="Allow"),
    ),
    ("bound-to-live", changed(SERVICE, "FunctionUrl", qualifier=None)),
    ("bound-to-live", changed(SERVICE, "Permission", qualifier="candidate")),
    ("bound-to-live", added(SERVICE, "aws:lambda/permission:Permission", principal="*", qualifier="live")),
    (
        "bound-to-live",
        added(SERVICE, "aws:lambda/permission:Permission", principal="sns.amazonaws.com", qualifier="live"),
    ),
    ("encrypted-data", changed(SERVICE, "Table", pointInTimeRecovery={"enabled": False})),
    ("encrypted-data", changed(SERVICE, "Queue", sqsManagedSseEnabled=None)),
    ("encrypted-data", added(SERVICE, "aws:kms/key:Key", enableKeyRotation=False)),
    ("protected-data", [replace(one, protect=False) for one in resources(SERVICE)]),
    ("protected-data", [replace(one, protect=False) for one in resources(FOUNDATION)]),
    ("protected-data", changed(SERVICE, "Table", deletionProtectionEnabled=False)),
    ("no-secret-values", added(SERVICE, "aws:secretsmanager/secretVersion:SecretVersion")),
    ("no-secret-values", added(FOUNDATION, "github:index/actionsSecret:ActionsSecret")),
    ("bounded-logs", changed(SERVICE, "LogGroup", retentionInDays=0)),
    ("heard-alarms", changed(SERVICE, "MetricAlarm", alarmActions=[])),
    ("heard-alarms", changed(SERVICE, "MetricAlarm", treatMissingData=None)),
    ("heard-alarms", changed(SERVICE, "Topic", kmsMasterKeyId="alias/aws/sns")),
    ("sound-trail", added(FOUNDATION, "aws:cloudtrail/trail:Trail", isMultiRegionTrail=True)),
    ("guarded-environments", changed(FOUNDATION, "RepositoryEnvironment", canAdminsBypass=True)),
    ("guarded-environments", changed(FOUNDATION, "RepositoryEnvironmentDeploymentPolicy", branchPattern="*")),
    # Which of them is registered first is not certain: `production` waits for an answer of GitHub.
    (
        "guarded-environments",
        [
            replace(one, props={**one.props, "reviewers": None}) if one.name == "production" else one
            for one in resources(FOUNDATION)
        ],
    ),
]


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_every_security_property(stack):
    assert [str(finding) for finding in findings(resources(stack))] == []


@pytest.mark.parametrize(
    ("rule", "broken"), BREAKS, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(BREAKS)]
)
def test_a_rule_finds_the_stack_that_breaks_it(rule, broken):
    found = findings(broken)
    assert rule in {finding.rule for finding in found}
    assert all(str(finding).startswith(f"{finding.rule}: ") for finding in found)


def test_every_rule_is_broken_by_some_case():
    assert {rule for rule, _ in BREAKS} == {rule.name for rule in RULES}


def test_what_a_preview_takes_away_is_not_judged_and_what_it_keeps_is():
    state = {"custom": True, "type": "aws:sqs/queue:Queue", "urn": "urn:pulumi:s::p::t::q", "inputs": {}}
    steps = [
        {"op": "same", "newState": state},
        {"op": "delete", "newState": None},
        {"op": "create", "newState": {**state, "custom": False}},
        {"op": "same", "newState": {**state, "type": "pulumi:providers:aws"}},
    ]
    (queue,) = of_preview({"steps": steps})
    assert (queue.name, [finding.rule for finding in findings([queue])]) == ("q", ["encrypted-data"])
