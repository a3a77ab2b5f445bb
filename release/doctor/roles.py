"""Roles of CI: who may assume them and what they may do, against the table that the program makes them from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from components import way_back
from components.arns import GITHUB_ISSUER
from components.identities import IDENTITIES, identities, trust_of
from components.naming import names
from components.policies import execution, safety, trust
from components.policies.comparison import difference
from components.policies.documents import Document
from components.policies.trust import STS_AUDIENCE
from components.service.functions import KEYS
from components.settings import Settings
from release.clients.aws import unless_missing
from release.doctor.check import Notes, Scope, check, differs
from release.doctor.place import Place

_MISSING: Final = "NoSuchEntity"


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is deployed; its inline policies by name, its attached ones by ARN."""

    trust: Mapping[str, Any]
    inline: Mapping[str, Mapping[str, Any]]
    attached: tuple[str, ...]


Roles = Mapping[str, Role | None]
"""Roles by name; `None` for one that does not exist."""


@dataclass(frozen=True, slots=True)
class _Expected:
    trust: Document
    rights: Document


def expected_roles(settings: Settings) -> dict[str, _Expected]:
    """The roles of the foundation by name: those of the identities, and those of the safety net."""
    own = names(settings.environment)
    found = {
        identity.role(own): _Expected(trust_of(identity, settings), identity.rights(settings.arns))
        for identity in identities(settings.environment)
    }
    account, arns = settings.account_id, settings.arns
    found[own.safety_role] = _Expected(trust.by_service(safety.TRUSTED, account), safety.return_traffic(arns))
    found[own.way_back_role] = _Expected(
        trust.by_service(safety.TRUSTED_TO_START, account), safety.start_way_back(arns)
    )
    return found


def _look_at_role(place: Place, name: str) -> Role | None:
    iam = place.aws("iam")
    found = unless_missing(lambda: iam.get_role(RoleName=name), _MISSING)
    if found is None:
        return None
    inline = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    return Role(
        trust=found["Role"]["AssumeRolePolicyDocument"],
        inline={
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for page in inline
            for policy in page["PolicyNames"]
        },
        attached=tuple(policy["PolicyArn"] for page in attached for policy in page["AttachedPolicies"]),
    )


@check(
    "roles.table",
    asks="IAM for each role of components/identities.py and for those of the safety net: its trust document, "
    "its inline and its attached policies",
    expected="each exists; its trust and its one inline policy, of any name, mean the same as the table; none is "
    "attached",
    fix="pulumi up --refresh --stack {foundation}; for one policy more: aws iam detach-role-policy, or "
    "delete-role-policy; who changed it: docs/reference/readiness.md, section Strangers",
    look=lambda place: {name: _look_at_role(place, name) for name in expected_roles(place.settings)},
)
def _roles_table(settings: Settings, roles: Roles) -> Notes:
    expected = expected_roles(settings)
    for name, wanted in expected.items():
        role = roles[name]
        if role is None:
            yield f"{name} does not exist"
            continue
        yield from differs(wanted.trust, role.trust, f"trust of {name}")
        differences = [difference(wanted.rights, policy) for policy in role.inline.values()]
        if not differences:
            yield f"{name} has no policy"
        elif "" not in differences:
            yield f"{name}: {differences[0]}"
        if len(role.inline) > 1:
            yield f"{name} has {len(role.inline)} inline policies: {', '.join(sorted(role.inline))}"
        if role.attached:
            yield f"{name} has policies attached: {', '.join(role.attached)}"
    return f"trust and rights of {len(expected)} roles are the computed ones, and nothing else"


Boundary = tuple[Mapping[str, Any] | None, Mapping[str, str]]
"""The boundary policy (`None` where there is none), and the boundary of each role that CI has made."""


def _boundary(place: Place) -> Boundary:
    iam, own = place.aws("iam"), place.names
    arn = place.arns.of("policy", own.boundary)
    policy = unless_missing(lambda: iam.get_policy(PolicyArn=arn), _MISSING)
    document = None
    if policy is not None:
        version = policy["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    made = [own.schedule_role, *(own.function(key).role for key in KEYS)]
    found = {name: unless_missing(lambda name=name: iam.get_role(RoleName=name), _MISSING) for name in made}
    return document, {
        name: answer["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")
        for name, answer in found.items()
        if answer is not None
    }


@check(
    "roles.boundary",
    asks="IAM for the permissions boundary, and for the boundary of each role that CI has made",
    expected="it means what components/policies/execution.py computes, and is around all of them",
    fix="pulumi up --refresh --stack {foundation}; then pulumi up --refresh --stack {stack}",
    look=_boundary,
)
def _roles_boundary(settings: Settings, boundary: Boundary) -> Notes:
    policy, of_roles = boundary
    arn = settings.arns.of("policy", names(settings.environment).boundary)
    yield from (f"{name} is outside of it" for name, of in of_roles.items() if of != arn)
    if policy is None:
        yield f"{arn} does not exist"
    else:
        yield from differs(execution.boundary(settings.arns), policy)
    return f"it is the computed one, around {len(of_roles)} roles that CI has made"


def _way_back(place: Place) -> Mapping[str, Any] | None:
    """The state machine as Step Functions describes it; `None` where there is none."""
    arn = place.arns.of("state machine", place.names.way_back)
    ask = place.aws("stepfunctions").describe_state_machine
    return unless_missing(lambda: ask(stateMachineArn=arn), "StateMachineDoesNotExist")


@check(
    "roles.way-back",
    asks="Step Functions for the state machine that takes traffic back while a release bakes",
    expected="it is active, runs as the safety role, and has the definition of components/way_back.py",
    fix="pulumi up --refresh --stack {foundation}; who changed it: docs/reference/readiness.md, section Strangers",
    look=_way_back,
)
def _roles_way_back(settings: Settings, machine: Mapping[str, Any] | None) -> Notes:
    """A rule may start a state machine that does not exist: nobody would be told before an alarm rings."""
    own = names(settings.environment)
    if machine is None:
        yield f"{own.way_back} does not exist: no alarm takes traffic back"
        return ""
    if machine["status"] != "ACTIVE":
        yield f"{own.way_back} is {machine['status']}"
    if machine["roleArn"] != settings.arns.of("role", own.safety_role):
        yield f"{own.way_back} runs as {machine['roleArn']}"
    if json.loads(machine["definition"]) != way_back.definition():
        yield f"{own.way_back} has another definition"
    return f"{own.way_back} has the computed definition and role"


def _audiences(place: Place) -> tuple[str, ...] | None:
    ask = partial(place.aws("iam").get_open_id_connect_provider, OpenIDConnectProviderArn=place.arns.github_provider)
    return unless_missing(lambda: tuple(ask()["ClientIDList"]), _MISSING)


@check(
    "roles.provider",
    asks="IAM for the account's OIDC provider of GitHub's tokens",
    expected=f"it exists, for the audience {STS_AUDIENCE}",
    fix="pulumi up --refresh --stack prod-foundation (adoptGithubProvider says whose it is)",
    look=_audiences,
    scope=Scope.ACCOUNT,
)
def _roles_provider(settings: Settings, audiences: tuple[str, ...] | None) -> Notes:
    told = f"its audiences are {', '.join(audiences or ()) or 'none'}"
    if audiences is None:
        yield f"{settings.arns.github_provider} does not exist: no job gets credentials"
    elif STS_AUDIENCE not in audiences:
        yield f"{told}, jobs ask for {STS_AUDIENCE}"
    return told


def _all_trust(place: Place) -> dict[str, Mapping[str, Any]]:
    pages = place.aws("iam").get_paginator("list_roles").paginate()
    return {role["Arn"]: role["AssumeRolePolicyDocument"] for page in pages for role in page["Roles"]}


@check(
    "roles.strangers",
    asks="IAM for the trust documents of all roles of the account",
    expected="no role but those of the table lets in a job of this repository, or of any repository",
    fix="aws iam delete-role, or narrow its trust; who made it: docs/reference/readiness.md, section Strangers",
    look=_all_trust,
    scope=Scope.ACCOUNT,
)
def _roles_strangers(settings: Settings, trusts: Mapping[str, Mapping[str, Any]]) -> Notes:
    ours = {
        settings.arns.of("role", identity.role(names(identity.environment)))
        for identity in IDENTITIES
        if identity.environment == settings.environment or not settings.arns.two_accounts
    }
    for arn, document in trusts.items():
        opened = [how for statement in _from_github(document) if (how := _lets_in(statement, settings))]
        if opened and arn not in ours:
            yield f"{arn} lets in {opened[0]}"
    return f"none of {len(trusts)} roles but those of the table"


def _from_github(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    statements = document.get("Statement", ())
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        if statement.get("Effect") == "Allow" and GITHUB_ISSUER in json.dumps(statement.get("Principal", {})):
            yield statement


def _lets_in(statement: Mapping[str, Any], settings: Settings) -> str:
    """Return the jobs of ours that a statement lets in; empty where it is about other repositories."""
    conditions = statement.get("Condition", {})
    subjects = [
        subject
        for keys in conditions.values()
        for key, value in keys.items()
        if key.lower() == f"{GITHUB_ISSUER}:sub"
        for subject in ([value] if isinstance(value, str) else value)
    ]
    if not subjects:
        return "any job of any repository (it asks for no subject)"
    ours = f"repo:{settings.github_owner}/{settings.github_repository}:".lower()
    for subject in subjects:
        # Ids stand behind an @ in newer subjects; behind a wildcard may stand anything.
        sure = re.sub(r"@[^/:]*", "", subject.lower()).partition("*")[0].partition("?")[0]
        if ours.startswith(sure) or sure.startswith(ours):
            return f"jobs of {subject}"
    return ""
