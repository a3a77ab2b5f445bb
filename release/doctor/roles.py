"""Roles of CI: who may assume them and what they may do, against the table that the program makes them from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
from release.doctor.check import Check, Judgement, Scope, conclude, seen
from release.doctor.place import Place, Unseen, each

_MISSING: Final = "NoSuchEntity"


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is deployed; its inline policies by name, its attached ones by ARN."""

    trust: Mapping[str, Any]
    inline: Mapping[str, Mapping[str, Any]]
    attached: tuple[str, ...]
    boundary: str


Roles = dict[str, Role | Unseen | None]
"""Roles by name; `None` for one that does not exist."""


@dataclass(frozen=True, slots=True)
class _Expected:
    trust: Document
    rights: Document


def expected_roles(settings: Settings) -> dict[str, _Expected]:
    """The roles of the foundation by name: those of the identities, and that of the safety schedules."""
    own = names(settings.environment)
    found = {
        identity.role(own): _Expected(trust_of(identity, settings), identity.rights(settings.arns))
        for identity in identities(settings.environment)
    }
    by_scheduler = trust.by_service("scheduler", settings.account_id)
    found[own.safety_role] = _Expected(by_scheduler, safety.return_traffic(settings.arns))
    return found


def _roles(place: Place) -> Roles:
    return each(expected_roles(place.settings), lambda name: look_at_role(place, name))


def look_at_role(place: Place, name: str) -> Role | None:
    """A role with everything that gives it rights, or `None` where there is none of that name."""
    iam = place.aws("iam")
    found = unless_missing(lambda: iam.get_role(RoleName=name), _MISSING)
    if found is None:
        return None
    inline = [
        policy
        for page in iam.get_paginator("list_role_policies").paginate(RoleName=name)
        for policy in page["PolicyNames"]
    ]
    attached = [
        policy["PolicyArn"]
        for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
        for policy in page["AttachedPolicies"]
    ]
    return Role(
        trust=found["Role"]["AssumeRolePolicyDocument"],
        inline={policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in inline},
        attached=tuple(attached),
        boundary=found["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
    )


def judge_existence(settings: Settings, roles: Roles) -> Judgement:
    """Every role of the table exists."""
    there, unseen = seen(roles)
    missing = [f"{name} does not exist" for name, role in there.items() if role is None]
    return conclude(f"all {len(expected_roles(settings))} exist", problems=missing, unseen=unseen)


def judge_trust(settings: Settings, roles: Roles) -> Judgement:
    """Whom each role trusts is what the table says."""
    expected = expected_roles(settings)
    there, unseen = _existing(roles)
    problems = _named({name: difference(expected[name].trust, role.trust) for name, role in there.items()})
    return conclude(f"{len(there)} trust documents are the computed ones", problems=problems, unseen=unseen)


def judge_rights(settings: Settings, roles: Roles) -> Judgement:
    """What each role may do is what the table says, whatever the policy is called."""
    expected = expected_roles(settings)
    there, unseen = _existing(roles)
    problems = []
    for name, role in there.items():
        differences = [difference(expected[name].rights, policy) for policy in role.inline.values()]
        if not differences:
            problems.append(f"{name}: it has no policy")
        elif "" not in differences:
            problems.append(f"{name}: {differences[0]}")
    return conclude(f"the rights of {len(there)} roles are the computed ones", problems=problems, unseen=unseen)


def judge_nothing_else(_: Settings, roles: Roles) -> Judgement:
    """No role has more than its one inline policy."""
    there, unseen = _existing(roles)
    problems = []
    for name, role in there.items():
        if len(role.inline) > 1:
            problems.append(f"{name} has {len(role.inline)} inline policies: {', '.join(sorted(role.inline))}")
        if role.attached:
            problems.append(f"{name} has policies attached: {', '.join(role.attached)}")
    return conclude(
        f"{len(there)} roles have one inline policy each, and none attached", problems=problems, unseen=unseen
    )


@dataclass(frozen=True, slots=True)
class Boundary:
    """The boundary policy (`None` where there is none), and the boundary of each role that CI has made."""

    policy: Mapping[str, Any] | None
    of_roles: Mapping[str, str]


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
    return Boundary(
        policy=document,
        of_roles={
            name: answer["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")
            for name, answer in found.items()
            if answer is not None
        },
    )


def judge_boundary(settings: Settings, boundary: Boundary) -> Judgement:
    """The boundary is the computed one, and around every role that CI has made."""
    arn = settings.arns.of("policy", names(settings.environment).boundary)
    problems = [f"{name} is outside of it" for name, of in boundary.of_roles.items() if of != arn]
    if boundary.policy is None:
        problems.append(f"{arn} does not exist")
    else:
        differs = difference(execution.boundary(settings.arns), boundary.policy)
        problems += [differs] if differs else []
    return conclude(
        f"it is the computed one, around {len(boundary.of_roles)} roles that CI has made", problems=problems
    )


@dataclass(frozen=True, slots=True)
class Provider:
    """The account's OIDC provider for GitHub."""

    audiences: tuple[str, ...]


def _provider(place: Place) -> Provider | None:
    arn = place.arns.github_provider
    found = unless_missing(
        lambda: place.aws("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=arn), _MISSING
    )
    return None if found is None else Provider(tuple(found["ClientIDList"]))


def judge_provider(settings: Settings, provider: Provider | None) -> Judgement:
    """There is one, for the audience that the roles ask for."""
    if provider is None:
        return conclude("", problems=[f"{settings.arns.github_provider} does not exist: no job gets credentials"])
    missing = STS_AUDIENCE not in provider.audiences
    told = f"its audiences are {', '.join(provider.audiences) or 'none'}"
    return conclude(told, problems=[f"{told}, jobs ask for {STS_AUDIENCE}"] if missing else ())


def _all_trust(place: Place) -> dict[str, Mapping[str, Any]]:
    pages = place.aws("iam").get_paginator("list_roles").paginate()
    return {
        role["Arn"]: _document(role.get("AssumeRolePolicyDocument", {})) for page in pages for role in page["Roles"]
    }


def judge_strangers(settings: Settings, trusts: Mapping[str, Mapping[str, Any]]) -> Judgement:
    """No other role of the account lets a job of this repository in, or one of any repository."""
    ours = {
        settings.arns.of("role", identity.role(names(identity.environment)))
        for identity in IDENTITIES
        if identity.environment == settings.environment or not settings.arns.two_accounts
    }
    problems = []
    for arn, document in trusts.items():
        opened = [how for statement in _from_github(document) if (how := _lets_in(statement, settings))]
        if opened and arn not in ours:
            problems.append(f"{arn} lets in {opened[0]}")
    return conclude(f"none of {len(trusts)} roles but those of the table", problems=problems)


def _from_github(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    statements = document.get("Statement", ())
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        if statement.get("Effect") == "Allow" and GITHUB_ISSUER in json.dumps(statement.get("Principal", {})):
            yield statement


def _lets_in(statement: Mapping[str, Any], settings: Settings) -> str:
    """Whom of ours a statement lets in; empty where it is about other repositories."""
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


def _existing(roles: Roles) -> tuple[dict[str, Role], list[str]]:
    """The roles that exist; that one is missing is the business of another check, and here cannot be looked at."""
    there, unseen = seen(roles)
    unseen += [f"{name} does not exist" for name, role in there.items() if role is None]
    return {name: role for name, role in there.items() if role is not None}, unseen


def _named(differences: Mapping[str, str]) -> Sequence[str]:
    return [f"{name}: {told}" for name, told in differences.items() if told]


def _document(value: Any) -> Mapping[str, Any]:
    return json.loads(value) if isinstance(value, str) else value


CHECKS: Final = (
    Check(
        name="roles.provider",
        asks="IAM for the account's OIDC provider of GitHub's tokens",
        good=f"it exists, for the audience {STS_AUDIENCE}",
        mend="pulumi up --refresh --stack prod-foundation (adoptGithubProvider says whose it is)",
        look=_provider,
        judge=judge_provider,
        scope=Scope.ACCOUNT,
    ),
    Check(
        name="roles.exist",
        asks="IAM for each role of components/identities.py, and for the role of the safety schedules",
        good="all exist",
        mend="pulumi up --refresh --stack {foundation}",
        look=_roles,
        judge=judge_existence,
    ),
    Check(
        name="roles.trust",
        asks="IAM for the trust document of each of these roles, and the table for what it should be",
        good="both mean the same",
        mend="pulumi up --refresh --stack {foundation}; who changed it: docs/readiness.md, section Strangers",
        look=_roles,
        judge=judge_trust,
    ),
    Check(
        name="roles.rights",
        asks="IAM for the inline policies of each of these roles, and the table for what they should be",
        good="one means the same as the table",
        mend="pulumi up --refresh --stack {foundation}; who changed it: docs/readiness.md, section Strangers",
        look=_roles,
        judge=judge_rights,
    ),
    Check(
        name="roles.nothing-else",
        asks="IAM for all inline and attached policies of each of these roles",
        good="one inline policy each, none attached",
        mend="aws iam detach-role-policy, or delete-role-policy; who added it: docs/readiness.md, section Strangers",
        look=_roles,
        judge=judge_nothing_else,
    ),
    Check(
        name="roles.boundary",
        asks="IAM for the permissions boundary, and for the boundary of each role that CI has made",
        good="it means what components/policies/execution.py computes, and is around all of them",
        mend="pulumi up --refresh --stack {foundation}; then pulumi up --refresh --stack {stack}",
        look=_boundary,
        judge=judge_boundary,
    ),
    Check(
        name="roles.strangers",
        asks="IAM for the trust documents of all roles of the account",
        good="no role but those of the table lets in a job of this repository, or of any repository",
        mend="aws iam delete-role, or narrow its trust; who made it: docs/readiness.md, section Strangers",
        look=_all_trust,
        judge=judge_strangers,
        scope=Scope.ACCOUNT,
    ),
)
