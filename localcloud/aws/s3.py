"""Patches of moto's S3: bucket policies that are really evaluated, and conditional writes wherever the API has them."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs, urlsplit

import xmltodict
from moto.core.exceptions import ServiceException
from moto.iam.access_control import PermissionResult
from moto.iam.models import iam_backends
from moto.s3.exceptions import BucketAccessDeniedError, MissingKey, PreconditionFailed, S3ClientError
from moto.s3.models import FakeBucket, S3Backend
from moto.s3.responses import S3Response
from moto.sts.models import sts_backends

from localcloud.aws.policy import Effect, MalformedPolicyError, Request, check, decide
from localcloud.aws.s3_requests import (
    Permission,
    bucket_permission,
    creates_object,
    delete_permission,
    object_permissions,
)

# What the request at hand has: who asks and which condition keys it carries.
_caller: ContextVar[tuple[frozenset[str], dict[str, str]]] = ContextVar("caller")
# Objects of a DeleteObjects request that the policy keeps.
_kept: ContextVar[frozenset[str]] = ContextVar("kept", default=frozenset())


def evaluate_bucket_policies() -> None:
    """Bucket policies: moto ignores conditions, so that a conditional Deny denies all, and maps actions wrong."""
    bucket_response, key_response = S3Response._bucket_response, S3Response._key_response
    delete_keys = S3Response._bucket_response_delete_keys

    def checked_bucket_response(self: S3Response, request: Any, full_url: str) -> Any:
        query = parse_qs(urlsplit(full_url).query, keep_blank_values=True)
        _caller.set(_describe(self, request.method, query))
        needed = bucket_permission(request.method, self.bucket_name, query)
        if needed:
            _refuse_if_denied(self, needed)
        return bucket_response(self, request, full_url)

    def checked_key_response(self: S3Response, request: Any, full_url: str) -> Any:
        query = parse_qs(urlsplit(full_url).query, keep_blank_values=True)
        _caller.set(_describe(self, request.method, query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        for needed in object_permissions(request.method, self.bucket_name, self.parse_key_name(), query, headers):
            _refuse_if_denied(self, needed)
        return key_response(self, request, full_url)

    def checked_delete_keys(self: S3Response, bucket_name: str, authenticated: bool = True) -> Any:
        listed = xmltodict.parse(self.body, strip_whitespace=False)["Delete"].get("Object", [])
        objects = listed if isinstance(listed, list) else [listed]
        needed = [delete_permission(bucket_name, one["Key"], one.get("VersionId")) for one in objects]
        denied = _kept.set(frozenset(one.resource for one in needed if _effect(self, one) is Effect.DENY))
        try:
            return delete_keys(self, bucket_name, authenticated)
        finally:
            _kept.reset(denied)

    def permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
        # moto asks twice: for the keys of a DeleteObjects, and to let an anonymous request in that the policy allows.
        # A Deny of anything else was answered above, where the whole request is known.
        if resource in _kept.get():
            return PermissionResult.DENIED
        if self.policy is None:
            return PermissionResult.NEUTRAL
        principals, keys = _caller.get()
        action = action.replace("HeadObject", "GetObject").replace("PostObject", "PutObject")
        asked = Request(action=action, resource=resource, principals=principals, keys=keys)
        allowed = decide(json.loads(self.policy), asked) is Effect.ALLOW
        return PermissionResult.PERMITTED if allowed else PermissionResult.NEUTRAL

    S3Response._bucket_response = checked_bucket_response
    S3Response._key_response = checked_key_response
    S3Response._bucket_response_delete_keys = checked_delete_keys
    FakeBucket.get_permission = permission


def refuse_malformed_bucket_policies() -> None:
    """PutBucketPolicy: moto stores whatever comes, and every later request to the bucket breaks on it."""
    put_bucket_policy = S3Backend.put_bucket_policy

    def checked(self: S3Backend, bucket_name: str, policy: bytes) -> None:
        try:
            check(json.loads(policy))
        except json.JSONDecodeError:
            raise S3ClientError("MalformedPolicy", "This policy contains invalid Json") from None
        except MalformedPolicyError as error:
            raise S3ClientError("MalformedPolicy", str(error)) from None
        put_bucket_policy(self, bucket_name, policy)

    S3Backend.put_bucket_policy = checked


def check_conditions_of_copies() -> None:
    """CopyObject: moto knows the conditions on the source only, not If-Match and If-None-Match on the copy."""
    copy_object = S3Response.copy_object

    def checked(self: S3Response) -> Any:
        _check_if_match(self)
        if self.headers.get("If-None-Match") == "*" and self.backend.get_object(
            self.bucket_name, self.parse_key_name()
        ):
            raise PreconditionFailed("If-None-Match")
        return copy_object(self)

    S3Response.copy_object = checked


def check_if_match_of_completed_uploads() -> None:
    """CompleteMultipartUpload: moto knows If-None-Match, not If-Match."""
    key_response_post = S3Response._key_response_post

    def checked(  # noqa: PLR0917 - moto's own signature
        self: S3Response, request: Any, body: bytes, bucket_name: str, query: dict[str, Any], key_name: str
    ) -> Any:
        if "uploadId" in query:
            _check_if_match(self)
        return key_response_post(self, request, body, bucket_name, query, key_name)

    S3Response._key_response_post = checked


def _check_if_match(response: S3Response) -> None:
    expected = response.headers.get("If-Match")
    if not expected:
        return
    key_name = response.parse_key_name()
    existing = response.backend.get_object(response.bucket_name, key_name)
    if existing is None:
        raise MissingKey(key=key_name)
    if expected.strip('"') != existing.etag.strip('"'):
        raise PreconditionFailed("If-Match")


def _refuse_if_denied(response: S3Response, needed: Permission) -> None:
    effect = _effect(response, needed)
    if effect is Effect.DENY or (effect is Effect.NONE and _is_of_another_account(response, needed)):
        raise BucketAccessDeniedError(needed.bucket)


def _is_of_another_account(response: S3Response, needed: Permission) -> bool:
    """Whether only the bucket's own policy could let the caller in, or the caller expects another owner.

    CreateBucket has an answer of its own for a name that is taken.
    """
    owner = _owner(response, needed.bucket)
    if not owner or needed.action == "s3:CreateBucket":
        return False
    expected = response.headers.get("x-amz-expected-bucket-owner", owner)
    signed = "Authorization" in response.headers or "X-Amz-Credential" in response.querystring
    return expected != owner or (signed and response.current_account != owner)


def _owner(response: S3Response, bucket: str) -> str:
    try:
        return response.backend.get_bucket(bucket).account_id
    except ServiceException:
        return ""


def _effect(response: S3Response, needed: Permission) -> Effect:
    try:
        bucket = response.backend.get_bucket(needed.bucket)
    except ServiceException:
        return Effect.NONE
    if bucket.policy is None:
        return Effect.NONE
    principals, keys = _caller.get()
    is_root = keys.get("aws:principaltype") == "Account"
    if is_root and needed.action in ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"):
        # The account's root can always repair a policy that locks everybody out.
        return Effect.NONE
    keys = keys | {"s3:resourceaccount": bucket.account_id, "aws:resourceaccount": bucket.account_id}
    asked = Request(action=needed.action, resource=needed.resource, principals=principals, keys=keys)
    return decide(json.loads(bucket.policy), asked)


def _describe(response: S3Response, method: str, query: dict[str, list[str]]) -> tuple[frozenset[str], dict[str, str]]:
    """Return who asks and the condition keys that the request has; all others are absent."""
    principals, keys = _principal(response)
    # Clients of this cloud speak plain HTTP over loopback, which nobody else can read: that counts as TLS.
    keys |= {"aws:securetransport": "true", "s3:tlsversion": "1.3", "aws:sourceip": "127.0.0.1"}
    for name, value in response.headers.items():
        lower = name.lower()
        if lower in ("if-match", "if-none-match") or lower.startswith("x-amz-"):
            keys[f"s3:{lower}"] = value
    for name in ("prefix", "delimiter", "max-keys", "versionId"):
        if query.get(name):
            keys[f"s3:{name.lower()}"] = query[name][0]
    keys["s3:objectcreationoperation"] = str(creates_object(method, query)).lower()
    return principals, keys


def _principal(response: S3Response) -> tuple[frozenset[str], dict[str, str]]:
    signed = "Authorization" in response.headers or "X-Amz-Credential" in response.querystring
    if not signed:
        return frozenset(), {"aws:principaltype": "Anonymous"}
    account = response.current_account
    root = f"arn:aws:iam::{account}:root"
    arns, kind = [root], "Account"
    assumed = sts_backends[account]["aws"].get_assumed_role_from_access_key(response.get_access_key())
    user = iam_backends[account]["aws"].get_user_from_access_key_id(response.get_access_key())
    if assumed:
        arns, kind = [assumed.role_arn, assumed.arn, root], "AssumedRole"
    elif user:
        arns, kind = [user.arn, root], "User"
    keys = {
        "aws:principalarn": arns[0],
        "aws:principalaccount": account,
        "aws:principaltype": kind,
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
    }
    return frozenset([*arns, account]), keys
