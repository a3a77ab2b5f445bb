"""Functions and versions of the local Lambda service."""

import base64
import hashlib
import json
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.localcloud.lambdas_cloud import ECHO, Cloud, cloud_fixture, zipped  # noqa: F401

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
OTHER = "def handle(event, context):\n    return 'other'\n"


def refused(call, code: str, **arguments) -> str:
    """The message of a refusal with this error code."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def test_a_function_gives_back_every_setting_it_was_made_with(cloud: Cloud):
    settings: dict[str, Any] = {
        "Description": "what it is for",
        "Timeout": 7,
        "MemorySize": 256,
        "Environment": {"Variables": {"STAGE": "preprod"}},
        "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:letters"},
        "Architectures": ["x86_64"],
    }
    name = cloud.make(**settings, Tags={"team": "a"})
    answer = cloud.lambdas.get_function(FunctionName=name)
    shown = answer["Configuration"]
    assert {key: shown[key] for key in settings} == settings
    assert shown["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    assert (shown["State"], shown["LastUpdateStatus"], shown["Version"]) == ("Active", "Successful", "$LATEST")
    assert answer["Tags"] == {"team": "a"}
    assert cloud.lambdas.get_function_configuration(FunctionName=shown["FunctionArn"])["FunctionName"] == name


def test_the_code_digest_is_that_of_the_zip(cloud: Cloud):
    package = zipped(ECHO)
    name = cloud.make()
    answer = cloud.lambdas.get_function(FunctionName=name, Qualifier="1")
    assert answer["Configuration"]["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert answer["Configuration"]["CodeSize"] == len(package)


def test_code_comes_from_the_named_version_of_an_object(cloud: Cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="packages")
    s3.put_bucket_versioning(Bucket="packages", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket="packages", Key="f.zip", Body=zipped("def handle(e, c): return 'old'"))["VersionId"]
    s3.put_object(Bucket="packages", Key="f.zip", Body=zipped("def handle(e, c): return 'new'"))
    place = {"S3Bucket": "packages", "S3Key": "f.zip"}
    common = {"Runtime": "python3.11", "Role": cloud.role, "Handler": "handler.handle"}
    cloud.lambdas.create_function(FunctionName="from-s3", Code=place | {"S3ObjectVersion": old}, **common)
    assert cloud.invoke("from-s3")[0] == "old"
    cloud.lambdas.update_function_code(FunctionName="from-s3", **place)
    assert cloud.invoke("from-s3")[0] == "new"

    update = cloud.lambdas.update_function_code
    for missing in ({"S3Key": "no.zip"}, {"S3ObjectVersion": "none"}, {"S3Bucket": "nowhere"}):
        message = refused(update, "InvalidParameterValueException", FunctionName="from-s3", **place | missing)
        assert "S3 Error Code" in message
    assert cloud.invoke("from-s3")[0] == "new"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Runtime": "python9.9"}, "InvalidParameterValueException"),
        ({"Runtime": "python3.6"}, "InvalidParameterValueException"),
        ({"Runtime": "nodejs24.x"}, "InvalidParameterValueException"),
        ({"Timeout": 901}, "ValidationException"),
        ({"Timeout": 0}, "ValidationException"),
        ({"MemorySize": 127}, "ValidationException"),
        ({"MemorySize": 10241}, "ValidationException"),
        ({"EphemeralStorage": {"Size": 1024}}, "InvalidParameterValueException"),
        ({"LoggingConfig": {"LogFormat": "JSON"}}, "InvalidParameterValueException"),
        ({"TracingConfig": {"Mode": "Active"}}, "InvalidParameterValueException"),
        ({"VpcConfig": {"SubnetIds": ["s"], "SecurityGroupIds": ["g"]}}, "InvalidParameterValueException"),
        ({"Environment": {"Variables": {"BIG": "x" * 4096}}}, "InvalidParameterValueException"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException"),
        ({"Environment": {"Variables": {"1A": "x"}}}, "ValidationException"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::bucket"}}, "InvalidParameterValueException"),
        ({"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:a:1"]}, "InvalidParameterValueException"),
        ({"FunctionName": "a" * 65}, "ValidationException"),
        ({"FunctionName": "a b"}, "ValidationException"),
        ({"Role": "nobody"}, "InvalidParameterValueException"),
        ({"Role": "arn:aws:iam::123456789012:role/missing"}, "InvalidParameterValueException"),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException"),
        ({"Code": {"ZipFile": zipped(ECHO)[:-30]}}, "InvalidParameterValueException"),
        ({"Code": {"ImageUri": "image"}}, "InvalidParameterValueException"),
        ({"PackageType": "Image"}, "InvalidParameterValueException"),
    ],
)
def test_what_aws_would_refuse_is_refused_and_leaves_nothing_behind(cloud: Cloud, change, code):
    request = {
        "FunctionName": "refused",
        "Runtime": "python3.11",
        "Role": cloud.role,
        "Handler": "handler.handle",
        "Code": {"ZipFile": zipped(ECHO)},
    }
    unchecked = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    lambdas = boto3.client("lambda", endpoint_url=cloud.service.url, config=unchecked, **KEYS)
    refused(lambdas.create_function, code, **request | change)
    refused(cloud.lambdas.get_function, "ResourceNotFoundException", FunctionName="refused")


def test_a_role_must_trust_lambda(cloud: Cloud):
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    role = cloud.make_role(document)
    name = cloud.make()
    update = cloud.lambdas.update_function_configuration
    assert "cannot be assumed" in refused(update, "InvalidParameterValueException", FunctionName=name, Role=role)


def test_a_taken_name_is_a_conflict(cloud: Cloud):
    name = cloud.make()
    with pytest.raises(ClientError, match="ResourceConflictException"):
        cloud.make(name=name)


def test_a_published_version_is_frozen(cloud: Cloud):
    name = cloud.make(Environment={"Variables": {"STAGE": "1"}}, MemorySize=128)
    before = cloud.lambdas.get_function_configuration(FunctionName=name, Qualifier="1")
    cloud.update(name, OTHER)
    cloud.lambdas.update_function_configuration(
        FunctionName=name, MemorySize=512, Environment={"Variables": {"STAGE": "2"}}
    )
    after = cloud.lambdas.get_function_configuration(FunctionName=name, Qualifier="1")
    assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
    assert cloud.lambdas.get_function_configuration(FunctionName=name)["MemorySize"] == 512


def test_publishing_without_a_change_gives_the_last_version_and_a_change_of_settings_gives_a_new_one(cloud: Cloud):
    name = cloud.make()
    publish = cloud.lambdas.publish_version
    assert publish(FunctionName=name)["Version"] == "1"
    assert cloud.update(name, ECHO) == "1"
    cloud.lambdas.update_function_configuration(FunctionName=name, MemorySize=256)
    assert publish(FunctionName=name, Description="mine")["Version"] == "2"
    assert publish(FunctionName=name)["Description"] == "mine"
    versions = cloud.lambdas.list_versions_by_function(FunctionName=name)["Versions"]
    assert [one["Version"] for one in versions] == ["$LATEST", "1", "2"]
    assert versions[2]["FunctionArn"].endswith(f":{name}:2")


def test_publishing_minds_its_preconditions(cloud: Cloud):
    name = cloud.make()
    publish = cloud.lambdas.publish_version
    current = cloud.lambdas.get_function_configuration(FunctionName=name)
    cloud.lambdas.update_function_code(FunctionName=name, ZipFile=zipped(OTHER))
    for stale in ({"CodeSha256": current["CodeSha256"]}, {"RevisionId": current["RevisionId"]}):
        refused(publish, "PreconditionFailedException", FunctionName=name, **stale)
    current = cloud.lambdas.get_function_configuration(FunctionName=name)
    right = {"CodeSha256": current["CodeSha256"], "RevisionId": current["RevisionId"]}
    assert publish(FunctionName=name, **right)["Version"] == "2"


def test_updates_mind_the_revision(cloud: Cloud):
    name = cloud.make()
    before = cloud.lambdas.get_function_configuration(FunctionName=name)
    cloud.lambdas.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=before["RevisionId"])
    stale = {"FunctionName": name, "RevisionId": before["RevisionId"]}
    refused(cloud.lambdas.update_function_configuration, "PreconditionFailedException", Timeout=6, **stale)
    refused(cloud.lambdas.update_function_code, "PreconditionFailedException", ZipFile=zipped(OTHER), **stale)
    assert cloud.lambdas.get_function_configuration(FunctionName=name)["Timeout"] == 5


def test_version_numbers_never_come_back_not_even_after_the_function_was_deleted(cloud: Cloud):
    name = cloud.make()
    assert cloud.update(name, OTHER) == "2"
    cloud.lambdas.delete_function(FunctionName=name, Qualifier="2")
    assert cloud.update(name, "def handle(e, c): return 3") == "3"
    cloud.lambdas.delete_function(FunctionName=name)
    cloud.make(name=name)
    versions = cloud.lambdas.list_versions_by_function(FunctionName=name)["Versions"]
    assert [one["Version"] for one in versions] == ["$LATEST", "4"]


def test_a_version_that_an_alias_uses_cannot_be_deleted(cloud: Cloud):
    name = cloud.make()
    cloud.update(name, OTHER)
    cloud.lambdas.create_alias(
        FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}}
    )
    for version in ("1", "2"):
        message = refused(
            cloud.lambdas.delete_function, "ResourceConflictException", FunctionName=name, Qualifier=version
        )
        assert "[live]" in message
    refused(cloud.lambdas.delete_function, "InvalidParameterValueException", FunctionName=name, Qualifier="$LATEST")
    cloud.lambdas.delete_alias(FunctionName=name, Name="live")
    cloud.lambdas.delete_function(FunctionName=name, Qualifier="2")
    refused(cloud.lambdas.get_function, "ResourceNotFoundException", FunctionName=name, Qualifier="2")


def test_lists_come_in_pages(cloud: Cloud):
    names = {cloud.make() for _ in range(3)}
    pages = list(cloud.lambdas.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    assert len(pages) > 1
    assert names <= {one["FunctionName"] for page in pages for one in page["Functions"]}


def test_reserved_concurrency_and_tags_can_be_read_changed_and_removed(cloud: Cloud):
    name = cloud.make()
    lambdas = cloud.lambdas
    assert "Concurrency" not in lambdas.get_function(FunctionName=name)
    lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    assert lambdas.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    refused(
        lambdas.put_function_concurrency,
        "InvalidParameterValueException",
        FunctionName=name,
        ReservedConcurrentExecutions=901,
    )
    lambdas.delete_function_concurrency(FunctionName=name)
    assert "Concurrency" not in lambdas.get_function(FunctionName=name)

    arn = lambdas.get_function_configuration(FunctionName=name)["FunctionArn"]
    lambdas.tag_resource(Resource=arn, Tags={"a": "1", "b": "2", "c": "3"})
    lambdas.untag_resource(Resource=arn, TagKeys=["a", "b"])
    assert lambdas.list_tags(Resource=arn)["Tags"] == {"c": "3"}


def test_what_the_aws_provider_reads_besides_is_answered(cloud: Cloud):
    name = cloud.make()
    lambdas, one = cloud.lambdas, {"FunctionName": name}
    assert not lambdas.get_function_code_signing_config(**one).get("CodeSigningConfigArn")
    assert lambdas.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000
    lambdas.get_waiter("function_active_v2").wait(**one)
    lambdas.get_waiter("function_updated_v2").wait(**one)
    lambdas.get_waiter("published_version_active").wait(Qualifier="1", **one)


def test_an_unknown_route_is_not_found_and_named_in_the_log(cloud: Cloud):
    answer = httpx.get(f"{cloud.service.url}/2099-01-01/dreams")
    assert answer.status_code == 404
    assert "GET /2099-01-01/dreams" in json.loads(answer.content)["Message"]
    assert "no such route: GET /2099-01-01/dreams" in cloud.service.logged()


def test_a_function_of_another_account_or_region_is_not_found(cloud: Cloud):
    name = cloud.make()
    for arn in (
        f"arn:aws:lambda:us-east-1:999999999999:function:{name}",
        f"arn:aws:lambda:eu-west-1:123456789012:function:{name}",
    ):
        refused(cloud.lambdas.get_function, "ResourceNotFoundException", FunctionName=arn)
