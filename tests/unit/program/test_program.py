"""Whole programs: what each stack registers, from its real files."""

import json
import re
from collections import Counter

import pulumi
import pytest

from components.github_secrets import github_secrets
from components.identities import identities
from components.naming import BUDGET, TRAIL, trail_bucket
from components.service.functions import FUNCTIONS, KEYS, Trigger
from components.tags import REQUIRED
from tests.unit.program.harness import (
    CODE_SHA256,
    DIGEST,
    NEW_VERSION,
    ROOT,
    SERVICE_STACKS,
    SHA,
    STABLE,
    STACKS,
    deployed,
    hand_over,
    release,
    run,
    state_with,
)

FACTS = json.loads((ROOT / "localcloud" / "aws_provider" / "aws-facts.json").read_text())["types"]
RELEASE_INDEPENDENT = {
    "dynamodb/table:Table": 1,
    "sns/topic:Topic": 2,
    "sns/topicPolicy:TopicPolicy": 2,
    "sqs/queue:Queue": 1,
    "sqs/queuePolicy:QueuePolicy": 1,
    "iam/role:Role": len(KEYS) + 1,
    "iam/rolePolicy:RolePolicy": len(KEYS) + 1,
    "cloudwatch/logGroup:LogGroup": len(KEYS),
    "cloudwatch/dashboard:Dashboard": 1,
    "cloudwatch/metricAlarm:MetricAlarm": 1,
}
DARK = RELEASE_INDEPENDENT | {"lambda/function:Function": len(KEYS), "lambda/alias:Alias": len(KEYS)}
BY_TRIGGER = {
    Trigger.SCHEDULE: {"scheduler/schedule:Schedule": 1, "cloudwatch/metricAlarm:MetricAlarm": 2},
    Trigger.TOPIC: {
        "sns/topicSubscription:TopicSubscription": 1,
        "lambda/permission:Permission": 1,
        "cloudwatch/metricAlarm:MetricAlarm": 1,
    },
    Trigger.URL: {
        "lambda/functionUrl:FunctionUrl": 1,
        "lambda/permission:Permission": 2,
        "cloudwatch/metricAlarm:MetricAlarm": 3,
    },
}
"""What hangs on `live`, beside the one alarm about the news service."""
COMPLETE = dict(
    sum(
        (Counter(BY_TRIGGER[spec.trigger]) for spec in FUNCTIONS),
        Counter(DARK) + Counter({"lambda/alias:Alias": len(KEYS), "cloudwatch/metricAlarm:MetricAlarm": 1}),
    )
)
PRIVATE_BUCKET = {
    "s3/bucket:Bucket": 1,
    "s3/bucketVersioning:BucketVersioning": 1,
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 1,
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 1,
    "s3/bucketOwnershipControls:BucketOwnershipControls": 1,
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 1,
    "s3/bucketPolicy:BucketPolicy": 1,
}
FOUNDATION = PRIVATE_BUCKET | {
    "secretsmanager/secret:Secret": 2,
    "iam/policy:Policy": 1,
    "iam/role:Role": 2,
    "iam/rolePolicy:RolePolicy": 2,
    "sfn/stateMachine:StateMachine": 1,
}
SHARED = PRIVATE_BUCKET | {
    "iam/openIdConnectProvider:OpenIdConnectProvider": 1,
    "cloudtrail/trail:Trail": 1,
    "budgets/budget:Budget": 1,
    "index/repositoryRuleset:RepositoryRuleset": 1,
    "index/actionsRepositoryPermissions:ActionsRepositoryPermissions": 1,
    "index/workflowRepositoryPermissions:WorkflowRepositoryPermissions": 1,
    "index/actionsRepositoryOidcSubjectClaimCustomizationTemplate:"
    "ActionsRepositoryOidcSubjectClaimCustomizationTemplate": 1,
}
PER_GITHUB_ENVIRONMENT = {
    "iam/role:Role": 1,
    "iam/rolePolicy:RolePolicy": 1,
    "index/repositoryEnvironment:RepositoryEnvironment": 1,
    "index/repositoryEnvironmentDeploymentPolicy:RepositoryEnvironmentDeploymentPolicy": 1,
    "index/actionsEnvironmentVariable:ActionsEnvironmentVariable": 3,
}


def _counts(deployment):
    return dict(Counter(resource.typ.split(":", 1)[1] for resource in deployment.custom))


def _live(deployment):
    return {
        name.removesuffix("-live"): (alias.inputs["functionVersion"], alias.inputs.get("routingConfig"))
        for name, alias in deployment.of("lambda/alias:Alias").items()
        if name.endswith("-live")
    }


@pytest.mark.parametrize("stack", SERVICE_STACKS)
def test_a_confirmed_release_is_a_complete_service(stack):
    assert _counts(deployed(stack)) == COMPLETE


@pytest.mark.parametrize("stack", SERVICE_STACKS)
def test_before_the_first_release_there_is_nothing_that_needs_code(stack):
    deployment = run(stack)
    assert _counts(deployment) == RELEASE_INDEPENDENT
    assert deployment.record is None
    assert set(deployment.exports) >= {"items_table", "new_items_topic", "on_call_topic", "alarms"}
    assert not {"release", "stable", "dashboard_url"} & set(deployment.exports)
    assert deployment.exports["functions"] == deployment.exports["live"] == {}


@pytest.mark.parametrize(("stack", "shared"), [("preprod-foundation", {}), ("prod-foundation", SHARED)])
def test_a_foundation_is_bucket_secrets_identities_safety_net_and_environments(stack, shared):
    own = identities(stack.removesuffix("-foundation"))
    secrets = github_secrets(stack.removesuffix("-foundation")).of_program
    expected = Counter(FOUNDATION)
    expected.update({key: number * len(own) for key, number in PER_GITHUB_ENVIRONMENT.items()})
    expected["index/actionsEnvironmentSecret:ActionsEnvironmentSecret"] = len(secrets) * sum(one.secrets for one in own)
    expected.update(shared)
    assert _counts(deployed(stack)) == dict(expected)


def test_the_first_release_is_dark_without_live_and_what_hangs_on_it():
    deployment = run("prod", release=hand_over("prod", 0, stable={}))
    assert _counts(deployment) == DARK
    assert deployment.record == {"release": release("prod"), "stable": {}}
    assert deployment.exports["live"] == {}
    assert deployment.exports["candidate"] == dict.fromkeys(STABLE, NEW_VERSION)


@pytest.mark.parametrize(
    ("traffic", "confirmed", "live", "stable"),
    [
        (0, False, {key: (version, None) for key, version in STABLE.items()}, STABLE),
        (
            10,
            False,
            {key: (version, None) for key, version in STABLE.items()}
            | {"dashboard": (STABLE["dashboard"], {"additionalVersionWeights": {NEW_VERSION: 0.1}})},
            STABLE,
        ),
        (100, False, dict.fromkeys(STABLE, (NEW_VERSION, None)), STABLE),
        (100, True, dict.fromkeys(STABLE, (NEW_VERSION, None)), dict.fromkeys(STABLE, NEW_VERSION)),
    ],
)
def test_live_and_record_follow_the_hand_over(traffic, confirmed, live, stable):
    deployment = run("prod", release=hand_over("prod", traffic, confirmed=confirmed))
    assert _live(deployment) == live
    assert deployment.record == {"release": release("prod"), "stable": stable}
    assert deployment.exports["stable"] == stable
    assert deployment.exports["release"] == release("prod")
    assert deployment.exports["live"] == {key: version for key, (version, _) in live.items()}
    assert _counts(deployment) == COMPLETE


def test_a_version_never_shares_traffic_with_itself():
    deployment = run("prod", release=hand_over("prod", 10), new_version="5")
    assert _live(deployment)["dashboard"] == ("5", None)
    deployment = run("prod", release=hand_over("prod", 10), new_version="6")
    assert _live(deployment)["dashboard"] == ("5", {"additionalVersionWeights": {"6": 0.1}})


def test_a_plain_up_takes_traffic_off_the_candidate_and_changes_nothing_else():
    record = {"release": release("prod"), "stable": STABLE}
    plain = run("prod", state=state_with(record, 3))
    canary = run("prod", release=hand_over("prod", 10), state=state_with(record, 3))
    assert _live(plain) == {key: (version, None) for key, version in STABLE.items()}
    assert plain.record == record
    same = {resource.urn: resource.inputs for resource in canary.custom if not resource.name.endswith("-live")}
    assert {resource.urn: resource.inputs for resource in plain.custom if not resource.name.endswith("-live")} == same


def test_functions_without_a_record_stop_the_program_before_it_registers_anything():
    with pytest.raises(pulumi.RunError, match="no record"):
        run("prod", state=state_with(None, 3))


def test_a_hand_over_wins_over_the_record():
    record = {"release": release("prod", sha="f" * 40), "stable": {"dashboard": "1"}}
    deployment = run("prod", release=hand_over("prod"), state=state_with(record, 3))
    assert deployment.record["release"]["sha"] == SHA


def test_a_stack_file_under_another_stacks_name_stops_the_program():
    with pytest.raises(pulumi.RunError, match="what fits the stack's name"):
        run("prod", environment="preprod")


@pytest.mark.parametrize("stack", STACKS)
def test_no_cloud_is_asked_while_the_program_runs(stack):
    expected = {
        "preprod": {"pulumi:pulumi:readStackResourceOutputs"},
        "prod": {"pulumi:pulumi:readStackResourceOutputs"},
        "preprod-foundation": set(),
        # GitHub wants the reviewer's id; only an administrator runs this stack.
        "prod-foundation": {"github:index/getUser:getUser"},
    }
    assert set(deployed(stack).invokes) == expected[stack]


@pytest.mark.parametrize("stack", SERVICE_STACKS)
def test_ci_never_loads_the_github_provider(stack):
    assert {resource.typ.split(":")[0] for resource in deployed(stack).custom} == {"aws"}


@pytest.mark.parametrize("stack", STACKS)
def test_every_taggable_resource_carries_the_tags(stack):
    taggable = [
        resource for resource in deployed(stack).custom if "tags" in FACTS.get(resource.typ, {}).get("properties", {})
    ]
    assert len(taggable) >= 5
    for resource in taggable:
        tags = resource.inputs.get("tags", {})
        assert set(REQUIRED) <= set(tags), resource.urn
        assert tags["Environment"] == stack.removesuffix("-foundation")


def _unknown(properties, inputs, path, also=()):
    """Paths of inputs that AWS's provider does not declare. Pulumi's names of nested blocks may lack the plural."""
    for key, value in inputs.items():
        if key in also:
            continue
        declared = properties.get(key) or properties.get(f"{key}s")
        if declared is None or (declared.get("computed") and not declared.get("optional")):
            yield f"{path}.{key}"
            continue
        nested = declared.get("properties")
        for one in value if isinstance(value, list) else [value]:
            if nested and isinstance(one, dict):
                yield from _unknown(nested, one, f"{path}.{key}")


@pytest.mark.parametrize("stack", STACKS)
def test_every_input_is_one_that_the_provider_takes(stack):
    checked = 0
    for resource in deployed(stack).custom:
        if not resource.typ.startswith("aws:"):
            continue
        facts = FACTS[resource.typ]
        also = facts.get("since6") or []
        assert not list(_unknown(facts["properties"], resource.inputs, resource.urn, also))
        required = {key for key, declared in facts["properties"].items() if declared.get("required")}
        assert required <= set(resource.inputs), resource.urn
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("stack", STACKS)
def test_every_physical_name_is_fixed_and_begins_with_the_environment(stack):
    environment = stack.removesuffix("-foundation")
    inline = {"aws:iam/rolePolicy:RolePolicy", "aws:lambda/alias:Alias"}
    of_the_account = {TRAIL, BUDGET, trail_bucket("123456789012")}
    for resource in deployed(stack).custom:
        name = resource.inputs.get("name") or resource.inputs.get("bucket")
        if resource.typ.startswith("aws:") and resource.typ not in inline and name and name not in of_the_account:
            assert re.match(rf"(/aws/lambda/)?{environment}[-/]sentiment", name), resource.urn


def shape(environment, stack):
    """Inputs of every resource by its place in the stack, without what names the environment."""

    def neutral(text):
        for said, instead in (("-sentiment", "E-sentiment"), ("/", "E/"), ('"', 'E"'), (" ", "E ")):
            text = text.replace(f"{environment}{said}", instead)
        return text

    return {
        resource.urn.split("::", 2)[2]: neutral(json.dumps(resource.inputs, sort_keys=True, default=str))
        for resource in deployed(stack).resources
    }


def test_the_two_services_differ_only_in_protection_and_log_retention():
    preprod, prod = shape("preprod", "preprod"), shape("prod", "prod")
    intended = {"protected against deletion": '"deletionProtectionEnabled": ', "logs kept": '"retentionInDays": '}
    differing = {place for place in preprod.keys() | prod.keys() if preprod.get(place) != prod.get(place)}
    assert {place.rsplit("$", 1)[-1].split("::")[0] for place in differing} == {
        "aws:dynamodb/table:Table",
        "aws:cloudwatch/logGroup:LogGroup",
    }
    for place in differing:
        values = [
            [re.sub(rf"({re.escape(key)})[^,}}]+", r"\1*", one[place]) for key in intended.values()]
            for one in (preprod, prod)
        ]
        assert any(mine == theirs for mine, theirs in zip(*values, strict=True)), place


def test_the_two_foundations_differ_only_in_their_identities_and_in_what_prod_owns_for_both():
    def without_identities(environment):
        """Neither the roles nor the GitHub environments of the table, nor what is below the component Shared."""
        mine = tuple(f"{one.github_environment}" for one in identities(environment))
        stack = f"{environment}-foundation"
        shared = {"sentiment:shared", "trail", "monthly", "github"}
        return {
            place: inputs
            for place, inputs in shape(environment, stack).items()
            if not place.rsplit("::", 1)[-1].startswith(mine)
            and "sentiment:shared:" not in place
            and not (environment == "prod" and place.rsplit("::", 1)[-1] in shared)
        }

    assert without_identities("preprod") == without_identities("prod")


@pytest.mark.parametrize(
    ("stack", "protected"),
    [
        ("preprod", set()),
        ("prod", {"aws:dynamodb/table:Table"}),
        ("preprod-foundation", set()),
        (
            "prod-foundation",
            {
                "aws:s3/bucket:Bucket",
                "aws:secretsmanager/secret:Secret",
                "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
                "aws:cloudtrail/trail:Trail",
            },
        ),
    ],
)
def test_data_is_protected_in_prod(stack, protected):
    assert {resource.typ for resource in deployed(stack).resources if resource.protect} == protected


def test_a_function_runs_the_object_version_that_was_handed_over():
    function = deployed("prod").one("lambda/function:Function", "dashboard")
    assert function["s3Bucket"] == "prod-sentiment-lambda-deployments"
    assert function["s3Key"] == f"packages/{DIGEST}/dashboard-{SHA}.zip"
    assert function["s3ObjectVersion"] == "dashboard-object-version"
    assert function["sourceCodeHash"] == CODE_SHA256
    assert function["publish"] is True
    assert (function["runtime"], function["architectures"]) == ("python3.11", ["x86_64"])
    assert "code" not in function


@pytest.mark.parametrize(
    ("function", "own"),
    [
        (
            "ingestion",
            {
                "NEW_ITEMS_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:prod-sentiment-new-items",
                "NEWS_ENDPOINT": "https://newsapi.org/v2/everything",
                "NEWS_SECRET": "prod/sentiment-analyzer/newsapi",
                "WATCH_TAGS": "markets,technology",
            },
        ),
        ("analysis", {}),
        ("dashboard", {"DASHBOARD_KEY_SECRET": "prod/sentiment-analyzer/dashboard-api-key"}),
    ],
)
def test_a_function_is_told_what_the_contract_says(function, own):
    everyone = {
        "ENVIRONMENT": "prod",
        "RELEASE_SHA": SHA,
        "RELEASE_DIGEST": DIGEST,
        "ITEMS_TABLE": "prod-sentiment-items",
    }
    assert deployed("prod").one("lambda/function:Function", function)["environment"]["variables"] == everyone | own


def test_every_caller_is_bound_to_live():
    deployment = deployed("prod")
    live = "arn:aws:lambda:us-east-1:123456789012:function:prod-sentiment-{}:live"
    schedule = deployment.one("scheduler/schedule:Schedule", "ingestion-schedule")
    assert schedule["target"]["arn"] == live.format("ingestion")
    assert deployment.one("sns/topicSubscription:TopicSubscription", "analysis-topic")["endpoint"] == live.format(
        "analysis"
    )
    assert deployment.one("lambda/functionUrl:FunctionUrl", "dashboard-url")["qualifier"] == "live"
    permissions = deployment.of("lambda/permission:Permission").values()
    assert {permission.inputs["qualifier"] for permission in permissions} == {"live"}


def test_the_url_has_both_permissions_that_it_needs():
    permissions = {
        resource.inputs["action"]: resource.inputs
        for name, resource in deployed("prod").of("lambda/permission:Permission").items()
        if name.startswith("dashboard")
    }
    assert permissions["lambda:InvokeFunctionUrl"]["functionUrlAuthType"] == "NONE"
    assert permissions["lambda:InvokeFunction"]["invokedViaFunctionUrl"] is True
    assert all(inputs["principal"] == "*" for inputs in permissions.values())


def test_what_fails_asynchronously_is_kept():
    deployment = deployed("prod")
    functions = deployment.of("lambda/function:Function")
    queue = "arn:aws:sqs:us-east-1:123456789012:prod-sentiment-dead-letters"
    kept = {name: resource.inputs.get("deadLetterConfig") for name, resource in functions.items()}
    assert kept == {spec.key: None if spec.trigger is Trigger.URL else {"targetArn": queue} for spec in FUNCTIONS}
    subscription = deployment.one("sns/topicSubscription:TopicSubscription", "analysis-topic")
    assert json.loads(subscription["redrivePolicy"]) == {"deadLetterTargetArn": queue}


def test_the_items_table_has_the_keys_and_indexes_of_the_contract():
    table = deployed("prod").one("dynamodb/table:Table", "items")
    assert (table["hashKey"], table["rangeKey"]) == ("source_id", "timestamp")
    indexes = {index["name"]: (index["hashKey"], index["rangeKey"]) for index in table["globalSecondaryIndexes"]}
    assert indexes == {
        "by_sentiment": ("sentiment", "timestamp"),
        "by_tag": ("tag", "timestamp"),
        "by_status": ("status", "timestamp"),
    }
    assert {one["name"] for one in table["attributes"]} == {"source_id", "timestamp", "sentiment", "tag", "status"}
    assert table["ttl"] == {"attributeName": "expires_at", "enabled": True}
    assert table["pointInTimeRecovery"] == table["serverSideEncryption"] == {"enabled": True}


def test_nothing_current_in_the_deployment_bucket_ever_expires():
    rules = deployed("prod-foundation").one("BucketLifecycleConfiguration", "deployments")["rules"]
    assert len(rules) == 1
    assert set(rules[0]) == {
        "id",
        "status",
        "filter",
        "noncurrentVersionExpiration",
        "abortIncompleteMultipartUpload",
    }


def test_secrets_are_containers_without_values():
    for stack in STACKS:
        assert not deployed(stack).of("SecretVersion")


def test_children_belong_to_components_and_only_components_to_the_stack():
    for stack in STACKS:
        for resource in deployed(stack).custom:
            assert "sentiment:" in resource.parent, resource.urn


@pytest.mark.parametrize("stack", SERVICE_STACKS)
def test_a_function_url_is_made_after_the_permissions_that_let_callers_in(stack):
    deployment = deployed(stack)
    (url,) = deployment.of("lambda/functionUrl:FunctionUrl").values()
    permissions = deployment.of("lambda/permission:Permission")
    opening = {permissions[name].urn for name in (url.name, f"{url.name}-invoke")}
    assert opening <= set(url.dependencies)
