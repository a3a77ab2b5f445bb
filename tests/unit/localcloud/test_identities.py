"""What a request to AWS asks for, read from the wire, and what becomes of one that nobody can decide."""

import json
from types import MappingProxyType

import boto3
import hypothesis
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from hypothesis import strategies as st

from components.arns import Arns
from components.naming import names
from localcloud.faults.answers import RefusalKind
from localcloud.faults.names import aws_call
from localcloud.iam.enforcement import CredentialsError, Enforcement, Rights, RoleSession
from localcloud.iam.evaluator import ALLOWED, DENIED, NOT_ALLOWED, EvaluationError, PolicyDecision
from localcloud.iam.needs import needs
from localcloud.iam.received import Received
from localcloud.iam.requests import needs_of_s3, parameters, signature

ACCOUNT = "123456789012"
ARNS = Arns(account_id=ACCOUNT, region="us-east-1", names=names("preprod"))
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


def sent(service, operation, key="ASIAROLE", **given):
    """The request that boto3 sends for a call, as a part of the local cloud receives it."""
    client = boto3.client(
        service,
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="made-up",
        aws_session_token="token",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, parameter_validation=False),
    )
    caught = []

    def catch(request, **_):
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        target = request.url.removeprefix("http://127.0.0.1:1")
        caught.append(
            Received(request.method, target, _Headers(headers), body.encode() if isinstance(body, str) else body)
        )
        return AWSResponse(request.url, 500, {}, _Empty())

    client.meta.events.register("before-send", catch)
    with pytest.raises(Exception):  # noqa: B017, PT011  nobody answers
        getattr(client, operation)(**given)
    return caught[0]


class _Headers(dict):
    def __init__(self, headers):
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name, default=None):
        return super().get(name.lower(), default)


class _Empty:
    def stream(self, **_):
        return iter([b""])


def asked(service, operation, **given):
    """What a call needs, read from the wire."""
    request = sent(service, operation, **given)
    named = aws_call(*request)
    assert named is not None
    if service == "s3":
        return needs_of_s3(request)
    return needs(*named, parameters(*named, request), ARNS, lambda _: "arn:boundary")


def rights(found):
    return {(need.action, need.resource) for need in found}


CALLS = {
    ("lambda", "invoke"): ({"FunctionName": "f", "Qualifier": "live"}, {("lambda:InvokeFunction", f"{FUNCTION}:live")}),
    ("lambda", "update_alias"): ({"FunctionName": "f", "Name": "live"}, {("lambda:UpdateAlias", FUNCTION)}),
    ("lambda", "list_tags"): ({"Resource": FUNCTION}, {("lambda:ListTags", FUNCTION)}),
    ("lambda", "create_function"): (
        {
            "FunctionName": "f",
            "Role": ROLE,
            "Code": {"S3Bucket": "b", "S3Key": "k", "S3ObjectVersion": "1"},
            "Tags": {"a": "b"},
        },
        {
            ("lambda:CreateFunction", FUNCTION),
            ("lambda:TagResource", FUNCTION),
            ("iam:PassRole", ROLE),
            ("s3:GetObjectVersion", "arn:aws:s3:::b/k"),
        },
    ),
    ("scheduler", "create_schedule"): (
        {
            "Name": "s",
            "ScheduleExpression": "rate(1 hour)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": FUNCTION, "RoleArn": ROLE},
        },
        {
            ("scheduler:CreateSchedule", f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/s"),
            ("iam:PassRole", ROLE),
        },
    ),
    ("iam", "create_role"): (
        {"RoleName": "r", "AssumeRolePolicyDocument": "{}", "Tags": [{"Key": "a", "Value": "b"}]},
        {("iam:CreateRole", ROLE), ("iam:TagRole", ROLE)},
    ),
    ("sns", "publish"): (
        {"TopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:t", "Message": "m"},
        {("sns:Publish", f"arn:aws:sns:us-east-1:{ACCOUNT}:t")},
    ),
    ("sqs", "receive_message"): (
        {"QueueUrl": f"http://127.0.0.1:1/{ACCOUNT}/q"},
        {("sqs:ReceiveMessage", f"arn:aws:sqs:us-east-1:{ACCOUNT}:q")},
    ),
    ("dynamodb", "query"): (
        {
            "TableName": "t",
            "IndexName": "i",
            "KeyConditionExpression": "a = :a",
            "ExpressionAttributeValues": {":a": {"S": "a"}},
        },
        {("dynamodb:Query", f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t/index/i")},
    ),
    ("cloudwatch", "delete_alarms"): (
        {"AlarmNames": ["a", "b"]},
        {("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{name}") for name in "ab"},
    ),
    ("s3", "copy_object"): (
        {"Bucket": "b", "Key": "k", "CopySource": {"Bucket": "c", "Key": "x"}},
        {("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::c/x")},
    ),
    ("s3", "head_object"): ({"Bucket": "b", "Key": "a b/ü"}, {("s3:GetObject", "arn:aws:s3:::b/a b/ü")}),
    ("s3", "get_object"): (
        {"Bucket": "b", "Key": "k", "VersionId": "1"},
        {("s3:GetObjectVersion", "arn:aws:s3:::b/k")},
    ),
    ("s3", "delete_objects"): (
        {"Bucket": "b", "Delete": {"Objects": [{"Key": "x"}, {"Key": "y", "VersionId": "1"}]}},
        {("s3:DeleteObject", "arn:aws:s3:::b/x"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/y")},
    ),
    ("s3", "create_multipart_upload"): ({"Bucket": "b", "Key": "k"}, {("s3:PutObject", "arn:aws:s3:::b/k")}),
}


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_call_on_the_wire_needs_the_rights_that_aws_asks_for(call):
    given, expected = CALLS[call]
    assert rights(asked(*call, **given)) == expected


def test_what_conditions_ask_is_read_from_the_call():
    (put,) = asked("s3", "put_object", Bucket="b", Key="k", Body=b"x", IfNoneMatch="*")
    assert put.context == {"s3:if-none-match": "*"}
    (listing,) = asked("s3", "list_objects_v2", Bucket="b", Prefix="service/")
    assert listing.context["s3:prefix"] == "service/"
    created = asked("iam", "create_role", RoleName="r", AssumeRolePolicyDocument="{}", PermissionsBoundary=ROLE)
    assert created[0].context == {"iam:PermissionsBoundary": ROLE}
    changed = asked("iam", "delete_role_policy", RoleName="r", PolicyName="p")
    assert changed[0].context == {"iam:PermissionsBoundary": "arn:boundary"}
    passed = asked("lambda", "create_function", FunctionName="f", Role=ROLE, Code={"S3Bucket": "b", "S3Key": "k"})
    assert {"iam:PassedToService": "lambda.amazonaws.com"} in [need.context for need in passed]


SHOWN = st.characters(codec="utf-8", exclude_characters="/", categories=("L", "N", "P", "S", "Zs"))


@hypothesis.given(name=st.text(SHOWN, min_size=1))
def test_the_name_of_an_object_is_read_as_it_was_written(name):
    hypothesis.assume(not name.startswith("."))  # a path of dots is shortened by the client
    (need,) = asked("s3", "get_object", Bucket="b", Key=f"folder/{name}")
    assert need.resource == f"arn:aws:s3:::b/folder/{name}"


class Known:
    """A directory with one role."""

    def __init__(self, policy=MappingProxyType({"Version": "2012-10-17", "Statement": []})):
        self.policy = policy

    def caller(self, access_key, token):
        if access_key != "ASIAROLE":
            raise CredentialsError(RefusalKind.UNKNOWN_KEY)
        return RoleSession(ROLE, "s")

    def rights(self, role):
        return Rights([dict(self.policy)], None)

    def boundary_of(self, role_name):
        return None

    def resource_policy(self, resource):
        return None


class Says:
    """An evaluator that says one thing of everything."""

    def __init__(self, outcome, by="an identity-based policy"):
        self.answer, self.asked = PolicyDecision(outcome, (), by), []

    def decide(self, request):
        self.asked.append(request)
        if self.answer.outcome == "error":
            raise EvaluationError("it makes no sense")
        return self.answer


def told(answer):
    return json.loads(answer.body)["message"]


def test_an_allowed_call_goes_through_and_is_asked_for_with_what_is_known_of_it():
    evaluator = Says(ALLOWED)
    assert Enforcement(Known(), evaluator).refusal(sent("dynamodb", "describe_table", TableName="t")) is None
    (request,) = evaluator.asked
    assert (request.principal, request.action) == (ROLE, "dynamodb:DescribeTable")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (NOT_ALLOWED, "because no identity-based policy allows the dynamodb:DescribeTable action"),
        (DENIED, "with an explicit deny in an identity-based policy"),
        ("error", "the local cloud cannot decide it: it makes no sense"),
    ],
)
def test_what_is_not_allowed_is_refused_and_noted(outcome, words):
    enforcement = Enforcement(Known(), Says(outcome))
    refusal = enforcement.refusal(sent("dynamodb", "describe_table", TableName="t"))
    assert refusal.status == 400
    assert told(refusal).endswith(words)
    assert [one["action"] for one in enforcement.denials] == ["dynamodb:DescribeTable"]


def test_nothing_is_asked_of_the_administrator_and_nothing_is_believed_of_others():
    enforcement = Enforcement(Known(), Says(NOT_ALLOWED))
    assert enforcement.refusal(sent("dynamodb", "list_tables", key="localcloud")) is None
    assert enforcement.refusal(sent("dynamodb", "list_tables", key="AKIASOMEBODY")).status == 400


def test_a_service_or_an_operation_that_no_table_has_is_refused_though_the_evaluator_would_allow_it():
    enforcement = Enforcement(Known(), Says(ALLOWED))
    for service, operation, given in (
        ("ec2", "describe_instances", {}),
        ("kms", "list_keys", {}),
        (
            "dynamodb",
            "transact_write_items",
            {"TransactItems": []},
        ),
        ("iam", "list_roles", {}),
        ("s3", "list_buckets", {}),
        ("sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "s"}),
    ):
        refusal = enforcement.refusal(sent(service, operation, **given))
        assert refusal is not None, operation
        assert b"the local cloud cannot tell what this call needs" in refusal.body, operation


def test_a_condition_that_is_not_filled_in_decides_nothing():
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:ViaAWSService": "true"}}}
    enforcement = Enforcement(Known({"Version": "2012-10-17", "Statement": [statement]}), Says(ALLOWED))
    assert "aws:ViaAWSService" in told(enforcement.refusal(sent("dynamodb", "describe_table", TableName="t")))


def test_a_presigned_request_is_its_signers():
    request = Received(
        "GET",
        "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAROLE%2F20261129%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Security-Token=token",
        _Headers({}),
    )
    assert signature(request) == ("ASIAROLE", "s3", "token")
    assert Enforcement(Known(), Says(NOT_ALLOWED)).refusal(request).status == 403
