"""Every call with the credentials of a role, decided by the evaluator before anything is carried out.

Credentials of the administrator are not decided. Nothing else goes through silently: a call that the tables do not
know, a condition that is not filled in, and credentials that nobody handed out are refused, each by name.
"""

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from components.arns import Arns
from components.naming import names as names_of
from components.policies.documents import Document
from localcloud.environment import ACCOUNT, ADMINISTRATORS, REGION
from localcloud.faults import names
from localcloud.faults.answers import Answer, RefusalKind, refused
from localcloud.iam.evaluator import DENIED, EvaluationError, PolicyEvaluator, PolicyRequest
from localcloud.iam.needs import Need, needs
from localcloud.iam.received import Received
from localcloud.iam.requests import needs_of_s3, parameters, signature

KNOWN_CONDITIONS: Final = frozenset(
    {
        *("aws:PrincipalArn", "aws:PrincipalAccount", "aws:SecureTransport", "aws:RequestedRegion"),
        *("events:TargetArn", "iam:PassedToService", "iam:PermissionsBoundary"),
        *("s3:if-match", "s3:if-none-match", "s3:prefix", "s3:delimiter", "s3:max-keys", "s3:x-amz-acl"),
    }
)
"""Condition keys that are filled in where the call has them."""
ABSENT_CONDITIONS: Final = frozenset({"kms:ResourceAliases", "aws:SourceAccount", "aws:SourceArn"})
"""Keys of calls that nobody makes here as a role: of KMS, and of AWS's own services."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoleSession:
    """A session of a role."""

    role: str
    """ARN of the role."""
    session: str

    @property
    def arn(self) -> str:
        """ARN of the session, by which AWS names it."""
        return f"arn:aws:sts::{self.role.split(':')[4]}:assumed-role/{self.role.rpartition('/')[2]}/{self.session}"


@dataclass(frozen=True)
class Rights:
    """The documents that say what a role may do."""

    identity: Sequence[Document]
    boundary: Document | None


class CredentialsError(Exception):
    """Credentials that stand for nobody: made up, incomplete or expired."""

    def __init__(self, kind: RefusalKind) -> None:
        super().__init__(kind.value)
        self.kind = kind


class Directory(Protocol):
    """What the account knows of roles and resources."""

    def caller(self, access_key: str, token: str) -> RoleSession:
        """Return whose credentials these are; raises CredentialsError."""

    def rights(self, role: str) -> Rights:
        """Return the documents of a role by its ARN; raises CredentialsError for a role that is gone."""

    def boundary_of(self, role_name: str) -> str | None:
        """Return the ARN of a role's permissions boundary."""

    def resource_policy(self, resource: str) -> Document | None:
        """Return the policy of the bucket that a resource is, or is in."""


class Enforcement:
    """Decides requests; remembers what it denied, in order."""

    def __init__(self, directory: Directory, evaluator: PolicyEvaluator) -> None:
        self._directory = directory
        self._evaluator = evaluator
        self._lock = threading.Lock()
        self._denials: list[dict[str, str]] = []

    @property
    def denials(self) -> list[dict[str, str]]:
        """What was denied so far: `user`, `action`, `resource` and AWS's sentence."""
        with self._lock:
            return list(self._denials)

    def refusal(self, request: Received) -> Answer | None:
        """Return AWS's refusal of a request, or None for one that may be carried out.

        Requests that nobody signed are not decided: S3 refuses them, and STS decides those with a web identity.
        """
        signed = signature(request)
        if signed is None or signed.access_key in ADMINISTRATORS:
            return None
        service, operation = names.aws_call(*request) or (signed.service, "")
        if (service, operation) == ("sts", "AssumeRoleWithWebIdentity"):
            return None
        try:
            caller = self._directory.caller(signed.access_key, signed.token)
            sentence = self._sentence(caller, service, operation, request)
        except CredentialsError as error:
            self._note(signed.access_key, f"{service}:{operation}", "", str(error))
            return refused(service, error.kind, "", request.headers)
        return refused(service, RefusalKind.DENIED, sentence, request.headers) if sentence else None

    def _sentence(self, caller: RoleSession, service: str, operation: str, request: Received) -> str:
        """Why a call is denied, as AWS says it; empty when it is allowed."""
        try:
            needed = self._needs(service, operation, request)
        except (KeyError, ValueError) as error:
            why = f"the local cloud cannot tell what this call needs ({type(error).__name__}: {error})"
            return self._denied(caller, f"{service}:{operation or 'an unknown operation'}", "*", why)
        for need in needed:
            try:
                why = self._why_denied(caller, self._directory.rights(caller.role), need)
            except EvaluationError as error:
                why = f"the local cloud cannot decide it: {error}"
            if why:
                return self._denied(caller, need.action, need.resource, why)
        return ""

    def _needs(self, service: str, operation: str, request: Received) -> list[Need]:
        if not operation:
            raise KeyError(f"{request.method} {request.target.partition('?')[0]}")
        if service != "s3":
            read = parameters(service, operation, request)
            return needs(service, operation, read, _ARNS, self._directory.boundary_of)
        if not (found := needs_of_s3(request)):
            raise KeyError(operation)
        return found

    def _why_denied(self, caller: RoleSession, rights: Rights, need: Need) -> str:
        policy = self._directory.resource_policy(need.resource)
        for document in (*rights.identity, rights.boundary, policy):
            _check_conditions(document)
        decision = self._evaluator.decide(
            PolicyRequest(
                principal=caller.role,
                action=need.action,
                resource=need.resource,
                account=ACCOUNT,
                identity=rights.identity,
                boundary=rights.boundary,
                resource_policy=policy,
                context={"aws:RequestedRegion": REGION, **need.context},
            )
        )
        if decision.allowed:
            return ""
        if decision.outcome == DENIED:
            return f"with an explicit deny in {decision.by}"
        return f"because no {decision.by.partition(' ')[2]} allows the {need.action} action"

    def _denied(self, caller: RoleSession, action: str, resource: str, why: str) -> str:
        quoted = f'"{resource}"' if action.startswith("s3:") else resource
        sentence = f"User: {caller.arn} is not authorized to perform: {action} on resource: {quoted} {why}"
        self._note(caller.arn, action, resource, sentence)
        return sentence

    def _note(self, user: str, action: str, resource: str, sentence: str) -> None:
        _LOG.warning("denied: %s", sentence)
        with self._lock:
            self._denials.append({"user": user, "action": action, "resource": resource, "message": sentence})


_ARNS: Final = Arns(account_id=ACCOUNT, region=REGION, names=names_of("preprod"))
"""Account and region; the names in it are not asked for."""


def _check_conditions(document: Document | None) -> None:
    """Refuse to decide by a condition that is neither filled in nor known to be absent."""
    statements: Any = (document or {}).get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        for keys in statement.get("Condition", {}).values():
            known = {key.lower() for key in KNOWN_CONDITIONS | ABSENT_CONDITIONS}
            if unknown := [key for key in keys if key.lower() not in known]:
                raise EvaluationError(f"the condition keys {json.dumps(unknown)} are not filled in here")
