"""Bucket policies as IAM reads them: operators, absent keys, patterns, principals; and what an S3 request needs."""

import pytest

from localcloud.aws.policy import Effect, MalformedPolicyError, Request, check, decide
from localcloud.aws.s3_requests import bucket_permission, creates_object, delete_permission, object_permissions

ROLE = "arn:aws:iam::123456789012:role/prod-sentiment-deploy"


def verdict(condition=None, keys=(), **changed):
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"} | changed
    if condition:
        statement["Condition"] = condition
    statement = {name: value for name, value in statement.items() if value is not None}
    asked = Request(
        action="s3:PutObject",
        resource="arn:aws:s3:::b/ledger/entries/1",
        principals=frozenset({ROLE, "123456789012"}),
        keys=dict(keys),
    )
    return decide({"Statement": statement}, asked) is Effect.DENY


@pytest.mark.parametrize(
    ("operator", "wanted", "actual", "present", "absent"),
    [
        ("StringEquals", ["a", "b"], "b", True, False),
        ("StringEquals", "a", "b", False, False),
        ("StringNotEquals", "a", "b", True, True),
        ("StringNotEquals", ["a", "b"], "b", False, True),
        ("StringLike", "a*c?", "abbcd", True, False),
        ("StringLike", "a[b]", "ab", False, False),
        ("StringNotLike", "a*", "b", True, True),
        ("StringEqualsIfExists", "a", "a", True, True),
        ("StringNotEqualsIfExists", "a", "a", False, True),
        ("Bool", "false", "false", True, False),
        ("Bool", False, "false", True, False),
        ("BoolIfExists", "false", "true", False, True),
        ("Null", "true", "x", False, True),
        ("Null", False, "x", True, False),
        ("ArnLike", "arn:aws:iam::123456789012:role/prod-*", ROLE, True, False),
        ("ArnLike", "arn:aws:iam::*:role/preprod-*", ROLE, False, False),
        ("ArnLike", "arn:*", ROLE, False, False),
        ("ArnNotLike", "arn:aws:iam::123456789012:role/prod-*", ROLE, False, True),
    ],
)
def test_each_operator_has_its_own_rule_for_a_key_that_is_absent(operator, wanted, actual, present, absent):
    condition = {operator: {"aws:Thing": wanted}}
    assert verdict(condition, {"aws:thing": actual}) is present
    assert verdict(condition) is absent


def test_all_conditions_must_hold():
    condition = {"Null": {"s3:if-none-match": "true", "s3:if-match": "true"}}
    assert verdict(condition)
    assert not verdict(condition, {"s3:if-match": "x"})


def test_resources_actions_and_principals_are_patterns_that_can_be_negated():
    assert verdict(Resource=["arn:aws:s3:::other/*", "arn:aws:s3:::b/ledger/*"])
    assert not verdict(Resource="arn:aws:s3:::b")
    assert not verdict(Resource=None, NotResource="arn:aws:s3:::b/ledger/*")
    assert verdict(Resource=None, NotResource="arn:aws:s3:::b/packages/*")
    assert verdict(Action=["s3:Get*", "S3:put*"])
    assert not verdict(Action=None, NotAction="s3:PutObject")
    assert verdict(Principal={"AWS": ROLE})
    assert verdict(Principal={"AWS": "*"})
    assert not verdict(Principal={"AWS": "arn:aws:iam::123456789012:role/another"})
    assert not verdict(Principal={"Service": "cloudtrail.amazonaws.com"})


def test_a_deny_wins_over_an_allow_and_silence_is_neither():
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    asked = Request(action="s3:GetObject", resource="arn:aws:s3:::b/a")
    assert decide({"Statement": allow}, asked) is Effect.ALLOW
    assert decide({"Statement": [allow, allow | {"Effect": "Deny"}]}, asked) is Effect.DENY
    assert decide({"Statement": allow | {"Action": "s3:PutObject"}}, asked) is Effect.NONE


@pytest.mark.parametrize(
    "changed",
    [
        {"Effect": "deny"},
        {"Action": None},
        {"Principal": None, "NotPrincipal": {"AWS": ROLE}},
        {"Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team}/*"},
        {"Condition": {"StringIs": {}}},
        {"Condition": {"ForAnyValue:StringEquals": {}}},
    ],
)
def test_what_is_not_a_policy_is_refused_with_the_reason(changed):
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"} | changed
    with pytest.raises(MalformedPolicyError):
        check({"Statement": {name: value for name, value in statement.items() if value is not None}})


@pytest.mark.parametrize(
    ("method", "query", "action"),
    [
        ("GET", {}, "GetObject"),
        ("HEAD", {}, "GetObject"),
        ("HEAD", {"versionId": ["1"]}, "GetObjectVersion"),
        ("GET", {"tagging": [""], "versionId": ["1"]}, "GetObjectVersionTagging"),
        ("PUT", {}, "PutObject"),
        ("PUT", {"retention": [""]}, "PutObjectRetention"),
        ("PUT", {"uploadId": ["1"], "partNumber": ["1"]}, "PutObject"),
        ("POST", {"uploads": [""]}, "PutObject"),
        ("POST", {"restore": [""]}, "RestoreObject"),
        ("DELETE", {}, "DeleteObject"),
        ("DELETE", {"versionId": ["1"]}, "DeleteObjectVersion"),
        ("DELETE", {"uploadId": ["1"]}, "AbortMultipartUpload"),
        ("GET", {"uploadId": ["1"]}, "ListMultipartUploadParts"),
    ],
)
def test_a_request_to_an_object_needs_the_action_that_aws_documents(method, query, action):
    (needed,) = object_permissions(method, "b", "k/1", query, {})
    assert needed.action == f"s3:{action}"
    assert needed.resource == "arn:aws:s3:::b/k/1"


@pytest.mark.parametrize(
    ("method", "query", "action"),
    [
        ("GET", {}, "ListBucket"),
        ("GET", {"versions": [""]}, "ListBucketVersions"),
        ("GET", {"policy": [""]}, "GetBucketPolicy"),
        ("PUT", {"lifecycle": [""]}, "PutLifecycleConfiguration"),
        ("DELETE", {"lifecycle": [""]}, "PutLifecycleConfiguration"),
        ("DELETE", {"policy": [""]}, "DeleteBucketPolicy"),
        ("DELETE", {}, "DeleteBucket"),
    ],
)
def test_a_request_to_a_bucket_needs_the_action_that_aws_documents(method, query, action):
    assert bucket_permission(method, "b", query).action == f"s3:{action}"


def test_a_copy_needs_the_right_to_read_its_source():
    headers = {"x-amz-copy-source": "/source/a%20b?versionId=1"}
    _, source = object_permissions("PUT", "b", "k", {}, headers)
    assert (source.action, source.resource) == ("s3:GetObjectVersion", "arn:aws:s3:::source/a b")


def test_only_the_request_that_makes_the_object_appear_creates_it():
    assert creates_object("PUT", {})
    assert creates_object("POST", {"uploadId": ["1"]})
    assert not creates_object("POST", {"uploads": [""]})
    assert not creates_object("PUT", {"uploadId": ["1"], "partNumber": ["1"]})
    assert not creates_object("PUT", {"tagging": [""]})
    assert delete_permission("b", "k", "1").action == "s3:DeleteObjectVersion"
