"""Aliases, resource policies and function URLs of the local Lambda service."""

import base64
import json
from collections import Counter

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.localcloud.lambdas_cloud import ECHO, Cloud, cloud_fixture  # noqa: F401

SECOND = ECHO + "# second\n"
SEE = """
def handle(event, context):
    answer = event.get("queryStringParameters", {}).get("answer")
    if answer == "raise":
        raise RuntimeError("no")
    if answer == "plain":
        return {"hello": "world"}
    if answer == "cookies":
        return {"statusCode": 201, "headers": {"X-Own": "1"}, "cookies": ["a=1; Path=/", "b=2"], "body": "ok"}
    if answer == "binary":
        return {"statusCode": 200, "headers": {"content-type": "image/png"}, "body": "AAH/", "isBase64Encoded": True}
    if answer == "object":
        return {"statusCode": 200, "body": {"not": "a string"}}
    return {"statusCode": 200, "body": __import__("json").dumps(event)}
"""
ANYBODY = [
    {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
    {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
]


def refused(call, code: str, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def two_versions(cloud: Cloud, **settings) -> str:
    name = cloud.make(**settings)
    cloud.update(name, SECOND)
    return name


def public_url(cloud: Cloud, name: str, source_permissions=ANYBODY) -> str:
    cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = cloud.lambdas.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")
    for number, permission in enumerate(source_permissions):
        cloud.lambdas.add_permission(
            FunctionName=name, Qualifier="live", StatementId=f"s{number}", Principal="*", **permission
        )
    return url["FunctionUrl"]


# Aliases


def test_an_alias_can_be_made_read_listed_moved_and_deleted(cloud: Cloud):
    name = two_versions(cloud)
    one = {"FunctionName": name, "Name": "live"}
    made = cloud.lambdas.create_alias(**one, FunctionVersion="1", Description="what users get")
    assert made["AliasArn"].endswith(f"{name}:live")
    moved = cloud.lambdas.update_alias(**one, FunctionVersion="2")
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "what users get")
    assert moved["RevisionId"] != made["RevisionId"]
    read = cloud.lambdas.get_alias(**one)
    assert read["RevisionId"] == moved["RevisionId"]
    assert "RoutingConfig" not in read
    assert [alias["Name"] for alias in cloud.lambdas.list_aliases(FunctionName=name)["Aliases"]] == ["live"]
    refused(cloud.lambdas.list_aliases, "InvalidParameterValueException", FunctionName=name, FunctionVersion="1")
    seen = cloud.lambdas.get_function(FunctionName=name, Qualifier="live")["Configuration"]
    assert (seen["Version"], seen["FunctionArn"]) == ("2", made["AliasArn"])
    cloud.lambdas.delete_alias(**one)
    refused(cloud.lambdas.get_alias, "ResourceNotFoundException", **one)
    cloud.lambdas.delete_alias(**one)


@pytest.mark.parametrize(
    ("version", "weights", "code"),
    [
        ("1", {"9": 0.1}, "ResourceNotFoundException"),
        ("9", {}, "ResourceNotFoundException"),
        ("1", {"2": 1.1}, "InvalidParameterValueException"),
        ("1", {"2": 0.1, "3": 0.1}, "InvalidParameterValueException"),
        ("1", {"1": 0.1}, "InvalidParameterValueException"),
        ("1", {"$LATEST": 0.1}, "InvalidParameterValueException"),
        ("$LATEST", {"1": 0.1}, "InvalidParameterValueException"),
    ],
)
def test_an_alias_refuses_versions_and_weights_that_aws_refuses(cloud: Cloud, version, weights, code):
    name = two_versions(cloud)
    cloud.update(name, SECOND + "# third\n")
    request = {"FunctionVersion": version, "RoutingConfig": {"AdditionalVersionWeights": weights}}
    refused(cloud.lambdas.create_alias, code, FunctionName=name, Name="live", **request)
    made = cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="3")
    refused(cloud.lambdas.update_alias, code, FunctionName=name, Name="live", **request)
    assert cloud.lambdas.get_alias(FunctionName=name, Name="live")["RevisionId"] == made["RevisionId"]


def test_versions_with_different_dead_letter_targets_cannot_share_an_alias(cloud: Cloud):
    name = cloud.make(DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:123456789012:a"})
    cloud.lambdas.update_function_configuration(
        FunctionName=name, DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:123456789012:b"}
    )
    cloud.lambdas.publish_version(FunctionName=name)
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    message = refused(
        cloud.lambdas.create_alias,
        "InvalidParameterValueException",
        FunctionName=name,
        Name="live",
        FunctionVersion="1",
        RoutingConfig=routing,
    )
    assert "DeadLetterConfig" in message


def test_the_revision_of_an_alias_is_a_lock(cloud: Cloud):
    name = two_versions(cloud)
    one = {"FunctionName": name, "Name": "live"}
    first = cloud.lambdas.create_alias(**one, FunctionVersion="1")["RevisionId"]
    second = cloud.lambdas.update_alias(**one, FunctionVersion="2", RevisionId=first)["RevisionId"]
    refused(cloud.lambdas.update_alias, "PreconditionFailedException", **one, FunctionVersion="1", RevisionId=first)
    assert cloud.lambdas.get_alias(**one)["FunctionVersion"] == "2"
    cloud.lambdas.update_alias(**one, FunctionVersion="1", RevisionId=second)


def test_a_number_is_no_alias_name_and_a_taken_name_is_a_conflict(cloud: Cloud):
    name = cloud.make()
    create = cloud.lambdas.create_alias
    refused(create, "ValidationException", FunctionName=name, Name="7", FunctionVersion="1")
    create(FunctionName=name, Name="live", FunctionVersion="1")
    refused(create, "ResourceConflictException", FunctionName=name, Name="live", FunctionVersion="1")


def test_weights_share_the_calls_and_can_be_taken_away(cloud: Cloud):
    name = two_versions(cloud)
    one = {"FunctionName": name, "Name": "live"}
    routing = {"AdditionalVersionWeights": {"2": 0.3}}
    made = cloud.lambdas.create_alias(**one, FunctionVersion="1", RoutingConfig=routing)
    assert made["RoutingConfig"] == routing
    address = f"{cloud.service.url}/2015-03-31/functions/{name}/invocations?Qualifier=live"
    with httpx.Client() as http:
        seen = Counter(http.post(address).headers["x-amz-executed-version"] for _ in range(300))
        # 300 draws at 0.3: 90 expected, standard deviation 8; five of them would be one false alarm in a million runs.
        assert 50 <= seen["2"] <= 130
        cloud.lambdas.update_alias(**one, Description="still shared")
        assert cloud.lambdas.get_alias(**one)["RoutingConfig"] == routing
        cloud.lambdas.update_alias(**one, RoutingConfig={"AdditionalVersionWeights": {}})
        seen = Counter(http.post(address).headers["x-amz-executed-version"] for _ in range(40))
    assert seen == {"1": 40}


# Resource policies


def test_permissions_belong_to_one_qualifier_and_their_ids_to_one_statement(cloud: Cloud):
    name = cloud.make()
    cloud.lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    live = {"FunctionName": name, "Qualifier": "live"}
    statement = {
        "StatementId": "topic",
        "Action": "lambda:InvokeFunction",
        "Principal": "sns.amazonaws.com",
        "SourceArn": "arn:aws:sns:us-east-1:123456789012:topic",
        "SourceAccount": "123456789012",
    }
    refused(cloud.lambdas.get_policy, "ResourceNotFoundException", **live)
    made = json.loads(cloud.lambdas.add_permission(**live, **statement)["Statement"])
    assert made == {
        "Sid": "topic",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live",
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "123456789012"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:sns:us-east-1:123456789012:topic"},
        },
    }
    assert json.loads(cloud.lambdas.get_policy(**live)["Policy"])["Statement"] == [made]
    refused(cloud.lambdas.get_policy, "ResourceNotFoundException", FunctionName=name)
    refused(cloud.lambdas.add_permission, "ResourceConflictException", **live, **statement)
    cloud.lambdas.add_permission(FunctionName=name, **statement)
    cloud.lambdas.remove_permission(**live, StatementId="topic")
    refused(cloud.lambdas.remove_permission, "ResourceNotFoundException", **live, StatementId="topic")
    refused(cloud.lambdas.get_policy, "ResourceNotFoundException", **live)
    assert cloud.lambdas.get_policy(FunctionName=name)


def test_conditions_for_urls_need_their_own_action(cloud: Cloud):
    name = cloud.make()
    common = {"FunctionName": name, "StatementId": "a", "Principal": "*"}
    wrong = [
        {"Action": "lambda:InvokeFunction", "FunctionUrlAuthType": "NONE"},
        {"Action": "lambda:InvokeFunctionUrl", "InvokedViaFunctionUrl": True},
    ]
    for each in wrong:
        refused(cloud.lambdas.add_permission, "InvalidParameterValueException", **common, **each)


# Function URLs


def test_each_alias_has_its_own_url_settings(cloud: Cloud):
    name = cloud.make()
    for alias in ("live", "candidate"):
        cloud.lambdas.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")
    create, get = cloud.lambdas.create_function_url_config, cloud.lambdas.get_function_url_config
    live = {"FunctionName": name, "Qualifier": "live"}
    refused(get, "ResourceNotFoundException", **live)
    refused(create, "InvalidParameterValueException", **live, AuthType="NONE", Cors={"AllowOrigins": ["*"]})
    made = create(**live, AuthType="NONE")
    assert made["FunctionUrl"].startswith(f"{cloud.service.url}/url/")
    assert made["FunctionUrl"].endswith("/")
    assert made["FunctionArn"].endswith(f"{name}:live")
    refused(create, "ResourceConflictException", **live, AuthType="NONE")
    refused(create, "ResourceNotFoundException", FunctionName=name, Qualifier="nobody", AuthType="NONE")
    other = create(FunctionName=name, Qualifier="candidate", AuthType="AWS_IAM")
    assert other["FunctionUrl"] != made["FunctionUrl"]
    cloud.lambdas.update_function_url_config(**live, AuthType="AWS_IAM")
    assert (get(**live)["AuthType"], get(**live)["InvokeMode"]) == ("AWS_IAM", "BUFFERED")
    cloud.lambdas.delete_function_url_config(**live)
    refused(get, "ResourceNotFoundException", **live)
    assert httpx.get(made["FunctionUrl"]).status_code == 404


@pytest.mark.parametrize(
    "permissions",
    [
        [],
        ANYBODY[:1],
        ANYBODY[1:],
        [ANYBODY[0] | {"FunctionUrlAuthType": "AWS_IAM"}, ANYBODY[1]],
        [ANYBODY[0] | {"SourceAccount": "123456789012"}, ANYBODY[1]],
    ],
)
def test_a_url_without_both_permissions_is_forbidden(cloud: Cloud, permissions):
    answer = httpx.get(public_url(cloud, cloud.make(), permissions))
    assert (answer.status_code, answer.json()) == (403, {"Message": "Forbidden"})


def test_permissions_on_the_function_do_not_open_the_url_of_an_alias(cloud: Cloud):
    name = cloud.make()
    url = public_url(cloud, name, [])
    for number, permission in enumerate(ANYBODY):
        cloud.lambdas.add_permission(FunctionName=name, StatementId=f"s{number}", Principal="*", **permission)
    assert httpx.get(url).status_code == 403


def test_an_iam_url_asks_for_a_signature(cloud: Cloud):
    name = cloud.make()
    url = public_url(cloud, name)
    cloud.lambdas.update_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM")
    assert httpx.get(url).status_code == 403
    assert httpx.get(url, headers={"Authorization": "AWS4-HMAC-SHA256 made-up"}).status_code == 200


def test_a_request_arrives_as_an_event_of_format_2(cloud: Cloud):
    url = public_url(cloud, cloud.make(SEE))
    answer = httpx.post(
        f"{url}api/items%20x?tag=a&tag=b&empty=",
        headers={"X-Own": "1", "Cookie": "a=1; b=2", "User-Agent": "tests"},
        json={"k": "v"},
    )
    event = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert (event["rawPath"], event["rawQueryString"]) == ("/api/items%20x", "tag=a&tag=b&empty=")
    assert event["queryStringParameters"] == {"tag": "a,b", "empty": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-own"] == "1"
    assert "cookie" not in event["headers"]
    assert (json.loads(event["body"]), event["isBase64Encoded"]) == ({"k": "v"}, False)
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"], http["userAgent"]) == ("POST", "/api/items%20x", "tests")
    assert event["requestContext"]["requestId"] == answer.headers["x-amzn-requestid"]

    bare = httpx.get(url).json()
    assert bare["rawPath"] == "/"
    assert not {"body", "cookies", "queryStringParameters"} & bare.keys()
    binary = httpx.put(url, content=b"\x00\xff", headers={"content-type": "application/octet-stream"}).json()
    assert (base64.b64decode(binary["body"]), binary["isBase64Encoded"]) == (b"\x00\xff", True)


def test_results_become_answers(cloud: Cloud):
    url = public_url(cloud, cloud.make(SEE))
    plain = httpx.get(f"{url}?answer=plain")
    assert (plain.status_code, plain.json()) == (200, {"hello": "world"})
    cookies = httpx.get(f"{url}?answer=cookies")
    assert (cookies.status_code, cookies.text, cookies.headers["x-own"]) == (201, "ok", "1")
    assert cookies.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
    binary = httpx.get(f"{url}?answer=binary")
    assert (binary.content, binary.headers["content-type"]) == (b"\x00\x01\xff", "image/png")
    for broken in ("raise", "object"):
        answer = httpx.get(f"{url}?answer={broken}")
        assert (answer.status_code, answer.text) == (502, "Internal Server Error")


def test_a_url_follows_its_alias_at_once(cloud: Cloud):
    name = cloud.make("def handle(event, context):\n    return context.function_version\n")
    url = public_url(cloud, name)
    assert httpx.get(url).json() == "1"
    cloud.update(name, "def handle(event, context):\n    return 'new ' + context.function_version\n")
    assert httpx.get(url).json() == "1"
    cloud.lambdas.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert httpx.get(url).json() == "new 2"
    cloud.lambdas.delete_function(FunctionName=name)
    assert httpx.get(url).status_code == 404


def test_an_empty_dead_letter_target_is_no_dead_letter_target(cloud: Cloud):
    name = two_versions(cloud)
    cloud.lambdas.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    third = cloud.lambdas.publish_version(FunctionName=name)["Version"]
    cloud.lambdas.create_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {third if third != "1" else "2": 0.1}},
    )
