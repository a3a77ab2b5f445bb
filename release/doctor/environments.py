"""GitHub's environments as its REST API answers: who approves, from which branch, what jobs are told.

The engine's refresh never notices that somebody took the reviewers away, so this looks at the answer itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.github_rules import BRANCH
from components.github_secrets import REGION, ROLE_ARN, github_secrets
from components.identities import IDENTITIES, Identity, github_environments, identities
from components.naming import ENVIRONMENTS, names
from components.settings import Settings
from release.doctor.check import Check, Judgement, Scope, conclude, seen
from release.doctor.place import Place, Unseen, each

_SIMILAR: Final = 0.75
"""How like one of ours a name must be (difflib) to be taken for a misspelling."""
_MEND: Final = "pulumi up --refresh --stack {foundation}; if that sees nothing: mend it in the repository's settings"
_NEVER_IN_REPOSITORY: Final = tuple(f"{environment.upper()}_" for environment in ENVIRONMENTS)

Environments = Mapping[str, Mapping[str, Any]]
"""Environments of the repository by name, as GitHub answers."""


def _environments(place: Place) -> Environments:
    return {one["name"]: one for one in place.github.items("environments", "environments")}


def _ours(settings: Settings, there: Environments) -> tuple[list[tuple[Identity, Mapping[str, Any]]], list[str]]:
    """Identities with their environments; what is missing is the business of another check, and cannot be judged."""
    found = [
        (identity, there[identity.github_environment])
        for identity in identities(settings.environment)
        if identity.github_environment in there
    ]
    missing = [f"{name} does not exist" for name in github_environments(settings.environment) if name not in there]
    return found, missing


def judge_existence(settings: Settings, there: Environments) -> Judgement:
    """Every environment of the table exists: a job that names a missing one makes it, without protection."""
    _, missing = _ours(settings, there)
    return conclude(", ".join(github_environments(settings.environment)), problems=missing)


def judge_reviewers(settings: Settings, there: Environments) -> Judgement:
    """Exactly the reviewers of the settings where the table asks for a review, and none elsewhere."""
    found, missing = _ours(settings, there)
    wanted = {("User", login.lower()) for login in settings.reviewers}
    wanted |= {("Team", slug.lower()) for slug in settings.reviewer_teams}
    problems = []
    for identity, answer in found:
        name, rule = identity.github_environment, _rule(answer, "required_reviewers")
        listed = {_reviewer(one) for one in rule.get("reviewers", ())}
        if listed != (wanted if identity.reviewed else set()):
            said = ", ".join(sorted(who for _, who in listed)) or "nobody"
            should = ", ".join(sorted(who for _, who in wanted)) if identity.reviewed else "nobody"
            problems.append(f"{name} is reviewed by {said}, not by {should}")
        elif identity.reviewed and bool(rule.get("prevent_self_review")) is not settings.prevent_self_review:
            may = "may" if settings.prevent_self_review else "may not"
            problems.append(f"who starts a deployment to {name} {may} approve it, against preventSelfReview")
        elif rule.get("prevent_self_review") and _is_one_person(listed):
            alone = next(who for _, who in listed)
            problems.append(f"{alone} alone reviews {name}, and can approve nothing that {alone} has started")
    return conclude("as the settings say", problems=problems, unseen=missing)


def _is_one_person(listed: set[tuple[str, str]]) -> bool:
    """Whether only one can approve; how many a team has GitHub does not say here."""
    return len(listed) == 1 and all(kind == "User" for kind, _ in listed)


def judge_bypass(settings: Settings, there: Environments) -> Judgement:
    """No administrator of the repository skips the rules."""
    found, missing = _ours(settings, there)
    problems = [
        f"administrators may skip the rules of {identity.github_environment}"
        for identity, answer in found
        if answer.get("can_admins_bypass") is not False
    ]
    return conclude("nobody may skip the rules", problems=problems, unseen=missing)


@dataclass(frozen=True, slots=True)
class Branches:
    """From which branches and tags one environment deploys; `policy` as GitHub answers, `None` for any branch."""

    policy: Mapping[str, Any] | None
    patterns: tuple[tuple[str, str], ...]
    """Kind (`branch`, `tag`) and pattern."""


def _branches(place: Place) -> dict[str, Branches | Unseen]:
    there = _environments(place)

    def look(name: str) -> Branches:
        path = f"environments/{name}/deployment-branch-policies"
        listed = place.github.items(path, "branch_policies")
        patterns = tuple((one.get("type", "branch"), one["name"]) for one in listed)
        return Branches(there[name].get("deployment_branch_policy"), patterns)

    return each((name for name in github_environments(place.settings.environment) if name in there), look)


def judge_branches(settings: Settings, branches: Mapping[str, Branches | Unseen]) -> Judgement:
    """From main by name: "protected branches only" means all branches as soon as no rule protects any."""
    there, unseen = seen(branches)
    problems = []
    for name, one in there.items():
        policy = one.policy or {}
        if policy.get("protected_branches") is not False or policy.get("custom_branch_policies") is not True:
            problems.append(f"{name} deploys from {'any branch' if one.policy is None else 'protected branches'}")
        elif one.patterns != (("branch", BRANCH),):
            patterns = ", ".join(f"{kind} {pattern}" for kind, pattern in one.patterns) or "nothing"
            problems.append(f"{name} deploys from {patterns}, not from {BRANCH} alone")
    unseen += [f"{name} does not exist" for name in github_environments(settings.environment) if name not in branches]
    return conclude(f"from {BRANCH} alone", problems=problems, unseen=unseen)


Names = Mapping[str, frozenset[str] | Unseen]
"""Names of secrets by environment. GitHub never tells a value."""


def _secrets(place: Place) -> Names:
    def look(name: str) -> frozenset[str]:
        return frozenset(one["name"] for one in place.github.items(f"environments/{name}/secrets", "secrets"))

    return each(github_environments(place.settings.environment), look)


def judge_secrets(settings: Settings, names_of: Names) -> Judgement:
    """The secrets of the table, by name; what is there besides is told."""
    there, unseen = seen(names_of)
    own = github_secrets(settings.environment)
    problems, warnings = [], []
    for identity in identities(settings.environment):
        name = identity.github_environment
        if name not in there:
            continue
        wanted = {*own.of_program, *own.of_bootstrap} if identity.secrets else set()
        missing, extra = sorted(wanted - there[name]), sorted(there[name] - wanted)
        problems += [f"{name} lacks {', '.join(missing)}"] if missing else []
        warnings += [f"{name} holds {', '.join(extra)} besides"] if extra else []
    return conclude("all are there, and no other", problems=problems, warnings=warnings, unseen=unseen)


Variables = Mapping[str, Mapping[str, str] | Unseen]
"""Values of variables by environment."""


def _variables(place: Place) -> Variables:
    def look(name: str) -> Mapping[str, str]:
        listed = place.github.items(f"environments/{name}/variables", "variables")
        return {one["name"]: one["value"] for one in listed}

    return each(github_environments(place.settings.environment), look)


def judge_variables(settings: Settings, variables: Variables) -> Judgement:
    """Role and region of each environment are those of the table."""
    there, unseen = seen(variables)
    own, problems = names(settings.environment), []
    for identity in identities(settings.environment):
        name = identity.github_environment
        wanted = {ROLE_ARN: settings.arns.of("role", identity.role(own)), REGION: settings.region}
        for key, value in wanted.items() if name in there else ():
            if there[name].get(key) != value:
                problems.append(f"{name}: {key} is {there[name].get(key, 'missing')}, not {value}")
    return conclude("role and region of each are those of the table", problems=problems, unseen=unseen)


def judge_strangers(_: Settings, there: Environments) -> Judgement:
    """No environment whose name looks like one of ours and is none: a misspelt name has no protection."""
    ours = [identity.github_environment for identity in IDENTITIES]
    others = [name for name in there if name not in ours]
    alike = {name: difflib.get_close_matches(name.lower(), ours, 1, _SIMILAR) for name in others}
    problems = [f"{name} looks like {known[0]} and is not in the table" for name, known in alike.items() if known]
    besides = ", ".join(sorted(name for name in others if not alike[name]))
    return conclude(f"none{f' (not ours: {besides})' if besides else ''}", problems=problems)


def _repository_level(place: Place) -> list[str]:
    github = place.github
    return [
        *(f"secret {one['name']}" for one in github.items("actions/secrets", "secrets")),
        *(f"variable {one['name']}" for one in github.items("actions/variables", "variables")),
    ]


def judge_repository_level(_: Settings, listed: Sequence[str]) -> Judgement:
    """Nothing of ours at the level of the repository, where every workflow of every branch can read it."""
    problems = [f"{one} belongs to an environment" for one in listed if _is_ours(one.partition(" ")[2].upper())]
    return conclude(f"none of {len(listed)} is ours", problems=problems)


def _is_ours(name: str) -> bool:
    return name.startswith((*_NEVER_IN_REPOSITORY, "AWS_"))


def _rule(environment: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((rule for rule in environment.get("protection_rules", ()) if rule.get("type") == kind), {})


def _reviewer(one: Mapping[str, Any]) -> tuple[str, str]:
    who = one["reviewer"]
    return one["type"], str(who["login" if one["type"] == "User" else "slug"]).lower()


CHECKS: Final = (
    Check(
        name="environments.exist",
        asks="GitHub for all environments of the repository",
        good="those of components/identities.py exist",
        mend="pulumi up --refresh --stack {foundation}",
        look=_environments,
        judge=judge_existence,
        in_account=False,
    ),
    Check(
        name="environments.reviewers",
        asks="GitHub for the required reviewers of each environment, and whether who starts may approve",
        good="they are those of the settings where the table asks for a review, and none elsewhere; "
        "where nobody approves an own deployment they are two people or more",
        mend=_MEND,
        look=_environments,
        judge=judge_reviewers,
        in_account=False,
    ),
    Check(
        name="environments.bypass",
        asks="GitHub whether administrators may skip the rules of each environment",
        good="they may not",
        mend=_MEND,
        look=_environments,
        judge=judge_bypass,
        in_account=False,
    ),
    Check(
        name="environments.branches",
        asks="GitHub for the branches and tags that deploy to each environment",
        good=f"branch {BRANCH} by name, and nothing else",
        mend=_MEND,
        look=_branches,
        judge=judge_branches,
        in_account=False,
    ),
    Check(
        name="environments.secrets",
        asks="GitHub for the names of the secrets of each environment",
        good="all of components/github_secrets.py are there (any other is a warning)",
        mend="pulumi up --refresh --stack {foundation}; the dashboard's key: release bootstrap --stack {stack}",
        look=_secrets,
        judge=judge_secrets,
        in_account=False,
    ),
    Check(
        name="environments.variables",
        asks="GitHub for the variables of each environment",
        good=f"{ROLE_ARN} and {REGION} are those of the table",
        mend="pulumi up --refresh --stack {foundation}",
        look=_variables,
        judge=judge_variables,
        in_account=False,
    ),
    Check(
        name="environments.strangers",
        asks="GitHub for all environments of the repository",
        good="none is named almost as one of ours: a job that names it would run without protection",
        mend="find the workflow that names it, then delete it in the repository's settings",
        look=_environments,
        judge=judge_strangers,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="environments.repository-level",
        asks="GitHub for secrets and variables of the repository itself",
        good="none begins with PREPROD_, PROD_ or AWS_",
        mend="delete it in the repository's settings; if it was a credential, replace that first",
        look=_repository_level,
        judge=judge_repository_level,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
)
