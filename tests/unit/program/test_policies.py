"""Policies as data: own allowed, other denied, for every physical name that the program makes."""

import ast
import json

import botocore.session
import pytest
from botocore import xform_name

from components import way_back
from components.arns import Arns
from components.identities import IDENTITIES, identities, trust_of
from components.naming import ENVIRONMENTS, PROJECT, SERVICE_STATE, names
from components.policies import bucket, deploy, execution, messaging, proving, safety, trust
from components.policies.documents import to_json
from components.service.functions import FUNCTIONS, KEYS
from components.settings import SettingError, parse
from release.artifacts.store import PROVENANCE_FILE, RESULT_FILE, VALIDATION_FILE
from tests.unit.program.evaluate import decision
from tests.unit.program.harness import ACCOUNT, FOUNDATION_STACKS, ROOT, SERVICE_STACKS, configuration, deployed

DEPLOYING = tuple(one for one in IDENTITIES if one.rights in (deploy.deploy, deploy.deploy_code))
"""The identities that release; the others test, mark and look."""
OBSERVING = tuple(one for one in IDENTITIES if one not in DEPLOYING)
INLINE_LIMIT, MANAGED_LIMIT, TRUST_LIMIT, BUCKET_LIMIT = 10_240, 6_144, 2_048, 20_480

WRITES = {
    "aws:lambda/function:Function": "lambda:UpdateFunctionCode",
    "aws:dynamodb/table:Table": "dynamodb:UpdateTable",
    "aws:sns/topic:Topic": "sns:SetTopicAttributes",
    "aws:sqs/queue:Queue": "sqs:SetQueueAttributes",
    "aws:cloudwatch/logGroup:LogGroup": "logs:PutRetentionPolicy",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:PutMetricAlarm",
    "aws:cloudwatch/dashboard:Dashboard": "cloudwatch:PutDashboard",
    "aws:scheduler/schedule:Schedule": "scheduler:UpdateSchedule",
    "aws:iam/role:Role": "iam:TagRole",
}
KINDS = {
    "aws:lambda/function:Function": "function",
    "aws:dynamodb/table:Table": "table",
    "aws:sns/topic:Topic": "topic",
    "aws:sqs/queue:Queue": "queue",
    "aws:cloudwatch/logGroup:LogGroup": "log group",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "alarm",
    "aws:cloudwatch/dashboard:Dashboard": "dashboard",
    "aws:scheduler/schedule:Schedule": "schedule",
    "aws:iam/role:Role": "role",
}


def _arns(environment):
    return Arns(account_id=ACCOUNT, region="us-east-1", names=names(environment))


def _settings(stack, **overrides):
    values = configuration(stack, **overrides)
    return parse(values, stack)


def _made(environment):
    """Kind and ARN of everything with a name that the service program makes, from what it really registers."""
    return [
        (
            resource.typ,
            _arns(environment).of(KINDS[resource.typ], resource.inputs.get("name") or resource.inputs["dashboardName"]),
        )
        for resource in deployed(environment).custom
        if resource.typ in KINDS
    ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_deploying_may_change_everything_that_its_own_service_makes(environment):
    policy = deploy.deploy(_arns(environment))
    made = _made(environment)
    assert {typ for typ, _ in made} == set(KINDS)
    assert {arn: decision(policy, WRITES[typ], arn) for typ, arn in made} == {arn: "allowed" for _, arn in made}


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
def test_nothing_of_the_other_environment_can_be_touched(identity):
    arns = _arns(identity.environment)
    policy = identity.rights(arns)
    made = _made(arns.names.other_environment)
    assert len(made) > 15
    for typ, arn in made:
        service = WRITES[typ].split(":")[0]
        for action in (WRITES[typ], f"{service}:GetAnything", f"{service}:DeleteAnything"):
            assert decision(policy, action, arn) == "denied", (action, arn)
    for secret in (arns.other.names.newsapi_secret, arns.other.names.dashboard_key_secret):
        assert (
            decision(policy, "secretsmanager:GetSecretValue", arns.other.of("secret", f"{secret}-AbCdEf")) == "denied"
        )


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
def test_the_other_environments_buckets_are_closed_but_for_reading_promotions_from_prod(identity):
    arns = _arns(identity.environment)
    other = arns.other
    policy = identity.rights(arns)
    may_read = identity.environment == "prod"
    promotion = other.objects(other.names.bucket, "promotions/abc/manifest.json")
    assert decision(policy, "s3:GetObject", promotion) == ("allowed" if may_read else "denied")
    for action in ("s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging"):
        assert decision(policy, action, promotion) == "denied"
    for key in ("packages/a.zip", "ledger/head.json", "promotion/x", "x/promotions/y"):
        assert decision(policy, "s3:GetObject", other.objects(other.names.bucket, key)) == "denied"
    for key in ("service/.pulumi/stacks/x.json", "foundation/.pulumi/stacks/x.json"):
        assert decision(policy, "s3:GetObject", other.objects(other.names.state_bucket, key)) == "denied"
    assert decision(policy, "s3:ListBucket", other.of("bucket", other.names.bucket)) == "denied"
    for alias in (other.names.state_key_alias, other.names.foundation_key_alias, arns.names.foundation_key_alias):
        assert decision(policy, "kms:Decrypt", arns.of("key", "1"), kms__ResourceAliases=[alias]) == "denied"


@pytest.mark.parametrize("identity", DEPLOYING, ids=lambda identity: identity.github_environment)
def test_state_is_its_own_service_state_and_not_the_foundations(identity):
    arns = _arns(identity.environment)
    policy, state = identity.rights(arns), arns.names.state_bucket
    assert decision(policy, "s3:PutObject", arns.objects(state, "service/.pulumi/stacks/p/s.json")) == "allowed"
    assert decision(policy, "s3:DeleteObject", arns.objects(state, "service/.pulumi/locks/x.json")) == "allowed"
    assert decision(policy, "s3:ListBucket", arns.of("bucket", state), s3__prefix="service/.pulumi/") == "allowed"
    assert decision(policy, "kms:Decrypt", arns.of("key", "1"), kms__ResourceAliases=[arns.names.state_key_alias]) == (
        "allowed"
    )
    assert decision(policy, "kms:Decrypt", arns.of("key", "1"), kms__ResourceAliases=["alias/other"]) == "not allowed"
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert decision(policy, action, arns.objects(state, "foundation/.pulumi/stacks/p/s.json")) == "denied"
    assert decision(policy, "s3:ListBucket", arns.of("bucket", state), s3__prefix="foundation/") == "not allowed"


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
def test_no_identity_can_widen_its_rights_silence_alarms_or_rewrite_history(identity):
    arns = _arns(identity.environment)
    policy, own = identity.rights(arns), arns.names
    for role in own.ci_roles:
        for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole", "iam:TagRole"):
            context = {"iam:PermissionsBoundary": arns.of("policy", own.boundary)}
            assert decision(policy, action, arns.of("role", role), context=context) == "denied"
    assert decision(policy, "iam:CreatePolicyVersion", arns.of("policy", own.boundary)) == "denied"
    assert decision(policy, "iam:UpdateOpenIDConnectProviderThumbprint", arns.github_provider) == "denied"
    assert decision(policy, "cloudtrail:StopLogging", f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/t") == "denied"
    for action in ("cloudwatch:DisableAlarmActions", "cloudwatch:SetAlarmState"):
        assert decision(policy, action, arns.of("alarm", own.function("dashboard").alarm("errors"))) == "denied"
    for key in ("packages/d/a.zip", "ledger/entries/00000001.json", "ledger/head.json", "promotions/d/manifest.json"):
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
            assert decision(policy, action, arns.objects(own.bucket, key)) == "denied"
    for name in (own.bucket, own.state_bucket):
        for action in ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketVersioning", "s3:DeleteBucket"):
            assert decision(policy, action, arns.of("bucket", name)) == "denied"


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
def test_who_releases_writes_packages_and_the_ledger_and_who_validates_the_ledger(identity):
    arns = _arns(identity.environment)
    for key in ("packages/d/a.zip", "ledger/entries/00000001.json", "ledger/head.json"):
        marks = identity.github_environment == "preprod-validate" and key.startswith("ledger/")
        written = "allowed" if identity in DEPLOYING or marks else "not allowed"
        assert decision(identity.rights(arns), "s3:PutObject", arns.objects(arns.names.bucket, key)) == written, key


def test_what_a_rollback_runs_is_written_by_the_reviewed_deployment_alone():
    writers = {
        identity.github_environment
        for identity in IDENTITIES
        for arns in [_arns(identity.environment)]
        for key in [arns.objects(arns.names.bucket, "way-back/d/releaser.tar.gz")]
        if decision(identity.rights(arns), "s3:PutObject", key) == "allowed"
    }
    assert writers == {"production"}


@pytest.mark.parametrize("identity", OBSERVING, ids=lambda identity: identity.github_environment)
def test_who_deploys_nothing_opens_no_state_changes_no_resource_and_reads_no_secret_but_the_dashboards_key(identity):
    arns = _arns(identity.environment)
    policy, own = identity.rights(arns), arns.names
    state = arns.objects(own.state_bucket, "service/.pulumi/stacks/p/s.json")
    # Who watches compares the state, whose secrets stay sealed: the key below opens them, and is nobody's here.
    reads = decision(policy, "s3:GetObject", state) == "allowed"
    assert reads == (identity.rights is proving.watch)
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert decision(policy, action, state) != "allowed"
    assert decision(policy, "s3:GetObject", arns.objects(own.state_bucket, "foundation/.pulumi/x.json")) == "denied"
    assert decision(policy, "kms:Decrypt", arns.of("key", "1"), kms__ResourceAliases=[own.state_key_alias]) != "allowed"
    for typ, arn in _made(identity.environment):
        assert decision(policy, WRITES[typ], arn) == "not allowed"
    for action in ("iam:PassRole", "iam:CreateRole", "lambda:UpdateAlias", "scheduler:CreateSchedule"):
        assert decision(policy, action, arns.of("role", f"{own.prefix}x-exec")) == "not allowed"
    key = decision(policy, "secretsmanager:GetSecretValue", arns.of("secret", f"{own.dashboard_key_secret}-AbCdEf"))
    assert (key == "allowed") == (identity.github_environment == "preprod-test")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_watches_tells_who_is_on_call_and_writes_to_no_other_topic(environment):
    arns = _arns(environment)
    policy = proving.watch(arns)
    assert decision(policy, "sns:Publish", arns.of("topic", arns.names.on_call_topic)) == "allowed"
    assert decision(policy, "sns:Publish", arns.of("topic", arns.names.new_items_topic)) == "not allowed"
    assert decision(policy, "sns:Publish", arns.other.of("topic", arns.other.names.on_call_topic)) == "denied"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_watches_may_make_every_call_of_the_checks_and_of_the_comparison(environment):
    """What release/lookout and release/oncall/notify.py ask; what a refresh reads: tests/isolation."""
    arns = _arns(environment)
    own, dashboard = arns.names, arns.names.function("dashboard")
    topic, function = arns.of("topic", own.on_call_topic), arns.of("function", dashboard.function)
    asked = {
        ("cloudwatch:DescribeAlarms", "*"),
        ("sns:GetTopicAttributes", topic),
        ("sns:ListSubscriptionsByTopic", topic),
        ("sns:Publish", topic),
        ("lambda:GetAlias", function),
        ("lambda:GetFunctionConfiguration", f"{function}:live"),
        ("scheduler:GetSchedule", arns.of("schedule", dashboard.safety_schedule)),
        (
            "s3:GetObject",
            arns.objects(own.state_bucket, f"{SERVICE_STATE}/.pulumi/stacks/{PROJECT}/{environment}.json"),
        ),
        *(
            ("s3:GetObject", arns.objects(own.bucket, key))
            for key in ("ledger/head.json", "ledger/lease.json", "ledger/entries/00000001.json")
        ),
        ("s3:GetObject", arns.objects(own.bucket, "ledger/releases/d/program.tar.gz")),
        ("s3:GetObject", arns.objects(names("preprod").bucket, "promotions/d/manifest.json")),
    }
    policy = proving.watch(arns)
    assert {right for right in asked if decision(policy, *right) != "allowed"} == set()


def test_only_a_validation_record_can_be_written_beside_what_a_build_has_left():
    arns = _arns("preprod")
    policy = proving.mark_validated(arns)
    for key, expected in {
        "promotions/d/validation.json": "allowed",
        "promotions/d/validation.sigstore.json": "allowed",
        "promotions/d/provenance.sigstore.json": "not allowed",
        "promotions/d/manifest.json": "not allowed",
        "promotions/d/ingestion-x.zip": "not allowed",
        "packages/d/a.zip": "not allowed",
        "ledger/lease.json": "not allowed",
    }.items():
        assert decision(policy, "s3:PutObject", arns.objects(arns.names.bucket, key)) == expected, key


def test_only_who_validates_writes_validation_records_and_only_preprod_offers_builds():
    """A build that marks itself as tested, or production that offers a build to itself, would be its own gate."""
    tested = [f"promotions/d/{name}" for name in (VALIDATION_FILE, RESULT_FILE)]
    offered = ["promotions/d/manifest.json", f"promotions/d/{PROVENANCE_FILE}", "promotions/by-sha/x.json"]
    writers = {
        (identity.github_environment, key)
        for identity in IDENTITIES
        for key in (*tested, *offered)
        if decision(
            identity.rights(_arns(identity.environment)),
            "s3:PutObject",
            _arns(identity.environment).objects(names(identity.environment).bucket, key),
        )
        == "allowed"
    }
    assert writers == {("preprod-validate", key) for key in tested} | {("preprod", key) for key in offered}
    preprod = _arns("preprod")
    for key in tested:
        record = preprod.objects(preprod.names.bucket, key)
        assert decision(deploy.deploy(preprod), "s3:PutObject", record) == "denied"  # no later Allow opens it


def test_in_two_accounts_preprod_offers_its_builds_to_the_roles_of_prod_and_nobody_else():
    one = _arns("preprod")
    assert bucket.deployment_bucket(one, "x")["Statement"][0]["Sid"] == "TlsOnly"
    two = Arns(account_id=ACCOUNT, region="us-east-1", names=names("preprod"), other_account_id="210987654321")
    offer, *_ = bucket.deployment_bucket(two, "x")["Statement"]
    assert offer["Principal"] == {"AWS": "arn:aws:iam::210987654321:root"}
    promotion = two.objects(two.names.bucket, "promotions/d/manifest.json")
    for role in names("prod").ci_roles:
        principal = {"aws:PrincipalArn": f"arn:aws:iam::210987654321:role/{role}"}
        assert decision({"Statement": [offer]}, "s3:GetObject", promotion, context=principal) == "allowed"
        assert decision({"Statement": [offer]}, "s3:PutObject", promotion, context=principal) == "not allowed"
    foreign = {"aws:PrincipalArn": "arn:aws:iam::210987654321:role/anybody"}
    assert decision({"Statement": [offer]}, "s3:GetObject", promotion, context=foreign) == "not allowed"
    prod = Arns(account_id="210987654321", region="us-east-1", names=names("prod"), other_account_id=ACCOUNT)
    assert prod.other.of("table", "t") == f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t"
    assert prod.other.other == prod
    assert bucket.deployment_bucket(prod, "x")["Statement"][0]["Sid"] == "TlsOnly"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_role_is_made_only_inside_the_boundary_and_passed_only_to_its_service(environment):
    arns = _arns(environment)
    policy = deploy.deploy(arns)
    execution_role = arns.of("role", arns.names.function("dashboard").role)
    inside = {"iam:PermissionsBoundary": arns.of("policy", arns.names.boundary)}
    for action in ("iam:CreateRole", "iam:PutRolePolicy"):
        assert decision(policy, action, execution_role, context=inside) == "allowed"
        assert decision(policy, action, execution_role) == "not allowed"
        other = {"iam:PermissionsBoundary": arns.other.of("policy", arns.other.names.boundary)}
        assert decision(policy, action, execution_role, context=other) == "not allowed"
        assert decision(policy, action, arns.of("role", "admin"), context=inside) == "not allowed"
    assert decision(policy, "iam:DeleteRolePermissionsBoundary", execution_role) == "denied"
    assert decision(policy, "iam:AttachRolePolicy", execution_role, context=inside) == "denied"
    passed = {
        (role, service): decision(policy, "iam:PassRole", arns.of("role", role), iam__PassedToService=service)
        for role in (
            arns.names.function("dashboard").role,
            arns.names.schedule_role,
            arns.names.safety_role,
            arns.names.way_back_role,
            arns.names.deploy_role,
            "admin",
        )
        for service in ("lambda.amazonaws.com", "scheduler.amazonaws.com", "events.amazonaws.com", "ec2.amazonaws.com")
    }
    by_events = {(arns.names.way_back_role, "events.amazonaws.com")} if environment == "prod" else set()
    assert {key for key, value in passed.items() if value == "allowed"} == by_events | {
        (arns.names.function("dashboard").role, "lambda.amazonaws.com"),
        (arns.names.schedule_role, "scheduler.amazonaws.com"),
        (arns.names.safety_role, "scheduler.amazonaws.com"),
    }


@pytest.mark.parametrize(
    "action",
    [
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "iam:PassRole",
        "dynamodb:UpdateTable",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:DeleteAlarms",
        "lambda:AddPermission",
        "lambda:DeleteFunction",
        "sns:Subscribe",
        "sqs:SetQueueAttributes",
    ],
)
def test_what_nobody_reviews_reaches_code_and_no_further(action):
    policy = deploy.deploy_code(_arns("prod"))
    inside = {
        "iam:PermissionsBoundary": _arns("prod").of("policy", names("prod").boundary),
        "iam:PassedToService": "lambda.amazonaws.com",
    }
    assert {decision(policy, action, arn, context=inside) for _, arn in _made("prod")} == {"not allowed"}
    function = _arns("prod").of("function", names("prod").function("dashboard").function)
    for allowed in ("lambda:UpdateFunctionCode", "lambda:UpdateAlias", "lambda:PublishVersion", "lambda:GetFunction"):
        assert decision(policy, allowed, function) == "allowed"


@pytest.mark.parametrize("identity", DEPLOYING, ids=lambda identity: identity.github_environment)
def test_every_identity_that_moves_traffic_can_set_and_remove_the_safety_schedules(identity):
    arns = _arns(identity.environment)
    policy = identity.rights(arns)
    for key in KEYS:
        schedule = arns.of("schedule", arns.names.function(key).safety_schedule)
        for action in ("Create", "Update", "Delete", "Get"):
            assert decision(policy, f"scheduler:{action}Schedule", schedule) == "allowed"
        theirs = arns.other.of("schedule", arns.other.names.function(key).safety_schedule)
        assert decision(policy, "scheduler:CreateSchedule", theirs) == "denied"
    role = arns.of("role", arns.names.safety_role)
    assert decision(policy, "iam:PassRole", role, iam__PassedToService="scheduler.amazonaws.com") == "allowed"
    for service in ("lambda.amazonaws.com", "ec2.amazonaws.com"):
        assert decision(policy, "iam:PassRole", role, iam__PassedToService=service) == "not allowed"
    assert decision(policy, "iam:PassRole", role) == "not allowed"
    other = arns.other.of("role", arns.other.names.safety_role)
    assert decision(policy, "iam:PassRole", other, iam__PassedToService="scheduler.amazonaws.com") == "denied"


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
@pytest.mark.parametrize(
    "action",
    [
        "iam:AttachRolePolicy",
        "iam:DeleteRole",
        "iam:DeleteRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
        "iam:TagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
        "sts:AssumeRole",
    ],
)
def test_no_identity_can_change_the_roles_of_the_safety_net_or_become_them(identity, action):
    arns = _arns(identity.environment)
    inside = {"iam:PermissionsBoundary": arns.of("policy", arns.names.boundary)}
    for role in (arns.names.safety_role, arns.names.way_back_role):
        assert decision(identity.rights(arns), action, arns.of("role", role), context=inside) == "denied"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_safety_role_moves_aliases_of_its_own_functions_and_ends_a_bake_and_nothing_else(environment):
    arns = _arns(environment)
    (registered,) = [
        resource.inputs
        for name, resource in deployed(f"{environment}-foundation").of("iam/rolePolicy:RolePolicy").items()
        if name == "safety"
    ]
    policy = json.loads(registered["policy"])
    assert policy == safety.return_traffic(arns)
    for key in KEYS:
        function = arns.of("function", arns.names.function(key).function)
        assert decision(policy, "lambda:UpdateAlias", function) == "allowed"
        for action in ("lambda:CreateAlias", "lambda:UpdateFunctionCode", "lambda:InvokeFunction", "lambda:GetAlias"):
            assert decision(policy, action, function) == "not allowed"
        theirs = arns.other.of("function", arns.other.names.function(key).function)
        assert decision(policy, "lambda:UpdateAlias", theirs) == "not allowed"
    assert decision(policy, "lambda:UpdateAlias", arns.of("function", "somebody-elses")) == "not allowed"
    rule = arns.of("rule", arns.names.bake_rule)
    assert decision(policy, "events:DisableRule", rule) == "allowed"
    assert decision(policy, "events:DisableRule", arns.of("rule", f"{arns.names.prefix}other")) == "not allowed"
    for action in ("events:EnableRule", "events:PutRule", "events:PutTargets", "events:DeleteRule"):
        assert decision(policy, action, rule) == "not allowed"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_scheduler_and_state_machines_of_this_account_can_take_the_safety_role(environment):
    role = deployed(f"{environment}-foundation").one("iam/role:Role", "safety")
    assert role["name"] == names(environment).safety_role
    assert json.loads(role["assumeRolePolicy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": ["scheduler.amazonaws.com", "states.amazonaws.com"]},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            }
        ],
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_way_back_is_started_by_events_of_this_account_alone_and_its_role_can_do_nothing_else(environment):
    arns, foundation = _arns(environment), deployed(f"{environment}-foundation")
    role = foundation.one("iam/role:Role", "way-back")
    assert role["name"] == arns.names.way_back_role
    assert json.loads(role["assumeRolePolicy"]) == trust.by_service(["events"], ACCOUNT)
    policy = json.loads(foundation.one("iam/rolePolicy:RolePolicy", "way-back")["policy"])
    machine = arns.of("state machine", arns.names.way_back)
    assert decision(policy, "states:StartExecution", machine) == "allowed"
    assert decision(policy, "states:StartExecution", arns.of("state machine", "another")) == "not allowed"
    for action in ("states:UpdateStateMachine", "states:DeleteStateMachine", "states:StopExecution"):
        assert decision(policy, action, machine) == "not allowed"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_way_back_runs_as_the_safety_role_and_moves_each_function_it_is_told_with_repetitions(environment):
    machine = deployed(f"{environment}-foundation").one("sfn/stateMachine:StateMachine", "way-back")
    assert machine["name"] == names(environment).way_back
    definition = json.loads(machine["definition"])
    assert definition == way_back.definition()
    each = definition["States"][definition["StartAt"]]
    move = each["ItemProcessor"]["States"]["PutBack"]
    assert (each["Type"], move["Type"], move["Resource"]) == ("Map", "Task", way_back.UPDATE_ALIAS)
    assert move["Parameters"]["RoutingConfig"] == {"AdditionalVersionWeights": {}}
    (retry,) = move["Retry"]
    waits = [min(2**number, retry["MaxDelaySeconds"]) for number in range(retry["MaxAttempts"])]
    assert 60 <= sum(waits) <= 600  # a later call could meet the traffic of a newer release


@pytest.mark.parametrize("identity", DEPLOYING, ids=lambda identity: identity.github_environment)
def test_who_releases_to_prod_sets_the_rule_of_the_bake_with_the_way_back_as_its_only_target(identity):
    arns, policy = _arns(identity.environment), identity.rights(_arns(identity.environment))
    rule, bakes = arns.of("rule", arns.names.bake_rule), identity.environment == "prod"
    machine = arns.of("state machine", arns.names.way_back)
    expected = "allowed" if bakes else "not allowed"
    for action in ("events:PutRule", "events:RemoveTargets", "events:DeleteRule"):
        assert decision(policy, action, rule) == expected
        assert decision(policy, action, arns.of("rule", f"{arns.names.prefix}another")) == "not allowed"
        assert decision(policy, action, arns.other.of("rule", arns.other.names.bake_rule)) == "denied"
    for target, allowed in ((machine, expected), (arns.of("function", "anything"), "not allowed")):
        assert decision(policy, "events:PutTargets", rule, events__TargetArn=target) == allowed
    role = arns.of("role", arns.names.way_back_role)
    assert decision(policy, "iam:PassRole", role, iam__PassedToService="events.amazonaws.com") == expected
    for service in ("lambda.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com"):
        assert decision(policy, "iam:PassRole", role, iam__PassedToService=service) == "not allowed"
    for action in ("states:UpdateStateMachine", "states:DeleteStateMachine", "states:StartExecution"):
        assert decision(policy, action, machine) == "denied"


@pytest.mark.parametrize("identity", DEPLOYING, ids=lambda identity: identity.github_environment)
def test_single_old_versions_can_be_deleted(identity):
    arns = _arns(identity.environment)
    function = arns.of("function", arns.names.function("dashboard").function)
    assert decision(identity.rights(arns), "lambda:DeleteFunction", f"{function}:7") == "allowed"
    theirs = arns.other.of("function", arns.other.names.function("dashboard").function)
    assert decision(identity.rights(arns), "lambda:DeleteFunction", f"{theirs}:7") == "denied"


def test_what_nobody_reviews_sets_no_schedule_but_those_that_take_traffic_back():
    arns = _arns("prod")
    policy = deploy.deploy_code(arns)
    for name in (arns.names.function("ingestion").schedule, f"{arns.names.prefix}anything", "anything.safety"):
        for action in ("scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:DeleteSchedule"):
            assert decision(policy, action, arns.of("schedule", name)) == "not allowed"


def _aws_operations_of_the_releaser():
    """Names of AWS operations (as boto3 spells them) that are called, or paginated, somewhere in `release/`."""
    session = botocore.session.get_session()
    known = {
        xform_name(operation)
        for service in ("cloudwatch", "events", "lambda", "s3", "scheduler", "secretsmanager", "sns", "sts")
        for operation in session.get_service_model(service).operation_names
    }
    said = set()
    administrators = ("doctor", "bootstrap")
    for source in (ROOT / "release").rglob("*.py"):
        if source.relative_to(ROOT / "release").parts[0] in administrators:
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Attribute):
                said.add(node.attr)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    return said & known


_BAKE = {
    "delete_rule": "DeleteRule",
    "put_rule": "PutRule",
    "put_targets": "PutTargets",
    "remove_targets": "RemoveTargets",
}
"""What is called only where releases bake."""


def _needed(arns):
    """Action and resource of every operation; none for those that need no right."""
    own, function = arns.names, arns.of("function", arns.names.function("dashboard").function)
    schedule = arns.of("schedule", own.function("dashboard").safety_schedule)
    rule, bake = arns.of("rule", own.bake_rule), own.environment == "prod" or None
    own_lock = (own.state_bucket, f"{SERVICE_STATE}/.pulumi/locks/organization/{PROJECT}/{own.environment}/1.json")
    return {
        "create_schedule": ("scheduler:CreateSchedule", schedule),
        "delete_function": ("lambda:DeleteFunction", f"{function}:1"),
        "delete_object": ("s3:DeleteObject", arns.objects(*own_lock)),
        "delete_schedule": ("scheduler:DeleteSchedule", schedule),
        **{name: bake and (f"events:{action}", rule) for name, action in _BAKE.items()},
        "describe_alarms": ("cloudwatch:DescribeAlarms", "*"),
        "get_account_settings": ("lambda:GetAccountSettings", "*"),
        "get_alias": ("lambda:GetAlias", function),
        "get_caller_identity": None,
        "get_function_configuration": ("lambda:GetFunctionConfiguration", f"{function}:live"),
        "get_metric_data": ("cloudwatch:GetMetricData", "*"),
        "get_object": ("s3:GetObject", arns.objects(own.bucket, "ledger/head.json")),
        "get_schedule": ("scheduler:GetSchedule", schedule),
        "get_secret_value": (
            "secretsmanager:GetSecretValue",
            arns.of("secret", f"{own.dashboard_key_secret}-AbCdEf"),
        ),
        "invoke": ("lambda:InvokeFunction", f"{function}:candidate"),
        "list_aliases": ("lambda:ListAliases", function),
        "list_objects_v2": ("s3:ListBucket", arns.of("bucket", own.bucket)),
        "list_versions_by_function": ("lambda:ListVersionsByFunction", function),
        "publish": ("sns:Publish", arns.of("topic", own.on_call_topic)),
        "put_object": ("s3:PutObject", arns.objects(own.bucket, "ledger/head.json")),
        "update_alias": ("lambda:UpdateAlias", function),
        "update_schedule": ("scheduler:UpdateSchedule", schedule),
    }


def test_every_call_of_the_releaser_is_in_the_table_of_rights():
    called = _aws_operations_of_the_releaser()
    assert called >= {"update_alias", "put_object", "get_metric_data"}  # the search finds something
    assert called - set(_needed(_arns("prod"))) == set()


@pytest.mark.parametrize("identity", DEPLOYING, ids=lambda identity: identity.github_environment)
def test_every_identity_that_releases_may_make_every_call_of_the_releaser(identity):
    arns = _arns(identity.environment)
    needed = {right for right in _needed(arns).values() if right is not None}
    refused = {right for right in needed if decision(identity.rights(arns), *right) != "allowed"}
    assert refused == set()


def test_the_topic_of_new_items_takes_messages_of_those_that_release_to_production_and_of_preprods_tests():
    may = set()
    for identity in IDENTITIES:
        arns = _arns(identity.environment)
        topic = arns.of("topic", arns.names.new_items_topic)
        if decision(identity.rights(arns), "sns:Publish", topic) == "allowed":
            may.add(identity.github_environment)
    assert may == {"preprod-test", "production", "production-auto", "production-rollback"}


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
def test_the_key_of_the_news_service_is_nobodys_but_the_functions(identity):
    arns = _arns(identity.environment)
    secret = arns.of("secret", f"{arns.names.newsapi_secret}-AbCdEf")
    assert decision(identity.rights(arns), "secretsmanager:GetSecretValue", secret) == "not allowed"


def test_no_identity_can_delete_the_items_table():
    for identity in IDENTITIES:
        arns = _arns(identity.environment)
        table = arns.of("table", arns.names.items_table)
        assert decision(identity.rights(arns), "dynamodb:DeleteTable", table) == "not allowed"


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.github_environment)
def test_only_jobs_of_one_environment_on_main_are_trusted(identity):
    settings = _settings(f"{identity.environment}-foundation")
    (statement,) = trust_of(identity, settings)["Statement"]
    prefix = "token.actions.githubusercontent.com:"
    expected = {
        f"{prefix}aud": "sts.amazonaws.com",
        f"{prefix}sub": f"repo:traylorre/sentiment-pipeline:environment:{identity.github_environment}",
        f"{prefix}ref": "refs/heads/main",
    }
    if identity.workflows:
        folder = "traylorre/sentiment-pipeline/.github/workflows"
        expected[f"{prefix}job_workflow_ref"] = [f"{folder}/{file}@refs/heads/main" for file in identity.workflows]
    assert statement["Condition"] == {"StringEquals": expected}
    assert "*" not in json.dumps(statement)


def test_the_unreviewed_identities_are_pinned_to_the_files_of_their_workflows():
    assert {one.github_environment: one.workflows for one in IDENTITIES if one.workflows} == {
        "production-auto": ("deploy-prod.yml",),
        "production-rollback": ("deploy-prod.yml", "watch.yml"),
    }


def test_newer_repositories_have_their_ids_in_the_subject():
    settings = _settings("prod-foundation", githubOwnerId="11", githubRepositoryId="22")
    (statement, *_) = trust_of(identities("prod")[0], settings)["Statement"]
    assert "repo:traylorre@11/sentiment-pipeline@22:environment:production" in json.dumps(statement)


def test_every_github_environment_has_exactly_one_identity():
    assert len({one.github_environment for one in IDENTITIES}) == len(IDENTITIES)
    roles = [identity.role(names(identity.environment)) for identity in IDENTITIES]
    assert len(set(roles)) == len(roles)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("prefix", bucket.CREATE_ONLY)
def test_packages_and_ledger_can_be_made_once_and_never_changed(environment, prefix):
    arns = _arns(environment)
    policy = bucket.deployment_bucket(arns, "arn:aws:iam::1:role/admin")
    thing = arns.objects(arns.names.bucket, prefix.replace("*", "x/y"))
    base = {"aws:SecureTransport": "true", "aws:PrincipalArn": "arn:aws:iam::1:role/ci"}
    assert decision(policy, "s3:PutObject", thing, context=base) == "denied"
    assert decision(policy, "s3:PutObject", thing, context=base | {"s3:if-match": "etag"}) == "denied"
    assert decision(policy, "s3:PutObject", thing, context=base | {"s3:if-none-match": "*"}) == "not allowed"
    assert decision(policy, "s3:GetObject", thing, context=base) == "not allowed"
    assert decision(policy, "s3:GetObject", thing, context=base | {"aws:SecureTransport": "false"}) == "denied"


@pytest.mark.parametrize("key", bucket.COMPARE_AND_SWAP)
def test_head_and_lease_are_only_replaced_by_who_read_them(key):
    arns = _arns("prod")
    policy = bucket.deployment_bucket(arns, "arn:aws:iam::1:role/admin")
    thing = arns.objects(arns.names.bucket, key)
    base = {"aws:SecureTransport": "true"}
    assert decision(policy, "s3:PutObject", thing, context=base) == "denied"
    assert decision(policy, "s3:PutObject", thing, context=base | {"s3:if-match": "etag"}) == "not allowed"
    assert decision(policy, "s3:PutObject", thing, context=base | {"s3:if-none-match": "*"}) == "not allowed"


def test_only_the_administrator_deletes():
    arns, settings = _arns("prod"), _settings("prod-foundation")
    policy = bucket.deployment_bucket(arns, settings.administrator_role_arn)
    thing = arns.objects(arns.names.bucket, "ledger/entries/00000001.json")
    administrator = (
        f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/us-east-1/AWSReservedSSO_AdministratorAccess_1a2b"
    )
    others = [
        arns.of("role", arns.names.deploy_role),
        arns.of("role", "prod-sentiment-AWSReservedSSO_AdministratorAccess_x"),
        administrator.replace(ACCOUNT, "999999999999"),
    ]
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
        secure = {"aws:SecureTransport": "true"}
        assert decision(policy, action, thing, context=secure | {"aws:PrincipalArn": administrator}) == "not allowed"
        for other in others:
            assert decision(policy, action, thing, context=secure | {"aws:PrincipalArn": other}) == "denied"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_documents_fit_into_the_limits_of_aws(environment):
    arns = _arns(environment)
    for identity in identities(environment):
        settings = _settings(f"{environment}-foundation", githubOwnerId="1" * 12, githubRepositoryId="2" * 12)
        assert len(to_json(identity.rights(arns))) <= INLINE_LIMIT
        assert len(to_json(trust_of(identity, settings))) <= TRUST_LIMIT
    assert len(to_json(execution.boundary(arns))) <= MANAGED_LIMIT
    assert len(to_json(bucket.deployment_bucket(arns, "x" * 256))) <= BUCKET_LIMIT
    for stack in SERVICE_STACKS + FOUNDATION_STACKS:
        for resource in deployed(stack).of("iam/rolePolicy:RolePolicy").values():
            assert len(resource.inputs["policy"]) <= INLINE_LIMIT
        for resource in deployed(stack).of("iam/role:Role").values():
            assert len(resource.inputs["assumeRolePolicy"]) <= TRUST_LIMIT


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_execution_role_stays_inside_the_boundary(environment):
    arns = _arns(environment)
    boundary = execution.boundary(arns)
    checked = 0
    for resource in deployed(environment).of("iam/rolePolicy:RolePolicy").values():
        for statement in json.loads(resource.inputs["policy"])["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in statement["Action"]:
                assert "*" not in action
                for pattern in statement["Resource"]:
                    assert environment in pattern
                    assert decision(boundary, action, pattern) == "allowed", (action, pattern)
                    checked += 1
    assert checked > 10


def test_no_execution_role_reaches_the_other_environment():
    for environment in ENVIRONMENTS:
        arns = _arns(environment)
        for spec in FUNCTIONS:
            text = json.dumps(spec.statements(arns))
            assert arns.other.names.prefix not in text.replace(arns.names.prefix, "")
            assert f"{arns.other.names.environment}/" not in text.replace(f"{environment}/", "")


def test_every_document_has_distinct_statement_ids_without_special_characters():
    arns = _arns("prod")
    documents = [identity.rights(_arns(identity.environment)) for identity in IDENTITIES]
    documents += [execution.boundary(arns), bucket.deployment_bucket(arns, "x"), messaging.on_call_topic(arns)]
    documents += [messaging.new_items_topic(arns), messaging.dead_letters_queue(arns)]
    documents += [safety.return_traffic(arns), safety.start_way_back(arns)]
    for policy in documents:
        sids = [statement["Sid"] for statement in policy["Statement"]]
        assert len(set(sids)) == len(sids)
        assert all(sid.isalnum() for sid in sids)


def test_schedules_assume_their_role_only_for_this_account():
    (statement,) = trust.by_service("scheduler", ACCOUNT)["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_a_role_pattern_for_everyone_is_no_administrator():
    with pytest.raises(SettingError, match="not of all roles"):
        _settings("prod-foundation", administratorRoleArn=f"arn:aws:iam::{ACCOUNT}:role/*")
