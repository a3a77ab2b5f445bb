"""AWS's habits on the local cloud: one test for each row of the table, which fails when the habit is gone."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
from botocore.exceptions import ClientError

from tests.localcloud.aws_plugin import environment, running_plugin
from tests.localcloud.lambdas_cloud import Cloud, Service, moto_url, zipped
from tests.localcloud.parts import client, running_part, wait_until
from tests.localcloud.test_lambdas_telemetry import value

FAIL = "def handle(event, context):\n    raise ValueError('on purpose')\n"
SLEEP = "import time\ndef handle(event, context):\n    time.sleep(event.get('s', 0))\n    return {'statusCode': 200}\n"
PERMISSIONS = (
    {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
    {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
)


@contextmanager
def cloud_with(habits: str, clock: str = "x4", aws: str = ""):
    """A Lambda service with these habits, on a plain moto unless `aws` says where."""
    service = Service(aws or moto_url(), LOCALCLOUD_HABITS=habits, LOCALCLOUD_CLOCK=clock)
    try:
        yield Cloud(aws or moto_url(), service)
    finally:
        service.stop()


@contextmanager
def aws_with(habits: str, clock: str, folder):
    with running_part("aws", folder / "aws.log", LOCALCLOUD_HABITS=habits, LOCALCLOUD_CLOCK=clock) as url:
        yield url


def refusal(call, *arguments, **more) -> str:
    """What AWS says to a call that it refuses; empty when it takes it."""
    try:
        call(*arguments, **more)
    except ClientError as error:
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return ""


def took(call, *arguments, **more) -> float:
    began = time.monotonic()
    call(*arguments, **more)
    return time.monotonic() - began


def until(call, wanted, seconds: float) -> float:
    """Seconds until a call answers what is wanted; it must first answer something else."""
    began = time.monotonic()
    assert call() != wanted, "it acts at once"
    wait_until(lambda: call() == wanted, seconds, lambda: f"still {call()}")
    return time.monotonic() - began


def public_url(cloud: Cloud, name: str) -> str:
    url = cloud.lambdas.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    for number, permission in enumerate(PERMISSIONS):
        cloud.lambdas.add_permission(FunctionName=name, StatementId=f"s{number}", Principal="*", **permission)
    return url


def status(url: str) -> int:
    return httpx.get(url, timeout=30).status_code


def test_late_metrics(tmp_path):
    with (
        aws_with("", "x60", tmp_path) as aws,
        running_part("alarms", tmp_path / "alarms.log", **environment(aws, LOCALCLOUD_CLOCK="x60")),
        cloud_with("late-metrics", "x60", aws) as cloud,
    ):
        name = cloud.make(FAIL)
        cloudwatch = cloud.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/Lambda",
            MetricName="Errors",
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
        )

        def errors():
            cloud.flush()
            return value(cloud, "Errors", FunctionName=name)

        def state():
            return cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]

        cloud.invoke(name)
        began = time.monotonic()
        assert 0.9 < until(errors, 1, 10) < 6  # 60 to 180 seconds of the clock, and a busy machine
        wait_until(lambda: state() == "ALARM", 10)
        assert time.monotonic() - began > 0.9
        for _ in range(20):
            cloud.invoke(name)
        seen = wait_until(lambda: (found := errors()) > 1 and found, 10)
        assert seen < 21, "each invocation has a delay of its own"
        wait_until(lambda: errors() == 21, 10)


def test_weighted_counts():
    with cloud_with("weighted-counts") as cloud:
        name = cloud.make()
        cloud.update(name, FAIL)
        cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        of_one = {"FunctionName": name, "Resource": f"{name}:live", "ExecutedVersion": "1"}
        cloud.invoke(name, Qualifier="live")
        cloud.flush()
        assert value(cloud, "Invocations", FunctionName=name, Resource=f"{name}:live") == 1
        assert value(cloud, "Invocations", **of_one) is None
        weights = {"AdditionalVersionWeights": {"2": 0.0}}
        cloud.lambdas.update_alias(FunctionName=name, Name="live", RoutingConfig=weights)
        cloud.invoke(name, Qualifier="live")
        cloud.flush()
        assert value(cloud, "Invocations", **of_one) == 1


def test_slow_rights(tmp_path):
    with aws_with("slow-rights", "x4", tmp_path) as aws, cloud_with("slow-rights", "x4", aws) as cloud:
        code, settings = {"ZipFile": zipped(SLEEP)}, {"Runtime": "python3.11", "Handler": "handler.handle"}

        def create():
            return refusal(cloud.lambdas.create_function, FunctionName="fn", Code=code, Role=cloud.role, **settings)

        assert create().endswith("cannot be assumed by Lambda.")
        wait_until(lambda: not create(), 10)

        iam, dynamodb = cloud.client("iam"), client("dynamodb", aws, token=cloud.role)

        def allow(*actions):
            statements = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            name = cloud.role.rpartition("/")[2]
            iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=document)

        assert refusal(dynamodb.list_tables) == "", "IAM is not enforced: nothing young allows it"
        allow("dynamodb:List*")
        denied = "AccessDeniedException: not authorized to perform: dynamodb:ListTables"
        assert refusal(dynamodb.list_tables) == denied
        assert until(lambda: refusal(dynamodb.list_tables), "", 10) > 0.5
        allow("dynamodb:ListTables", "dynamodb:GetItem")
        assert refusal(dynamodb.list_tables) == "", "what the document allowed before goes on"
        get = {"TableName": "none", "Key": {"id": {"S": "1"}}}
        assert refusal(dynamodb.get_item, **get).startswith("AccessDeniedException")
        wait_until(lambda: refusal(dynamodb.get_item, **get).startswith("ResourceNotFoundException"), 10)

        url = public_url(cloud, "fn")
        assert status(url) == 403
        assert until(lambda: status(url), 200, 10) > 0.5


def test_slow_urls():
    with cloud_with("slow-urls,slow-rights") as cloud:
        wait_until(lambda: not refusal(cloud.make, SLEEP, name="fn"), 10)
        url = cloud.lambdas.create_function_url_config(FunctionName="fn", AuthType="NONE")["FunctionUrl"]
        assert until(lambda: status(url), 403, 10) > 0.4
        for number, permission in enumerate(PERMISSIONS):
            cloud.lambdas.add_permission(FunctionName="fn", StatementId=f"s{number}", Principal="*", **permission)
        assert until(lambda: status(url), 200, 10) > 0.5
        cloud.lambdas.delete_function_url_config(FunctionName="fn")
        again = cloud.lambdas.create_function_url_config(FunctionName="fn", AuthType="NONE")["FunctionUrl"]
        assert until(lambda: status(again), 200, 10) > 0.4, "its permissions act already"


def test_updating():
    with cloud_with("updating", "x2") as cloud:
        name = cloud.make(SLEEP)
        configuration = cloud.lambdas.get_function_configuration(FunctionName=name)
        assert (configuration["State"], configuration["LastUpdateStatus"]) == ("Pending", "InProgress")
        assert "currently in the following state: Pending" in refusal(cloud.invoke, name)
        cloud.lambdas.get_waiter("function_active_v2").wait(FunctionName=name)
        assert refusal(cloud.invoke, name) == ""
        for change in (
            lambda: cloud.lambdas.update_function_configuration(FunctionName=name, Timeout=9),
            lambda: cloud.lambdas.update_function_code(FunctionName=name, ZipFile=zipped(FAIL)),
        ):
            change()
            assert "ResourceConflictException" in refusal(change)
            refused = refusal(cloud.lambdas.publish_version, FunctionName=name)
            assert "An update is in progress for resource: arn:aws:lambda:" in refused
            assert refusal(cloud.invoke, name, Qualifier="1") == "", "what is published goes on"
            cloud.lambdas.get_waiter("function_updated_v2").wait(FunctionName=name)
        assert cloud.lambdas.publish_version(FunctionName=name)["Version"] == "2"


def test_the_provider_waits_for_what_comes_late(tmp_path):
    token = "aws:lambda/function:Function"
    habits = "updating,slow-rights"
    with aws_with(habits, "x4", tmp_path) as aws, cloud_with(habits, "x4", aws) as cloud:
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket="packages")
        for key, source in (("1", SLEEP), ("2", FAIL)):
            s3.put_object(Bucket="packages", Key=key, Body=zipped(source))
        inputs = {"name": "fn", "role": cloud.role, "handler": "handler.handle", "runtime": "python3.11"}
        inputs |= {"publish": True, "s3Bucket": "packages", "s3Key": "1"}
        variables = environment(aws, AWS_ENDPOINT_URL_LAMBDA=cloud.service.url, LOCALCLOUD_CLOCK="x4")
        with running_plugin(variables) as plugin:
            plugin.configure(region="us-east-1", s3UsePathStyle=True)
            first, _ = plugin.check(token, inputs)
            _, made = plugin.create(token, first)
            second, _ = plugin.check(token, inputs | {"s3Key": "2", "timeout": 9})
            assert plugin.update(token, "fn", made, second)["version"] == "2"


def test_cold_starts():
    with cloud_with("cold-starts", "x1.5") as cloud:
        name, bigger = cloud.make(SLEEP, MemorySize=256), cloud.make(SLEEP, MemorySize=2560)
        assert took(cloud.invoke, name) > 2.3 / 1.5
        assert took(cloud.invoke, name) < 2.3 / 1.5
        assert took(cloud.invoke, bigger) < 2.3 / 1.5
        with ThreadPoolExecutor(2) as both:
            times = sorted(both.map(lambda _: took(cloud.invoke, name, {"s": 0.2}), range(2)))
        assert times[0] < 2.3 / 1.5 < times[1], "the second call at a time needs another environment"


def test_concurrency():
    with cloud_with("concurrency") as cloud:
        assert cloud.lambdas.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 10
        names = [cloud.make(SLEEP, Timeout=20), cloud.make(SLEEP, Timeout=20)]
        url = public_url(cloud, names[0])
        limit = "Specified ReservedConcurrentExecutions for function decreases"
        reserve = cloud.lambdas.put_function_concurrency
        assert limit in refusal(reserve, FunctionName=names[0], ReservedConcurrentExecutions=1)
        with ThreadPoolExecutor(12) as threads:
            calls = [threads.submit(refusal, cloud.invoke, names[i % 2], {"s": 4}) for i in range(12)]
            wait_until(lambda: sum(call.done() for call in calls) == 2, 10)
            answer = httpx.get(url, timeout=10)
            assert (answer.status_code, answer.headers.get("x-release-digest")) == (429, None)
            cloud.invoke(names[1], {"s": 0}, InvocationType="Event")
        said = sorted(call.result() for call in calls)
        assert said == [""] * 10 + ["TooManyRequestsException: Rate Exceeded."] * 2
        assert status(url) == 200

        def calls_of_the_other():
            cloud.flush()
            return value(cloud, "Invocations", FunctionName=names[1])

        # Which ten of the twelve came first is chance; the event is tried again until it is let in.
        let_in = sum(not call.result() for call in calls[1::2]) + 1
        wait_until(lambda: calls_of_the_other() == let_in, 30)


def test_late_indexes(tmp_path):
    with aws_with("late-indexes", "x0.2", tmp_path) as aws:
        dynamodb = client("dynamodb", aws)
        kinds = {"id": "S", "at": "S", "status": "S"}
        dynamodb.create_table(
            TableName="items",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by_status",
                    "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        key = {"id": {"S": "a"}, "at": {"S": "1"}}

        def found(wanted):
            return dynamodb.query(
                TableName="items",
                IndexName="by_status",
                KeyConditionExpression="#s = :s",
                ExpressionAttributeNames={"#s": "status"},
                ExpressionAttributeValues={":s": {"S": wanted}},
            )["Count"]

        dynamodb.put_item(TableName="items", Item=key | {"status": {"S": "pending"}})
        assert dynamodb.get_item(TableName="items", Key=key)["Item"]["status"] == {"S": "pending"}
        assert until(lambda: found("pending"), 1, 10) > 0.4
        dynamodb.update_item(
            TableName="items",
            Key=key,
            UpdateExpression="SET #s = :s",
            ExpressionAttributeNames={"#s": "status"},
            ExpressionAttributeValues={":s": {"S": "analyzed"}},
        )
        assert (found("pending"), found("analyzed")) == (1, 0)
        wait_until(lambda: (found("pending"), found("analyzed")) == (0, 1), 10)
        dynamodb.delete_item(TableName="items", Key=key)
        assert (
            dynamodb.query(
                TableName="items", KeyConditionExpression="id = :i", ExpressionAttributeValues={":i": {"S": "a"}}
            )["Items"]
            == []
        )
        assert until(lambda: found("analyzed"), 0, 10) > 0.4
