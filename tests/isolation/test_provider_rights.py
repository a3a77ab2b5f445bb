"""What the real provider and the real engine ask of AWS, by hand: the local cloud has a stand-in for one of them.

The provider's part was read in terraform-provider-aws (internal/service/*): which calls each resource type makes to be
created, read, changed and deleted. Deletions that this design leaves to an administrator (tables) are not among them.
"""

import pytest

from components.naming import ENVIRONMENTS
from components.service.functions import KEYS
from localcloud.iam.evaluator import decide
from tests.isolation.world import ONE_ACCOUNT, Thing, world

PROVIDER = {
    "function": [
        *("lambda:CreateFunction", "lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:DeleteFunction"),
        *("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:PublishVersion"),
        *("lambda:ListVersionsByFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:ListTags"),
        *("lambda:TagResource", "lambda:UntagResource"),
        *("lambda:CreateAlias", "lambda:GetAlias", "lambda:UpdateAlias", "lambda:DeleteAlias"),
        *("lambda:AddPermission", "lambda:GetPolicy", "lambda:RemovePermission"),
        *("lambda:CreateFunctionUrlConfig", "lambda:GetFunctionUrlConfig"),
        *("lambda:UpdateFunctionUrlConfig", "lambda:DeleteFunctionUrlConfig"),
    ],
    "table": [
        *("dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable"),
        *("dynamodb:DescribeContinuousBackups", "dynamodb:UpdateContinuousBackups"),
        *("dynamodb:DescribeTimeToLive", "dynamodb:UpdateTimeToLive"),
        *("dynamodb:ListTagsOfResource", "dynamodb:TagResource", "dynamodb:UntagResource"),
    ],
    "topic": [
        *("sns:CreateTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:DeleteTopic"),
        *("sns:ListTagsForResource", "sns:TagResource", "sns:UntagResource"),
        *("sns:Subscribe", "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"),
        "sns:ListSubscriptionsByTopic",
    ],
    "queue": [
        *("sqs:CreateQueue", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes", "sqs:DeleteQueue"),
        *("sqs:ListQueueTags", "sqs:TagQueue", "sqs:UntagQueue"),
    ],
    "log group": [
        *("logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"),
        *("logs:ListTagsForResource", "logs:TagResource", "logs:UntagResource"),
    ],
    "alarm": [
        *("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"),
        *("cloudwatch:ListTagsForResource", "cloudwatch:TagResource", "cloudwatch:UntagResource"),
    ],
    "dashboard": ["cloudwatch:PutDashboard", "cloudwatch:GetDashboard", "cloudwatch:DeleteDashboards"],
    "schedule": [f"scheduler:{verb}Schedule" for verb in ("Create", "Get", "Update", "Delete")],
    "role": [
        *("iam:CreateRole", "iam:GetRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription"),
        *("iam:PutRolePermissionsBoundary", "iam:TagRole", "iam:UntagRole", "iam:ListRoleTags"),
        *("iam:ListRolePolicies", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:DeleteRole"),
        *("iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy"),
    ],
}
"""Per kind of thing that the service program makes: what the provider may call."""
OF_CODE = {
    "function": [
        *("lambda:GetFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
        *("lambda:PublishVersion", "lambda:ListVersionsByFunction", "lambda:GetFunctionCodeSigningConfig"),
        *(
            "lambda:GetAlias",
            "lambda:UpdateAlias",
            "lambda:GetPolicy",
            "lambda:GetFunctionUrlConfig",
            "lambda:ListTags",
        ),
    ],
    **{
        kind: [action for action in actions if action.split(":")[1].startswith(("Get", "List", "Describe"))]
        for kind, actions in PROVIDER.items()
        if kind != "function"
    },
}
"""The same for a release of code alone: everything is read, and only functions and aliases change."""
KEPT = ["iam:ListInstanceProfilesForRole"]
"""Reads that only a deletion makes."""
STATE = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]


def _refused(name: str, environment: str, table: dict[str, list[str]]) -> set[tuple[str, str]]:
    role = world(0).principal(environment, name)
    safety = (".safety", "-safety")
    asked = [
        (action, thing, role.asks(action, thing))
        for thing in world(0).of(environment)
        if thing.kind in table and _made_by_the_service(thing) and not thing.arn.endswith(safety)
        for action in table[thing.kind]
    ]
    assert {thing.kind for _, thing, _ in asked} == set(table)
    decisions = decide([request for *_, request in asked])
    return {(action, thing.arn) for (action, thing, _), one in zip(asked, decisions, strict=True) if not one.allowed}


def _made_by_the_service(thing: Thing) -> bool:
    return thing.kind != "role" or thing.arn.endswith(("-exec", "-schedule"))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_deploys_may_make_every_call_of_the_real_provider(environment):
    # A function's qualified ARN is asked for too, as Lambda does for calls about a version or an alias.
    assert _refused(f"{environment}-sentiment-deploy", environment, PROVIDER) == set()


@pytest.mark.parametrize("role", ["deploy-auto", "rollback"])
def test_who_changes_code_alone_may_make_the_calls_of_the_real_provider_for_that(role):
    table = {kind: [action for action in actions if action not in KEPT] for kind, actions in OF_CODE.items()}
    assert _refused(f"prod-sentiment-{role}", "prod", table) == set()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_watches_may_make_every_call_of_the_real_provider_that_a_refresh_makes(environment):
    reads = {
        kind: [one for one in actions if one.split(":")[1].startswith(("Get", "List", "Describe")) and one not in KEPT]
        for kind, actions in PROVIDER.items()
    }
    assert _refused(f"{environment}-sentiment-watch", environment, reads) == set()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_deploys_passes_each_role_to_its_service(environment):
    names = world(0).arns(environment).names
    role = world(0).principal(environment, names.deploy_role)
    passed = {
        names.schedule_role: "scheduler",
        names.safety_role: "scheduler",
        **({names.way_back_role: "events"} if environment == "prod" else {}),
        **{names.function(key).role: "lambda" for key in KEYS},
    }
    own = world(0).arns(environment)
    asked = [
        role.asks(
            "iam:PassRole",
            world(0).thing(own.of("role", name)),
            {"iam:PassedToService": f"{service}.amazonaws.com"},
        )
        for name, service in passed.items()
    ]
    assert [decision.allowed for decision in decide(asked)] == [True] * len(passed)


@pytest.mark.parametrize("who", ["preprod deploy", "prod deploy", "prod deploy-auto", "prod rollback"])
def test_the_engine_reaches_its_state_and_the_key_of_its_secrets(who):
    """Checkpoints, backups, history and locks; the bucket is listed below the folder of the service only."""
    environment, _, name = who.partition(" ")
    own, place = world(0).arns(environment), world(0)
    role = place.principal(environment, f"{environment}-sentiment-{name}")
    state = own.names.state_bucket
    keys = ("stacks/sentiment-pipeline/x.json.bak", "history/sentiment-pipeline/x/1.json", "locks/a.json", "meta.yaml")
    account = ONE_ACCOUNT[environment]
    asked = [
        role.asks(action, Thing("object", own.objects(state, f"service/.pulumi/{key}"), environment, account))
        for key in keys
        for action in STATE
    ]
    bucket = place.thing(own.of("bucket", state))
    asked += [
        role.asks("s3:ListBucket", bucket, {"s3:prefix": prefix}) for prefix in ("service/", "service/.pulumi/stacks/")
    ]
    (key,) = [
        thing
        for thing in place.of(environment)
        if thing.context.get("kms:ResourceAliases") == [own.names.state_key_alias]
    ]
    asked.append(role.asks("kms:Decrypt", key))
    assert {decision.outcome for decision in decide(asked)} == {"Allowed"}
