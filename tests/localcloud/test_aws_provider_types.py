"""Every resource type of the AWS provider stand-in, made, read, changed and deleted over gRPC against a real moto."""

import base64
import hashlib
import io
import json
import zipfile

import pytest

from components import way_back
from localcloud.aws_provider.registry import RESOURCE_TYPES
from localcloud.aws_provider.values import UNKNOWN
from tests.localcloud.aws_plugin import changed, environment, running_plugin
from tests.localcloud.parts import client, running_part

ACCOUNT = "123456789012"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": [f"{one}.amazonaws.com" for one in ("lambda", "scheduler", "states")]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


WAY_BACK = json.dumps(way_back.definition())


def policy(action: str, resource: str, **more) -> str:
    statement = {"Sid": "it", "Effect": "Allow", "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("handler.py", f"def handle(event, context):\n    return {text!r}\n")
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with running_part("aws", tmp_path_factory.mktemp("moto") / "log", LOCALCLOUD_PARENT_WATCH="1") as url:
        yield url


@pytest.fixture(scope="module")
def plugin(moto):
    with running_plugin(environment(moto)) as running:
        running.configure(region="us-east-1", allowedAccountIds=f'["{ACCOUNT}"]', s3UsePathStyle="true")
        yield running


@pytest.fixture(scope="module")
def account(moto):
    """What the types below refer to: a bucket with two packages, a role, a topic, a queue, a function."""
    s3 = client("s3", moto)
    s3.create_bucket(Bucket="packages")
    s3.put_bucket_versioning(Bucket="packages", VersioningConfiguration={"Status": "Enabled"})
    packages = {}
    for name in ("one", "two"):
        data = zipped(name)
        version = s3.put_object(Bucket="packages", Key=f"{name}.zip", Body=data)["VersionId"]
        packages[name] = {
            "s3Bucket": "packages",
            "s3Key": f"{name}.zip",
            "s3ObjectVersion": version,
            "sourceCodeHash": digest(data),
        }
    s3.create_bucket(Bucket="plain")
    role = client("iam", moto).create_role(RoleName="shared-exec", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    topic = client("sns", moto).create_topic(Name="shared")["TopicArn"]
    queue = client("sqs", moto).create_queue(QueueName="shared")["QueueUrl"]
    lambdas = client("lambda", moto)
    function = lambdas.create_function(
        FunctionName="shared",
        Role=role,
        Code={"S3Bucket": "packages", "S3Key": "one.zip"},
        Handler="handler.handle",
        Runtime="python3.11",
        Publish=True,
    )
    lambdas.update_function_code(FunctionName="shared", S3Bucket="packages", S3Key="two.zip")
    lambdas.publish_version(FunctionName="shared")
    lambdas.create_alias(FunctionName="shared", Name="live", FunctionVersion="1")
    managed = client("iam", moto).create_policy(PolicyName="shared", PolicyDocument=policy("s3:GetObject", "*"))
    return {
        "packages": packages,
        "role": role,
        "topic": topic,
        "queue": queue,
        "queue_arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:shared",
        "function": function["FunctionArn"].removesuffix(":1"),
        "policy": managed["Policy"]["Arn"],
    }


def covers(actual, expected) -> bool:
    """Whether `actual` has all that `expected` says; unknown values say nothing."""
    if expected is UNKNOWN:
        return True
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(covers(actual.get(key), value) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(actual) == len(expected) and all(map(covers, actual, expected))
    return actual == expected


def case(token, inputs, change, resource_id):
    """A type, inputs to make it with, inputs to change (None: nothing changes in place), and the id it must get."""
    return pytest.param((token, inputs, change, resource_id), id=token.rpartition(":")[2] + token[3:].partition("/")[0])


BUCKET = {"bucket": "plain"}
CASES = [
    case(
        "aws:dynamodb/table:Table",
        lambda a: {
            "name": "preprod-items",
            "hashKey": "source_id",
            "rangeKey": "timestamp",
            "billingMode": "PAY_PER_REQUEST",
            "attributes": [{"name": name, "type": "S"} for name in ("timestamp", "source_id", "status", "tag")],
            "globalSecondaryIndexes": [
                {"name": "by_tag", "hashKey": "tag", "rangeKey": "timestamp", "projectionType": "ALL"},
                {
                    "name": "by_status",
                    "hashKey": "status",
                    "rangeKey": "timestamp",
                    "projectionType": "INCLUDE",
                    "nonKeyAttributes": ["title", "score"],
                },
            ],
            "ttl": {"attributeName": "expires", "enabled": True},
            "pointInTimeRecovery": {"enabled": True},
            "serverSideEncryption": {"enabled": True},
            "tags": {"owner": "us"},
        },
        {"pointInTimeRecovery": {"enabled": False}, "tags": {}},
        "preprod-items",
    ),
    case(
        "aws:sfn/stateMachine:StateMachine",
        lambda a: {"name": "way-back", "definition": WAY_BACK, "roleArn": a["role"], "tags": {"owner": "us"}},
        {"definition": WAY_BACK.replace('"MaxAttempts": 10', '"MaxAttempts": 3'), "tags": {"Project": "p"}},
        f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:way-back",
    ),
    case(
        "aws:sns/topic:Topic", lambda a: {"name": "on-call", "displayName": "On call"}, {"displayName": "Pager"}, None
    ),
    case(
        "aws:sns/topicPolicy:TopicPolicy",
        lambda a: {"arn": a["topic"], "policy": policy("sns:Publish", a["topic"], Principal={"AWS": "*"})},
        {"policy": policy("sns:Subscribe", "*", Principal={"AWS": "*"})},
        lambda a: a["topic"],
    ),
    case(
        "aws:sns/topicSubscription:TopicSubscription",
        lambda a: {
            "topic": a["topic"],
            "protocol": "sqs",
            "endpoint": a["queue_arn"],
            "redrivePolicy": json.dumps({"deadLetterTargetArn": a["queue_arn"]}),
        },
        {"rawMessageDelivery": True},
        None,
    ),
    case(
        "aws:sqs/queue:Queue",
        lambda a: {
            "name": "preprod-dead-letters",
            "messageRetentionSeconds": 1209600,
            "redrivePolicy": json.dumps({"deadLetterTargetArn": a["queue_arn"], "maxReceiveCount": 3}),
        },
        {"visibilityTimeoutSeconds": 60},
        None,
    ),
    case(
        "aws:sqs/queuePolicy:QueuePolicy",
        lambda a: {
            "queueUrl": a["queue"],
            "policy": policy("sqs:SendMessage", a["queue_arn"], Principal={"Service": "sns.amazonaws.com"}),
        },
        {"policy": policy("sqs:*", "*", Principal="*")},
        lambda a: a["queue"],
    ),
    case(
        "aws:lambda/function:Function",
        lambda a: {
            "name": "preprod-ingestion",
            "role": a["role"],
            "handler": "handler.handle",
            "runtime": "python3.11",
            "publish": True,
            "environment": {"variables": {"ENVIRONMENT": "preprod"}},
            "tags": {"owner": "us"},
            **a["packages"]["one"],
        },
        {"memorySize": 256},
        "preprod-ingestion",
    ),
    case(
        "aws:lambda/alias:Alias",
        lambda a: {"name": "candidate", "functionName": "shared", "functionVersion": "1"},
        {"functionVersion": "2", "routingConfig": {"additionalVersionWeights": {"1": 0.1}}},
        lambda a: f"{a['function']}:candidate",
    ),
    case(
        "aws:lambda/functionUrl:FunctionUrl",
        lambda a: {"functionName": "shared", "qualifier": "live", "authorizationType": "NONE"},
        {"authorizationType": "AWS_IAM"},
        "shared/live",
    ),
    case(
        "aws:lambda/permission:Permission",
        lambda a: {
            "function": "shared",
            "qualifier": "live",
            "statementId": "from-topic",
            "action": "lambda:InvokeFunction",
            "principal": "sns.amazonaws.com",
            "sourceArn": a["topic"],
        },
        None,
        "from-topic",
    ),
    case(
        "aws:scheduler/schedule:Schedule",
        lambda a: {
            "name": "preprod-ingestion",
            "scheduleExpression": "rate(5 minutes)",
            "flexibleTimeWindow": {"mode": "OFF"},
            "target": {"arn": a["function"], "roleArn": a["role"], "input": json.dumps({"tags": []})},
        },
        {"state": "DISABLED"},
        "default/preprod-ingestion",
    ),
    case(
        "aws:cloudwatch/logGroup:LogGroup",
        lambda a: {"name": "/aws/lambda/preprod-ingestion", "retentionInDays": 30},
        {"retentionInDays": 7},
        "/aws/lambda/preprod-ingestion",
    ),
    case(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        lambda a: {
            "name": "preprod-ingestion-errors",
            "comparisonOperator": "GreaterThanOrEqualToThreshold",
            "evaluationPeriods": 5,
            "datapointsToAlarm": 2,
            "metricName": "Errors",
            "namespace": "AWS/Lambda",
            "period": 60,
            "statistic": "Sum",
            "threshold": 1,
            "dimensions": {"Resource": "f:live", "FunctionName": "f"},
            "alarmActions": [a["topic"]],
            "okActions": [a["topic"]],
            "treatMissingData": "notBreaching",
        },
        {
            "threshold": 2.5,
            "actionsEnabled": False,
            # From one metric to an expression over two.
            **dict.fromkeys(("metricName", "namespace", "period", "statistic", "dimensions")),
            "metricQueries": [
                {"id": "share", "expression": "100 * errors / calls", "label": "share", "returnData": True},
                *(
                    {
                        "id": name,
                        "metric": {
                            "metricName": counted,
                            "namespace": "AWS/Lambda",
                            "dimensions": {"Resource": "f:live", "FunctionName": "f"},
                            "period": 60,
                            "stat": "Sum",
                        },
                        "returnData": False,
                    }
                    for name, counted in (("errors", "Errors"), ("calls", "Invocations"))
                ),
            ],
        },
        "preprod-ingestion-errors",
    ),
    case(
        "aws:cloudwatch/dashboard:Dashboard",
        lambda a: {"dashboardName": "preprod", "dashboardBody": json.dumps({"widgets": []})},
        {"dashboardBody": json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "hi"}}]})},
        "preprod",
    ),
    case(
        "aws:iam/role:Role",
        lambda a: {
            "name": "preprod-ingestion-exec",
            "assumeRolePolicy": TRUST,
            "description": "runs ingestion",
            "permissionsBoundary": a["policy"],
        },
        {"maxSessionDuration": 7200, "permissionsBoundary": None},
        "preprod-ingestion-exec",
    ),
    case(
        "aws:iam/rolePolicy:RolePolicy",
        lambda a: {"name": "items", "role": "shared-exec", "policy": policy("dynamodb:GetItem", "*")},
        {"policy": policy("dynamodb:PutItem", "*")},
        "shared-exec:items",
    ),
    case(
        "aws:iam/policy:Policy",
        lambda a: {"name": "boundary", "policy": policy("s3:GetObject", "*"), "tags": {"owner": "us"}},
        {"policy": policy("s3:PutObject", "*")},
        f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    ),
    case(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        lambda a: {
            "url": "https://token.actions.githubusercontent.com",
            "clientIdLists": ["sts.amazonaws.com"],
            "thumbprintLists": ["6938fd4d98bab03faadb97b34396831e3780aea1"],
        },
        {"thumbprintLists": ["1c58a3a8518e8759bf075b76b750d4f2df264fcd"]},
        f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
    ),
    case(
        "aws:s3/bucket:Bucket", lambda a: {"bucket": "preprod-deployments"}, {"tags": {"x": "y"}}, "preprod-deployments"
    ),
    case(
        "aws:s3/bucketVersioning:BucketVersioning",
        lambda a: {**BUCKET, "versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
        "plain",
    ),
    case(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        lambda a: {**BUCKET, "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}, "bucketKeyEnabled": True}]},
        "plain",
    ),
    case(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        lambda a: {**BUCKET, "blockPublicAcls": True, "blockPublicPolicy": True},
        {"ignorePublicAcls": True},
        "plain",
    ),
    case(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        lambda a: {**BUCKET, "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        "plain",
    ),
    case(
        "aws:s3/bucketPolicy:BucketPolicy",
        lambda a: {**BUCKET, "policy": policy("s3:GetObject", "arn:aws:s3:::plain/*", Principal={"AWS": ACCOUNT})},
        {"policy": policy("s3:ListBucket", "arn:aws:s3:::plain", Principal={"AWS": ACCOUNT})},
        "plain",
    ),
    case(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        lambda a: {
            **BUCKET,
            "rules": [
                {
                    "id": "old",
                    "status": "Enabled",
                    "filter": {"prefix": "packages/"},
                    "noncurrentVersionExpiration": {"noncurrentDays": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 3},
                },
                {"id": "tmp", "status": "Enabled", "expiration": {"days": 1}},
            ],
        },
        {"rules": [{"id": "old", "status": "Disabled", "expiration": {"days": 9}}]},
        "plain",
    ),
    case(
        "aws:secretsmanager/secret:Secret",
        lambda a: {"name": "preprod/newsapi", "description": "key", "recoveryWindowInDays": 7},
        {"description": "the key", "tags": {"a": "b"}},
        None,
    ),
    case(
        "aws:cloudtrail/trail:Trail",
        lambda a: {
            "name": "audit",
            "s3BucketName": "plain",
            "isMultiRegionTrail": True,
            "enableLogFileValidation": True,
            "eventSelectors": [
                {"readWriteType": "All", "includeManagementEvents": True},
                {
                    "readWriteType": "WriteOnly",
                    "includeManagementEvents": False,
                    "dataResources": [{"type": "AWS::S3::Object", "values": ["arn:aws:s3:::packages/"]}],
                },
            ],
            "tags": {"a": "b"},
        },
        {"enableLogging": False, "enableLogFileValidation": False, "eventSelectors": None, "tags": {"c": "d"}},
        f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/audit",
    ),
    case(
        "aws:budgets/budget:Budget",
        lambda a: {
            "name": "preprod",
            "budgetType": "COST",
            "limitAmount": "10",
            "limitUnit": "USD",
            "timeUnit": "MONTHLY",
            "notifications": [
                {
                    "comparisonOperator": "GREATER_THAN",
                    "notificationType": "ACTUAL",
                    "threshold": 80,
                    "thresholdType": "PERCENTAGE",
                    "subscriberEmailAddresses": ["ops@example.org"],
                },
                {
                    "comparisonOperator": "GREATER_THAN",
                    "notificationType": "FORECASTED",
                    "threshold": 100,
                    "thresholdType": "PERCENTAGE",
                    "subscriberSnsTopicArns": [a["topic"]],
                },
            ],
        },
        {"limitAmount": "20", "tags": {"Project": "p"}},
        f"{ACCOUNT}:preprod",
    ),
]


def test_there_is_a_case_for_every_type():
    assert {parameters.values[0][0] for parameters in CASES} == set(RESOURCE_TYPES)


@pytest.mark.parametrize("case", CASES)
def test_a_resource_lives_from_preview_to_deletion(plugin, account, case):
    token, make, change, resource_id = case
    inputs = make(account)
    declared = RESOURCE_TYPES[token].properties

    checked, failures = plugin.check(token, inputs)
    assert failures == {}
    assert {key: checked[key] for key in inputs} == inputs

    _, preview = plugin.create(token, checked, preview=True)
    assert covers(preview, inputs)

    made, state = plugin.create(token, checked)
    expected = resource_id(account) if callable(resource_id) else resource_id
    assert made == expected or (expected is None and made)
    assert covers(state, preview), "the preview foretold something else"
    assert set(state) <= set(declared)

    assert changed(plugin.diff(token, made, state, checked)) == [], "the same inputs must be no change"
    found, refreshed, derived = plugin.read(token, made, state, checked)
    assert (found, refreshed, derived) == (made, state, checked), "a refresh with no drift must change nothing"

    if change:
        wanted = {**checked, **change}
        answer = plugin.diff(token, made, state, wanted)
        assert changed(answer)
        assert not answer.replaces
        updated = plugin.update(token, made, state, wanted)
        assert changed(plugin.diff(token, made, updated, wanted)) == []
        found, refreshed, derived = plugin.read(token, made, state, checked)
        assert changed(plugin.diff(token, made, refreshed, checked)), "a refresh must see what was changed behind it"
        assert derived != checked
        state = plugin.update(token, made, refreshed, checked)
        assert changed(plugin.diff(token, made, state, checked)) == [], "and the next update must undo it"

    plugin.delete(token, made, state)
    # Versioning cannot be unset, only suspended; moto answers 500 for a bucket whose rules were removed.
    if not token.endswith((":BucketVersioning", ":BucketLifecycleConfiguration")):
        assert plugin.read(token, made, state, checked)[0] == ""
    plugin.delete(token, made, state)


def test_a_budget_is_changed_in_place_and_its_tags_are_sent(plugin, moto):
    token, budgets = "aws:budgets/budget:Budget", client("budgets", moto)
    inputs = {
        "name": "tagged",
        "budgetType": "COST",
        "limitAmount": "10",
        "limitUnit": "USD",
        "timeUnit": "MONTHLY",
        "notifications": [
            {
                "comparisonOperator": "GREATER_THAN",
                "notificationType": "ACTUAL",
                "threshold": 80,
                "thresholdType": "PERCENTAGE",
                "subscriberEmailAddresses": ["ops@example.org"],
            }
        ],
        "tags": {"Project": "p", "Part": "shared"},
    }
    made, state = plugin.create(token, inputs)

    def tags():
        listed = budgets.list_tags_for_resource(ResourceARN=state["arn"])["ResourceTags"]
        return {one["Key"]: one["Value"] for one in listed}

    assert tags() == state["tagsAll"] == inputs["tags"]
    budgets.untag_resource(ResourceARN=state["arn"], ResourceTagKeys=["Part"])
    assert plugin.read(token, made, state, inputs)[1]["tagsAll"] == {"Project": "p"}
    later = inputs | {
        "limitAmount": "20",
        "tags": {"Project": "q"},
        "notifications": [inputs["notifications"][0] | {"threshold": 90}],
    }
    state = plugin.update(token, made, state, later)
    assert tags() == {"Project": "q"}
    assert [one["threshold"] for one in state["notifications"]] == [90]
    assert state["limitAmount"] == "20"
    plugin.delete(token, made, state)


def test_outputs_are_those_that_the_real_provider_was_seen_to_give(plugin):
    def outputs(token, **inputs):
        checked, failures = plugin.check(token, inputs)
        assert failures == {}
        made, state = plugin.create(token, checked)
        plugin.delete(token, made, state)
        return state

    assert outputs("aws:sqs/queue:Queue", name="q")["kmsDataKeyReusePeriodSeconds"] == 300
    table = outputs(
        "aws:dynamodb/table:Table",
        name="encrypted",
        billingMode="PAY_PER_REQUEST",
        hashKey="id",
        attributes=[{"name": "id", "type": "S"}],
        serverSideEncryption={"enabled": True},
    )
    assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": ""}
