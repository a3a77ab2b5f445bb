"""One test per patch of moto, over HTTP; each fails when its patch is gone."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import botocore.session
import httpx
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from components import way_back
from localcloud.aws import dynamodb
from localcloud.aws.server import OneAtATime
from tests.localcloud.parts import ACCOUNT, client, running_part, wait_until

ASSUMABLE = {"Version": "2012-10-17", "Statement": []}


class Receiver(ThreadingHTTPServer):
    """Stands where the Lambda service stands, and remembers what arrives; slow on purpose."""

    def __init__(self):
        self.received = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(2)
                receiver.received.append((self.path, dict(self.headers), body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def aws(tmp_path_factory, receiver):
    log = tmp_path_factory.mktemp("aws") / "aws.log"
    with running_part("aws", log, AWS_ENDPOINT_URL_LAMBDA=receiver.url) as url:
        yield url


@pytest.fixture(scope="module")
def s3(aws):
    return client("s3", aws)


@pytest.fixture(scope="module")
def cloudwatch(aws):
    return client("cloudwatch", aws)


@pytest.fixture(scope="module")
def sns(aws):
    return client("sns", aws)


def code_of(call, **arguments) -> tuple[int, str]:
    """Status and error code of a call: (200, "") when it goes through."""
    try:
        return call(**arguments)["ResponseMetadata"]["HTTPStatusCode"], ""
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


def bucket_with(s3, name, *statements):
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    return name


def deny(action, resource, condition=None, **more):
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource} | more
    return statement | ({"Condition": condition} if condition else {})


# --- s3.evaluate_bucket_policies -------------------------------------------------------------------------------------


def test_a_bucket_that_wants_tls_works_because_loopback_counts_as_tls(s3):
    arn = "arn:aws:s3:::tls-only"
    bucket = bucket_with(s3, "tls-only", deny("s3:*", [arn, f"{arn}/*"], {"Bool": {"aws:SecureTransport": "false"}}))

    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == 1
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


@pytest.mark.parametrize(
    "condition",
    [
        {"Null": {"s3:if-none-match": "true"}},
        {"StringNotEquals": {"s3:if-none-match": "*"}},
        {"Null": {"s3:if-none-match": True}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    ],
)
def test_a_create_only_prefix_refuses_a_plain_put_and_takes_a_conditional_one(s3, condition):
    name = f"create-only-{abs(hash(json.dumps(condition)))}"
    arn = f"arn:aws:s3:::{name}"
    bucket = bucket_with(s3, name, deny("s3:PutObject", [f"{arn}/entries/*"], condition))

    assert code_of(s3.put_object, Bucket=bucket, Key="entries/1", Body=b"1") == (403, "AccessDenied")
    assert code_of(s3.put_object, Bucket=bucket, Key="entries/1", Body=b"1", IfNoneMatch="*") == (200, "")
    assert code_of(s3.put_object, Bucket=bucket, Key="entries/1", Body=b"2", IfNoneMatch="*") == (
        412,
        "PreconditionFailed",
    )
    assert code_of(s3.put_object, Bucket=bucket, Key="other/1", Body=b"1") == (200, "")
    assert s3.get_object(Bucket=bucket, Key="entries/1")["Body"].read() == b"1"


def test_a_head_that_wants_if_match_is_moved_only_by_compare_and_swap(s3):
    condition = {"Null": {"s3:if-match": "true", "s3:if-none-match": "true"}}
    bucket = bucket_with(s3, "cas", deny("s3:PutObject", "arn:aws:s3:::cas/ledger/head.json", condition))
    head = {"Bucket": bucket, "Key": "ledger/head.json"}

    assert code_of(s3.put_object, **head, Body=b"0") == (403, "AccessDenied")
    assert code_of(s3.put_object, **head, Body=b"0", IfMatch='"0"') == (404, "NoSuchKey")
    first = s3.put_object(**head, Body=b"1", IfNoneMatch="*")["ETag"]
    assert code_of(s3.put_object, **head, Body=b"2", IfMatch=first) == (200, "")
    assert code_of(s3.put_object, **head, Body=b"3", IfMatch=first) == (412, "PreconditionFailed")


def test_copies_and_completed_uploads_obey_the_create_only_rule_and_parts_are_let_through(s3):
    condition = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    bucket = bucket_with(s3, "copies", deny("s3:PutObject", "arn:aws:s3:::copies/entries/*", condition))
    s3.put_object(Bucket=bucket, Key="free/1", Body=b"1")
    source = {"CopySource": {"Bucket": bucket, "Key": "free/1"}, "Bucket": bucket}

    assert code_of(s3.copy_object, **source, Key="entries/1") == (403, "AccessDenied")
    assert code_of(s3.copy_object, **source, Key="entries/1", IfNoneMatch="*") == (200, "")

    upload = {"Bucket": bucket, "Key": "entries/2"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"2")["ETag"]}
    parts = {"MultipartUpload": {"Parts": [part]}}
    assert code_of(s3.complete_multipart_upload, **upload, **parts) == (403, "AccessDenied")
    assert code_of(s3.complete_multipart_upload, **upload, **parts, IfNoneMatch="*") == (200, "")


def test_deletes_are_denied_by_object_and_by_version_as_the_policy_names_them(s3):
    bucket = bucket_with(
        s3,
        "kept",
        deny("s3:DeleteObject", "arn:aws:s3:::kept/a/*"),
        deny("s3:DeleteObjectVersion", "arn:aws:s3:::kept/b/*"),
    )
    versions = {key: s3.put_object(Bucket=bucket, Key=key, Body=b"1")["VersionId"] for key in ("a/1", "b/1", "c/1")}

    assert code_of(s3.delete_object, Bucket=bucket, Key="a/1") == (403, "AccessDenied")
    assert code_of(s3.delete_object, Bucket=bucket, Key="b/1", VersionId=versions["b/1"]) == (403, "AccessDenied")
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "a/1"}, {"Key": "b/1", "VersionId": versions["b/1"]}, {"Key": "c/1"}]},
    )
    assert {(one["Key"], one["Code"]) for one in answer["Errors"]} == {("a/1", "AccessDenied"), ("b/1", "AccessDenied")}
    assert [one["Key"] for one in answer["Deleted"]] == ["c/1"]
    assert code_of(s3.delete_object, Bucket=bucket, Key="b/1") == (204, "")
    assert code_of(s3.delete_object, Bucket=bucket, Key="a/1", VersionId=versions["a/1"]) == (204, "")


def test_a_role_that_the_policy_names_is_denied_and_the_others_are_not(s3, aws):
    iam, sts = client("iam", aws), client("sts", aws)
    clients = {}
    for role in ("preprod-sentiment-deploy", "prod-sentiment-deploy"):
        arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(ASSUMABLE))["Role"]["Arn"]
        keys = sts.assume_role(RoleArn=arn, RoleSessionName="run-1")["Credentials"]
        clients[role] = client("s3", aws, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    condition = {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/prod-*"}}
    bucket = bucket_with(s3, "for-prod", deny("s3:*", "arn:aws:s3:::for-prod/*", condition))

    assert code_of(clients["prod-sentiment-deploy"].put_object, Bucket=bucket, Key="a", Body=b"1") == (200, "")
    assert code_of(clients["preprod-sentiment-deploy"].get_object, Bucket=bucket, Key="a") == (403, "AccessDenied")
    s3.create_bucket(Bucket="mine")
    copy = {"Bucket": "mine", "Key": "a", "CopySource": {"Bucket": bucket, "Key": "a"}}
    assert code_of(clients["preprod-sentiment-deploy"].copy_object, **copy) == (403, "AccessDenied")
    assert code_of(clients["prod-sentiment-deploy"].copy_object, **copy) == (200, "")


def test_an_unknown_condition_key_is_absent_and_the_operator_decides(s3):
    bucket = bucket_with(
        s3,
        "unknown-keys",
        deny("s3:GetObject", "arn:aws:s3:::unknown-keys/a", {"StringEquals": {"aws:SourceVpce": "vpce-1"}}),
        deny("s3:GetObject", "arn:aws:s3:::unknown-keys/b", {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}),
        deny("s3:GetObject", "arn:aws:s3:::unknown-keys/c", {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}),
    )
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    assert [code_of(s3.get_object, Bucket=bucket, Key=key)[0] for key in "abc"] == [200, 403, 403]


def test_everything_but_a_prefix_can_be_denied(s3):
    statement = deny("s3:GetObject", "", NotResource="arn:aws:s3:::all-but/promotions/*")
    del statement["Resource"]
    bucket = bucket_with(s3, "all-but", statement)
    for key in ("promotions/1", "secret"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    assert code_of(s3.get_object, Bucket=bucket, Key="promotions/1") == (200, "")
    assert code_of(s3.get_object, Bucket=bucket, Key="secret") == (403, "AccessDenied")


def test_the_accounts_root_can_repair_a_policy_that_locks_everybody_out(s3):
    arn = "arn:aws:s3:::locked"
    bucket = bucket_with(s3, "locked", deny("s3:*", [arn, f"{arn}/*"]))
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"1") == (403, "AccessDenied")
    assert code_of(s3.delete_bucket_policy, Bucket=bucket) == (204, "")
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"1") == (200, "")


# --- s3, the smaller patches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"Statement": []}',
        '{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}}',
        '{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",'
        '"Condition": {"Is": {}}}}',
    ],
)
def test_malformed_bucket_policies_are_refused(s3, text):
    s3.create_bucket(Bucket="malformed")
    assert code_of(s3.put_bucket_policy, Bucket="malformed", Policy=text) == (400, "MalformedPolicy")


def test_copies_check_the_conditions_on_the_copy(s3):
    s3.create_bucket(Bucket="conditional-copies")
    etag = s3.put_object(Bucket="conditional-copies", Key="a", Body=b"1")["ETag"]
    copy = {"Bucket": "conditional-copies", "Key": "b", "CopySource": "conditional-copies/a"}

    assert code_of(s3.copy_object, **copy, IfMatch=etag) == (404, "NoSuchKey")
    assert code_of(s3.copy_object, **copy, IfNoneMatch="*") == (200, "")
    assert code_of(s3.copy_object, **copy, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert code_of(s3.copy_object, **copy, IfMatch=etag) == (200, "")
    assert code_of(s3.copy_object, **copy, IfMatch='"0"') == (412, "PreconditionFailed")


def test_completed_uploads_check_if_match(s3):
    s3.create_bucket(Bucket="uploads")
    etag = s3.put_object(Bucket="uploads", Key="a", Body=b"1")["ETag"]
    upload = {"Bucket": "uploads", "Key": "a"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"2")["ETag"]}
    parts = {"MultipartUpload": {"Parts": [part]}}

    assert code_of(s3.complete_multipart_upload, **upload, **parts, IfMatch='"0"') == (412, "PreconditionFailed")
    assert code_of(s3.complete_multipart_upload, **upload, **parts, IfMatch=etag) == (200, "")


def test_a_bucket_without_lifecycle_rules_says_so(s3):
    s3.create_bucket(Bucket="no-lifecycle")
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="no-lifecycle")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.get_bucket_lifecycle_configuration(Bucket="no-bucket")


# --- sts -------------------------------------------------------------------------------------------------------------


def test_a_key_that_nobody_made_is_the_root_of_the_account_as_bucket_policies_see_it(aws):
    assert client("sts", aws).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


# --- cloudwatch ------------------------------------------------------------------------------------------------------


def put_alarm(cloudwatch, name, **more):
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Test",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        **more,
    )
    return cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]


def test_a_new_alarm_starts_with_insufficient_data(cloudwatch):
    assert put_alarm(cloudwatch, "new")["StateValue"] == "INSUFFICIENT_DATA"


def test_a_changed_alarm_keeps_its_state(cloudwatch):
    put_alarm(cloudwatch, "changed")
    cloudwatch.set_alarm_state(AlarmName="changed", StateValue="ALARM", StateReason="it rings")
    alarm = put_alarm(cloudwatch, "changed", AlarmDescription="new words")
    assert (alarm["StateValue"], alarm["StateReason"]) == ("ALARM", "it rings")
    assert alarm["AlarmDescription"] == "new words"


def dimensions(**named):
    return [{"Name": name, "Value": value} for name, value in named.items()]


def test_metrics_are_told_apart_by_namespace_and_all_dimensions_in_any_order(cloudwatch):
    now = datetime.now(UTC)
    points = [
        ("AWS/Lambda", dimensions(FunctionName="f"), 1),
        ("AWS/Lambda", dimensions(FunctionName="f", Resource="f:live"), 10),
        ("AWS/Lambda", dimensions(Resource="f:live", FunctionName="f"), 20),
        ("AWS/Lambda", dimensions(FunctionName="f", Resource="f:live", ExecutedVersion="3"), 100),
        ("Other", dimensions(FunctionName="f", Resource="f:live"), 1000),
    ]
    for namespace, named, value in points:
        metric = {"MetricName": "Errors", "Dimensions": named, "Value": value, "Timestamp": now}
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[metric])
    window = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=1)}

    def total(namespace, named):
        metric = {"Namespace": namespace, "MetricName": "Errors", "Dimensions": named}
        query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
        by_data = cloudwatch.get_metric_data(MetricDataQueries=[query], **window)["MetricDataResults"][0]
        assert all(moment.second == 0 for moment in by_data["Timestamps"])
        return sum(by_data["Values"])

    assert total("AWS/Lambda", dimensions(FunctionName="f")) == 1
    assert total("AWS/Lambda", dimensions(FunctionName="f", Resource="f:live")) == 30
    assert total("AWS/Lambda", dimensions(Resource="f:live", FunctionName="f")) == 30
    assert total("AWS/Lambda", dimensions(ExecutedVersion="3", FunctionName="f", Resource="f:live")) == 100
    assert total("Other", dimensions(FunctionName="f", Resource="f:live")) == 1000
    assert total("AWS/Lambda", []) == 0
    assert total("AWS/Lambda", dimensions(FunctionName="g")) == 0
    math = {"Id": "m", "Expression": "1 + 1"}
    assert code_of(cloudwatch.get_metric_data, MetricDataQueries=[math], **window) == (400, "ValidationError")


# --- scheduler -------------------------------------------------------------------------------------------------------


TRUSTS_SCHEDULER = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def scheduler(aws):
    return client("scheduler", aws)


@pytest.fixture(scope="module")
def schedule(aws):
    """A schedule that AWS takes; the fixture is the function that makes one with a name of its own."""
    made = client("iam", aws).create_role(
        RoleName="runs-schedules", AssumeRolePolicyDocument=json.dumps(TRUSTS_SCHEDULER)
    )
    role = made["Role"]["Arn"]

    def make(name, **changed):
        target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f:live", "RoleArn": role}
        return {
            "Name": name,
            "ScheduleExpression": "rate(1 hour)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": target | changed.pop("Target", {}),
            **changed,
        }

    return make


def test_a_schedule_needs_a_role_that_is_there_and_trusts_the_scheduler(aws, scheduler, schedule):
    iam = client("iam", aws)
    other = iam.create_role(RoleName="runs-functions", AssumeRolePolicyDocument=json.dumps(ASSUMABLE))["Role"]["Arn"]
    for arn in (other, f"arn:aws:iam::{ACCOUNT}:role/gone", "gone"):
        refused = schedule("needs-a-role", Target={"RoleArn": arn})
        assert code_of(scheduler.create_schedule, **refused) == (400, "ValidationException")
    scheduler.create_schedule(**schedule("needs-a-role"))
    assert code_of(scheduler.update_schedule, **schedule("needs-a-role", Target={"RoleArn": other})) == (
        400,
        "ValidationException",
    )
    assert scheduler.get_schedule(Name="needs-a-role")["Target"]["RoleArn"] != other


@pytest.mark.parametrize(
    "changed",
    [
        {"ScheduleExpression": "at(2020-01-01T00:00:00)"},
        {"ScheduleExpression": "at(2090-02-30T00:00:00)"},
        {"ScheduleExpression": "at(2090-01-01T00:00:00Z)"},
        {"ScheduleExpression": "rate(0 minutes)"},
        {"ScheduleExpression": "rate(5 seconds)"},
        {"ScheduleExpression": "cron(0 6 * * *)"},
        {"ScheduleExpression": "tomorrow"},
        {"ScheduleExpression": "at(2090-01-01T00:00:00)", "ScheduleExpressionTimezone": "Atlantis"},
        {"StartDate": datetime(2090, 1, 1, tzinfo=UTC)},
        {"EndDate": datetime(2090, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_schedule_that_would_never_fire_is_refused(scheduler, schedule, changed):
    assert code_of(scheduler.create_schedule, **schedule("never", **changed)) == (400, "ValidationException")
    assert code_of(scheduler.get_schedule, Name="never") == (404, "ResourceNotFoundException")


def test_an_update_replaces_a_schedule_as_a_whole(scheduler, schedule):
    scheduler.create_schedule(**schedule("updated", State="DISABLED", ActionAfterCompletion="NONE"))
    scheduler.update_schedule(**schedule("updated", ActionAfterCompletion="DELETE"))
    now = scheduler.get_schedule(Name="updated")
    assert (now["State"], now["ActionAfterCompletion"]) == ("ENABLED", "DELETE")
    scheduler.update_schedule(**schedule("updated", State="DISABLED"))
    now = scheduler.get_schedule(Name="updated")
    assert (now["State"], now["ActionAfterCompletion"]) == ("DISABLED", "NONE")


def test_a_creation_whose_answer_was_lost_can_be_repeated(scheduler, schedule):
    first = scheduler.create_schedule(**schedule("repeated", ClientToken="one"))
    assert scheduler.create_schedule(**schedule("repeated", ClientToken="one"))["ScheduleArn"] == first["ScheduleArn"]
    for token in ("two", "three"):
        again = schedule("repeated", ClientToken=token)
        assert code_of(scheduler.create_schedule, **again)[1] == "ConflictException"
    assert code_of(scheduler.create_schedule, **schedule("homeless", GroupName="gone"))[0] == 404


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "widgets must be a list"),
        ({"widgets": [{"type": "text"}]}, "must be an object with properties"),
        ({"widgets": [{"type": "map", "properties": {}}]}, "'map' is none"),
        ({"widgets": [{"type": "text", "x": 20, "width": 5, "properties": {"markdown": ""}}]}, "24 columns"),
        ({"widgets": [{"type": "alarm", "properties": {"alarms": ["a"]}}]}, "ARNs of alarms"),
        ({"widgets": [{"type": "metric", "properties": {"metrics": [["a", "b", "c"]], "region": "r"}}]}, "in pairs"),
        ({"widgets": [{"type": "metric", "properties": {"metrics": [["a", "b"]]}}]}, "region must be named"),
        (
            {
                "widgets": [
                    {"type": "metric", "properties": {"metrics": [["a", "b", {"colour": "red"}]], "region": "r"}}
                ]
            },
            "may end with one object",
        ),
    ],
)
def test_a_dashboard_that_cloudwatch_cannot_show_is_refused(cloudwatch, wrong, said):
    with pytest.raises(ClientError, match=said) as refused:
        cloudwatch.put_dashboard(DashboardName="d", DashboardBody=json.dumps(wrong))
    assert refused.value.response["Error"]["Code"] == "InvalidParameterInput"


# --- sns -------------------------------------------------------------------------------------------------------------


def test_a_lambda_subscription_is_invoked_through_its_alias_without_holding_up_the_publisher(sns, receiver):
    topic = sns.create_topic(Name="new-items")["TopicArn"]
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:preprod-sentiment-analysis:live"
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function, ReturnSubscriptionArn=True)

    begin = time.monotonic()
    message = sns.publish(
        TopicArn=topic,
        Message='{"id": 1}',
        Subject="new",
        MessageAttributes={"tag": {"DataType": "String", "StringValue": "ai"}},
    )
    assert time.monotonic() - begin < 1.5
    path, headers, event = wait_until(lambda: [one for one in receiver.received if "functions" in one[0]], 5)[0]
    assert path == "/2015-03-31/functions/preprod-sentiment-analysis/invocations?Qualifier=live"
    assert headers["X-Amz-Invocation-Type"] == "Event"
    (record,) = event["Records"]
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    assert record["EventSubscriptionArn"] == subscription["SubscriptionArn"]
    assert record["Sns"]["MessageId"] == message["MessageId"]
    assert record["Sns"]["TopicArn"] == topic
    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ('{"id": 1}', "new")
    assert record["Sns"]["MessageAttributes"] == {"tag": {"Type": "String", "Value": "ai"}}


def test_all_subscriptions_share_one_signing_key(sns, aws):
    sqs = client("sqs", aws)
    topic = sns.create_topic(Name="signed")["TopicArn"]
    for name in ("one", "two", "three", "four"):
        sqs.create_queue(QueueName=name)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")
    sns.publish(TopicArn=topic, Message="the same to all")

    def public_key(queue):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        notification = json.loads(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"])
        certificate = urlsplit(notification["SigningCertURL"]).path
        scope = (
            "AWS4-HMAC-SHA256 Credential=made-up/20260101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=x"
        )
        pem = httpx.get(f"{aws}{certificate}", headers={"Authorization": scope}).content
        return x509.load_pem_x509_certificate(pem).public_key().public_numbers()

    assert len({public_key(queue) for queue in ("one", "two", "three", "four")}) == 1


def test_a_subscription_by_mail_waits_until_its_owner_confirms_it(sns):
    topic = sns.create_topic(Name="mailed")["TopicArn"]
    wanted = {"TopicArn": topic, "Protocol": "email", "Endpoint": "me@example.com"}

    def listed():
        return [one["SubscriptionArn"] for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]]

    assert sns.subscribe(**wanted)["SubscriptionArn"] == "pending confirmation"
    arn = sns.subscribe(**wanted, ReturnSubscriptionArn=True)["SubscriptionArn"]
    assert arn.startswith(f"{topic}:")
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "true"
    assert listed() == ["PendingConfirmation"]
    with pytest.raises(ClientError, match="Cannot unsubscribe a subscription that is pending confirmation"):
        sns.unsubscribe(SubscriptionArn=arn)
    with pytest.raises(ClientError, match="Token"):
        sns.confirm_subscription(TopicArn=topic, Token="wrong")
    assert sns.confirm_subscription(TopicArn=topic, Token=arn.rpartition(":")[2])["SubscriptionArn"] == arn
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "false"
    assert listed() == [arn]
    sns.unsubscribe(SubscriptionArn=arn)
    assert listed() == []


# --- the server ------------------------------------------------------------------------------------------------------


def test_of_many_writers_that_create_the_same_object_one_wins(s3):
    s3.create_bucket(Bucket="race")
    for key in ("first", "second", "third"):
        with ThreadPoolExecutor(16) as pool:
            put = {"Bucket": "race", "Key": key, "Body": b"1", "IfNoneMatch": "*"}
            writes = [pool.submit(code_of, s3.put_object, **put) for _ in range(16)]
        assert sorted(one.result()[0] for one in writes) == [200] + [412] * 15


@pytest.mark.parametrize(("service", "at_once"), [("s3", 1), ("sqs", 4)])
def test_a_service_runs_one_request_at_a_time_unless_it_waits_on_purpose(monkeypatch, service, at_once):
    running, most = [], []

    def app(environ, start_response):
        running.append(1)
        time.sleep(0.1)
        most.append(len(running))
        running.pop()
        return [b""]

    app.service = service
    cloud = OneAtATime()
    monkeypatch.setattr(cloud, "get_application", lambda environ: app)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(cloud, {"PATH_INFO": "/"}, None)
    assert max(most) == at_once


def test_one_connection_serves_many_requests_and_a_waiting_queue_holds_up_nobody(aws):
    sqs = client("sqs", aws)
    queue = sqs.create_queue(QueueName="empty")["QueueUrl"]
    waiting = threading.Thread(target=sqs.receive_message, kwargs={"QueueUrl": queue, "WaitTimeSeconds": 2})
    waiting.start()
    begin = time.monotonic()
    assert sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    with httpx.Client() as connection:
        for _ in range(50):
            answer = connection.get(f"{aws}/_localcloud/health")
            assert answer.json() == {"ok": True}
            assert "connection" not in answer.headers
    assert time.monotonic() - begin < 1.5
    waiting.join()


def test_managed_policies_are_there(aws):
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    assert client("iam", aws).get_policy(PolicyArn=arn)["Policy"]["PolicyName"] == "AWSLambdaBasicExecutionRole"


def test_a_large_body_that_asks_before_it_is_sent_arrives_whole(s3):
    s3.create_bucket(Bucket="large")
    body = bytes(range(256)) * 40_000
    s3.put_object(Bucket="large", Key="a", Body=body)
    assert s3.get_object(Bucket="large", Key="a")["Body"].read() == body
    assert s3.get_object(Bucket="large", Key="a", Range="bytes=1-3")["Body"].read() == b"\x01\x02\x03"


def test_a_projection_of_whole_attributes_is_cut_from_the_item_without_json(monkeypatch):
    monkeypatch.setattr(Item, "project", Item.project)  # put back what the patch replaces
    dynamodb.project_whole_attributes_at_once()
    item = Item(hash_key=DynamoType({"S": "a"}), range_key=None, attrs={"id": {"S": "a"}, "n": {"N": "1"}})
    monkeypatch.setattr(Item, "to_regular_json", lambda self: pytest.fail("the whole item was turned into JSON"))
    assert item.project([["n"], ["absent"]]).to_json() == {"Attributes": {"n": {"N": "1"}}}
    assert set(item.attrs) == {"id", "n"}, "the item itself is whole"


def test_scalar_attribute_values_are_sent_without_looking_for_other_types(monkeypatch):
    monkeypatch.setattr(BaseJSONSerializer, "_serialize_type_structure", BaseJSONSerializer._serialize_type_structure)
    monkeypatch.setattr(BaseJSONSerializer, "get_value", lambda *_: pytest.fail("moto looked for another type"))
    dynamodb.send_scalar_values_as_they_are()
    operation = botocore.session.get_session().get_service_model("dynamodb").operation_model("GetItem")
    serializer = BaseJSONSerializer(operation_model=operation)
    values = {"id": {"S": "a"}, "n": {"N": "1"}, "yes": {"BOOL": True}, "none": {"NULL": True}}
    sent = {}
    for name, value in values.items():
        serializer._serialize(sent, value, operation.output_shape.members["Item"].value, name)
    assert sent == values


def test_tell_who_hears_a_notification(aws):
    budgets = client("budgets", aws)
    of = {"AccountId": ACCOUNT, "BudgetName": "patched"}
    notification = {
        "NotificationType": "ACTUAL",
        "ComparisonOperator": "GREATER_THAN",
        "Threshold": 80,
        "ThresholdType": "PERCENTAGE",
    }
    subscribers = [{"SubscriptionType": "EMAIL", "Address": "ops@example.org"}]
    limit = {"Amount": "10", "Unit": "USD"}
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget={"BudgetName": "patched", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit},
        NotificationsWithSubscribers=[{"Notification": notification, "Subscribers": subscribers}],
    )
    ask = budgets.describe_subscribers_for_notification
    assert ask(**of, Notification=notification)["Subscribers"] == subscribers
    assert code_of(ask, **of, Notification=notification | {"Threshold": 90}) == (400, "NotFoundException")
    assert code_of(ask, **of | {"BudgetName": "other"}, Notification=notification) == (400, "NotFoundException")


# Buckets of somebody else


OTHER_ACCOUNT = "210987654321"


@pytest.fixture(scope="module")
def somebody_else(aws):
    """S3 as another account asks it."""
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/admin"
    given = client("sts", aws).assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    return client("s3", aws, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def test_evaluate_bucket_policies_lets_another_account_in_by_the_buckets_policy_only(s3, somebody_else):
    somebody_else.create_bucket(Bucket="taken-by-others")
    somebody_else.put_object(Bucket="taken-by-others", Key="offered/it", Body=b"x")
    for call in (s3.head_bucket, s3.list_objects_v2, s3.get_bucket_policy, s3.delete_bucket):
        assert code_of(call, Bucket="taken-by-others")[0] == 403, call
    assert code_of(s3.get_object, Bucket="taken-by-others", Key="offered/it") == (403, "AccessDenied")
    offered = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::taken-by-others/offered/*",
    }
    somebody_else.put_bucket_policy(
        Bucket="taken-by-others", Policy=json.dumps({"Version": "2012-10-17", "Statement": [offered]})
    )
    assert code_of(s3.get_object, Bucket="taken-by-others", Key="offered/it") == (200, "")
    assert code_of(s3.put_object, Bucket="taken-by-others", Key="offered/it", Body=b"y") == (403, "AccessDenied")


def test_a_name_that_somebody_else_has_taken_cannot_be_made_and_an_own_one_again(s3, somebody_else):
    somebody_else.create_bucket(Bucket="taken-again")
    assert code_of(s3.create_bucket, Bucket="taken-again") == (409, "BucketAlreadyExists")
    assert code_of(s3.head_bucket, Bucket="never-made")[0] == 404
    for _ in range(2):  # us-east-1 says yes to a bucket that one has already
        assert code_of(s3.create_bucket, Bucket="made-twice") == (200, "")


def test_an_expected_owner_who_is_not_the_owner_is_denied(s3):
    s3.create_bucket(Bucket="owned")
    assert code_of(s3.head_bucket, Bucket="owned", ExpectedBucketOwner=ACCOUNT) == (200, "")
    assert code_of(s3.head_bucket, Bucket="owned", ExpectedBucketOwner=OTHER_ACCOUNT)[0] == 403


# Budgets and identity providers


@pytest.fixture
def budget(aws):
    """A client, and the arguments that name a budget which exists."""
    budgets, name = client("budgets", aws), f"budget-{time.monotonic_ns()}"
    made = {
        "BudgetName": name,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "10", "Unit": "USD"},
    }
    budgets.create_budget(AccountId=ACCOUNT, Budget=made, ResourceTags=[{"Key": "Project", "Value": "p"}])
    return budgets, made


def test_change_budgets(budget):
    budgets, made = budget
    dearer = made | {"BudgetLimit": {"Amount": "20", "Unit": "USD"}}
    assert code_of(budgets.update_budget, AccountId=ACCOUNT, NewBudget=dearer) == (200, "")
    found = budgets.describe_budget(AccountId=ACCOUNT, BudgetName=made["BudgetName"])["Budget"]
    assert float(found["BudgetLimit"]["Amount"]) == 20
    assert found["TimePeriod"]
    missing = dearer | {"BudgetName": "nosuch"}
    assert code_of(budgets.update_budget, AccountId=ACCOUNT, NewBudget=missing)[1] == "NotFoundException"


def test_keep_tags_of_budgets(budget):
    budgets, made = budget
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/{made['BudgetName']}"

    def tags():
        return {one["Key"]: one["Value"] for one in budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]}

    assert tags() == {"Project": "p"}
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "Part", "Value": "shared"}])
    assert tags() == {"Project": "p", "Part": "shared"}
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["Project"])
    assert tags() == {"Part": "shared"}
    budgets.delete_budget(AccountId=ACCOUNT, BudgetName=made["BudgetName"])
    assert code_of(budgets.list_tags_for_resource, ResourceARN=arn)[1] == "NotFoundException"
    budgets.create_budget(AccountId=ACCOUNT, Budget=made)
    assert tags() == {}


def test_change_audiences_of_oidc_providers(aws):
    iam = client("iam", aws)
    arn = iam.create_open_id_connect_provider(Url="https://issuer.example.org", ClientIDList=["a"])[
        "OpenIDConnectProviderArn"
    ]
    named = {"OpenIDConnectProviderArn": arn}
    for _ in range(2):
        iam.add_client_id_to_open_id_connect_provider(ClientID="b", **named)
    assert iam.get_open_id_connect_provider(**named)["ClientIDList"] == ["a", "b"]
    for _ in range(2):
        iam.remove_client_id_from_open_id_connect_provider(ClientID="a", **named)
    assert iam.get_open_id_connect_provider(**named)["ClientIDList"] == ["b"]
    iam.delete_open_id_connect_provider(**named)
    assert code_of(iam.add_client_id_to_open_id_connect_provider, ClientID="b", **named)[0] == 404


@pytest.fixture(scope="module")
def states_role(aws):
    """ARN of a role that Step Functions and EventBridge can assume."""
    trust_both = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": ["states.amazonaws.com", "events.amazonaws.com"]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    made = client("iam", aws).create_role(RoleName="runs-states", AssumeRolePolicyDocument=json.dumps(trust_both))
    return made["Role"]["Arn"]


def _other_roles(aws, name):
    iam = client("iam", aws)
    other = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(ASSUMABLE))["Role"]["Arn"]
    return other, f"arn:aws:iam::{ACCOUNT}:role/gone"


def test_refuse_roles_that_events_cannot_assume(aws, states_role):
    events = client("events", aws)
    events.put_rule(Name="started", EventPattern='{"source": ["aws.cloudwatch"]}')
    machine = {"Id": "it", "Arn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"}
    for role in _other_roles(aws, "not-for-events"):
        refused = code_of(events.put_targets, Rule="started", Targets=[{**machine, "RoleArn": role}])
        assert refused == (400, "ValidationException")
    assert code_of(events.put_targets, Rule="started", Targets=[machine]) == (400, "ValidationException")
    assert events.list_targets_by_rule(Rule="started")["Targets"] == []
    events.put_targets(Rule="started", Targets=[{**machine, "RoleArn": states_role}])
    assert len(events.list_targets_by_rule(Rule="started")["Targets"]) == 1


def test_refuse_roles_that_states_cannot_assume(aws, states_role):
    states, text = client("stepfunctions", aws), json.dumps(way_back.definition())
    others = _other_roles(aws, "not-for-states")
    for role in others:
        refused = code_of(states.create_state_machine, name="needs-a-role", definition=text, roleArn=role)
        assert refused == (400, "AccessDeniedException")
    machine = states.create_state_machine(name="needs-a-role", definition=text, roleArn=states_role)["stateMachineArn"]
    refused = code_of(states.update_state_machine, stateMachineArn=machine, roleArn=others[0])
    assert refused == (400, "AccessDeniedException")
    assert states.describe_state_machine(stateMachineArn=machine)["roleArn"] == states_role


def test_refuse_definitions_that_are_not_run(aws, states_role):
    states, text = client("stepfunctions", aws), json.dumps(way_back.definition())
    for wrong in ("no JSON", "{}", text.replace('"Task"', '"Wait"'), text.replace('"Retry"', '"Catch"')):
        refused = code_of(states.create_state_machine, name="refused", definition=wrong, roleArn=states_role)
        assert refused == (400, "InvalidDefinition")
    machine = states.create_state_machine(name="taken", definition=text, roleArn=states_role)["stateMachineArn"]
    assert code_of(states.update_state_machine, stateMachineArn=machine, definition="{}") == (400, "InvalidDefinition")
    assert states.describe_state_machine(stateMachineArn=machine)["definition"] == text


def test_check_web_identities(aws):
    with pytest.raises(ClientError) as caught:
        client("sts", aws).assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/any", RoleSessionName="one", WebIdentityToken="made-up"
        )
    assert caught.value.response["Error"]["Code"] == "InvalidIdentityToken"
