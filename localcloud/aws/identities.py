"""Roles, sessions and bucket policies as moto holds them: what decisions about a call are made by."""

import json
from functools import lru_cache
from typing import Final

from moto.core.exceptions import ServiceException
from moto.core.utils import utcnow
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, ManagedPolicy, Role, iam_backends
from moto.s3.models import s3_backends
from moto.sts.models import AssumedRole, sts_backends

from components.policies.documents import Document
from localcloud.environment import ACCOUNT
from localcloud.faults.answers import RefusalKind
from localcloud.iam.enforcement import CredentialsError, Rights, RoleSession
from localcloud.iam.evaluator import EvaluationError

FUNCTION_KEY: Final = "ASIALOCALCLOUD"
"""The access key of every function; its session token is the ARN of its role (localcloud/lambdas/runtime.py)."""


class MotoDirectory:
    """The account that moto plays."""

    def caller(self, access_key: str, token: str) -> RoleSession:
        """Return whose credentials these are; raises CredentialsError for made-up, incomplete and expired ones."""
        if access_key == FUNCTION_KEY:
            return RoleSession(token, "function")
        sessions: list[AssumedRole] = sts_backends[ACCOUNT]["aws"].assumed_roles
        session = next((one for one in sessions if one.access_key_id == access_key), None)
        if session is None:
            raise CredentialsError(RefusalKind.UNKNOWN_KEY)
        if token != session.session_token:
            raise CredentialsError(RefusalKind.BAD_SESSION)
        if session.expiration <= utcnow():
            raise CredentialsError(RefusalKind.EXPIRED)
        return RoleSession(session.role_arn, session.session_name)

    def rights(self, role: str) -> Rights:
        """Return the documents of a role: inline, attached, and its boundary."""
        try:
            found = _iam().get_role_by_arn(role)
        except NotFoundException:
            raise CredentialsError(RefusalKind.BAD_SESSION) from None
        inline = [_document(text) for text in list(found.policies.values())]
        attached = [_document(_text(policy)) for policy in list(found.managed_policies.values())]
        return Rights([*inline, *attached], _boundary(found))

    def boundary_of(self, role_name: str) -> str | None:
        """Return the ARN of a role's permissions boundary; None for a role that is not there or has none."""
        try:
            return _iam().get_role(role_name).permissions_boundary_arn or None
        except NotFoundException:
            return None

    def resource_policy(self, resource: str) -> Document | None:
        """Return the policy of the bucket that a resource is, or is in; None where there is none."""
        if not resource.startswith("arn:aws:s3:::"):
            return None
        bucket = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
        try:
            policy = s3_backends[ACCOUNT]["aws"].get_bucket(bucket).policy
        except ServiceException:
            return None
        return _document(policy.decode() if isinstance(policy, bytes) else policy) if policy else None


def _iam() -> IAMBackend:
    return iam_backends[ACCOUNT]["aws"]


def _boundary(role: Role) -> Document | None:
    if not role.permissions_boundary_arn:
        return None
    try:
        return _document(_text(_iam().get_policy(role.permissions_boundary_arn)))
    except NotFoundException:
        raise EvaluationError(f"the boundary {role.permissions_boundary_arn} is not there") from None


def _text(policy: ManagedPolicy) -> str:
    return next(one.document for one in policy.versions if one.version_id == policy.default_version_id)


@lru_cache(maxsize=256)
def _document(text: str) -> Document:
    return json.loads(text)
