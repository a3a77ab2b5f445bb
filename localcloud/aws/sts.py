"""Corrections of moto's STS."""

import json
import os

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import Role, iam_backends
from moto.sts.exceptions import STSClientError
from moto.sts.models import STSBackend
from moto.sts.responses import TokenResponse

from localcloud.environment import ACCOUNT
from localcloud.iam.evaluator import EvaluationError, PolicyRequest, evaluator
from localcloud.iam.switch import ISSUER_VARIABLE
from localcloud.iam.tokens import TokenError, WebIdentity, verified


def name_unknown_callers_root() -> None:
    """GetCallerIdentity: moto calls an unknown key `user/moto`, an ARN that AWS never gives. S3's policies see root."""
    get_caller_identity = STSBackend.get_caller_identity

    def named(self: STSBackend, access_key_id: str, region: str) -> tuple[str, str, str]:
        user_id, arn, account_id = get_caller_identity(self, access_key_id, region)
        if arn.endswith(":user/moto"):
            return account_id, f"arn:aws:iam::{account_id}:root", account_id
        return user_id, arn, account_id

    STSBackend.get_caller_identity = named


def check_web_identities() -> None:
    """AssumeRoleWithWebIdentity: moto hands out credentials for whatever token and whatever role."""
    assume = TokenResponse.assume_role_with_web_identity

    def checked(self: TokenResponse) -> ActionResult:
        token = self._get_param("WebIdentityToken") or ""
        try:
            identity = verified(token, _audiences, os.environ.get(ISSUER_VARIABLE, ""))
        except TokenError as error:
            raise STSClientError(error.code, str(error)) from None
        role = _role(self._get_param("RoleArn") or "")
        if role is None or not _trusts(role, identity):
            raise STSClientError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        if self._get_int_param("DurationSeconds", 3600) > int(role.max_session_duration or 3600):
            raise STSClientError(
                "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        return assume(self)

    TokenResponse.assume_role_with_web_identity = checked


def _audiences(issuer: str) -> list[str] | None:
    providers = iam_backends[ACCOUNT]["aws"].open_id_providers.values()
    return next((one.client_id_list for one in list(providers) if one.url == issuer), None)


def _role(arn: str) -> Role | None:
    try:
        return iam_backends[ACCOUNT]["aws"].get_role_by_arn(arn)
    except NotFoundException:
        return None


def _trusts(role: Role, identity: WebIdentity) -> bool:
    """Whether the role's trust policy lets this identity in; a policy that cannot be decided lets nobody in."""
    request = PolicyRequest(
        principal=f"arn:aws:iam::{ACCOUNT}:oidc-provider/{identity.issuer}",
        action="sts:AssumeRoleWithWebIdentity",
        resource=role.arn,
        account=ACCOUNT,
        resource_policy=json.loads(role.assume_role_policy_document),
        trust=True,
        context=identity.context,
    )
    try:
        return evaluator().decide(request).allowed
    except EvaluationError:
        return False
