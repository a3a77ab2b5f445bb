"""GitHub's environments as its REST API answers: who approves, from which branch, what jobs are told.

The engine's refresh never notices that somebody took the reviewers away, so this looks at the answer itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from components.github_rules import BRANCH
from components.github_secrets import BUCKET, REGION, ROLE_ARN, github_secrets
from components.identities import IDENTITIES, Identity, github_environments, identities
from components.naming import ENVIRONMENTS, names
from components.settings import Settings
from release.doctor.check import Notes, Scope, Warned, check
from release.doctor.place import Place

_SIMILAR: Final = 0.75
"""The likeness (difflib) from which a name counts as a misspelling of one of ours."""
_NEVER_IN_REPOSITORY: Final = (*(f"{environment.upper()}_" for environment in ENVIRONMENTS), "AWS_")
_check = partial(check, in_account=False)


def _environments(place: Place) -> dict[str, dict[str, Any]]:
    """Environments of the repository by name, as GitHub answers."""
    return {one["name"]: one for one in place.github.items("environments", "environments")}


def _rules(place: Place) -> dict[str, dict[str, Any]]:
    """The environments of ours that there are, each with the branches and tags that deploy to it in `patterns`."""
    there = _environments(place)
    return {
        name: {
            **there[name],
            "patterns": place.github.items(f"environments/{name}/deployment-branch-policies", "branch_policies"),
        }
        for name in github_environments(place.settings.environment)
        if name in there
    }


@_check(
    "environments.rules",
    asks="GitHub for the rules of each environment: required reviewers, whether who starts may approve and "
    "administrators may skip them, branches and tags",
    expected="those of components/identities.py exist; reviewers are those of the settings where the table asks for a "
    "review, and none elsewhere; where nobody approves an own deployment they are two people or more; administrators "
    f"may not skip the rules; branch {BRANCH} by name deploys, and nothing else",
    fix="pulumi up --refresh --stack {foundation}; if that sees nothing: fix it in the repository's settings",
    look=_rules,
)
def _environments_rules(settings: Settings, there: Mapping[str, Mapping[str, Any]]) -> Notes:
    """A job that names a missing environment makes it, without protection."""
    for identity in identities(settings.environment):
        name = identity.github_environment
        if name not in there:
            yield f"{name} does not exist"
            continue
        if there[name].get("can_admins_bypass") is not False:
            yield f"administrators may skip the rules of {name}"
        yield from _review(settings, identity, there[name].get("protection_rules", ()))
        yield from _branches(name, there[name])
    return f"{', '.join(there)}: reviewed as the settings say, from {BRANCH} alone, nobody may skip the rules"


def _review(settings: Settings, identity: Identity, rules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    wanted = {("User", login.lower()) for login in settings.reviewers}
    wanted |= {("Team", slug.lower()) for slug in settings.reviewer_teams}
    name = identity.github_environment
    rule = next((rule for rule in rules if rule.get("type") == "required_reviewers"), {})
    listed = {_reviewer(one) for one in rule.get("reviewers", ())}
    if listed != (wanted if identity.reviewed else set()):
        said = ", ".join(sorted(who for _, who in listed)) or "nobody"
        should = ", ".join(sorted(who for _, who in wanted)) if identity.reviewed else "nobody"
        yield f"{name} is reviewed by {said}, not by {should}"
    elif identity.reviewed and bool(rule.get("prevent_self_review")) is not settings.prevent_self_review:
        may = "may" if settings.prevent_self_review else "may not"
        yield f"who starts a deployment to {name} {may} approve it, against preventSelfReview"
    elif rule.get("prevent_self_review") and [kind for kind, _ in listed] == ["User"]:
        # How many a team has GitHub does not say here.
        alone = next(who for _, who in listed)
        yield f"{alone} alone reviews {name}, and can approve nothing that {alone} has started"


def _reviewer(one: Mapping[str, Any]) -> tuple[str, str]:
    who = one["reviewer"]
    return one["type"], str(who["login" if one["type"] == "User" else "slug"]).lower()


def _branches(name: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """A rule for "protected branches only" would mean all branches as soon as no rule protects any."""
    rule = answer.get("deployment_branch_policy")
    named = [f"{one.get('type', 'branch')} {one['name']}" for one in answer["patterns"]]
    if rule != {"protected_branches": False, "custom_branch_policies": True}:
        yield f"{name} deploys from {'any branch' if rule is None else 'protected branches'}"
    elif named != [f"branch {BRANCH}"]:
        yield f"{name} deploys from {', '.join(named) or 'nothing'}, not from {BRANCH} alone"


Held = Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
"""The secrets and the variables of each environment, by their names. GitHub never tells the value of a secret."""


def _held(place: Place) -> Held:
    def of(name: str, what: str) -> dict[str, Any]:
        return {one["name"]: one.get("value") for one in place.github.items(f"environments/{name}/{what}", what)}

    ours = github_environments(place.settings.environment)
    return {name: (of(name, "secrets"), of(name, "variables")) for name in ours}


@_check(
    "environments.values",
    asks="GitHub for the names of the secrets and for the variables of each environment",
    expected="all secrets of components/github_secrets.py are there (any other is a warning); "
    f"{ROLE_ARN}, {REGION} and {BUCKET} are those of the table",
    fix="pulumi up --refresh --stack {foundation}; the dashboard's key: release bootstrap --stack {stack}",
    look=_held,
)
def _environments_values(settings: Settings, held: Held) -> Notes:
    own, of_ours = names(settings.environment), github_secrets(settings.environment)
    for identity in identities(settings.environment):
        name = identity.github_environment
        secrets, variables = held[name]
        wanted = {*of_ours.of_program, *of_ours.of_bootstrap} if identity.secrets else set()
        if missing := sorted(wanted - secrets.keys()):
            yield f"{name} lacks {', '.join(missing)}"
        if extra := sorted(secrets.keys() - wanted):
            yield Warned(f"{name} holds {', '.join(extra)} besides")
        role = settings.arns.of("role", identity.role(own))
        told = {ROLE_ARN: role, REGION: settings.region, BUCKET: own.bucket}
        for key, value in told.items():
            if variables.get(key) != value:
                yield f"{name}: {key} is {variables.get(key, 'missing')}, not {value}"
    return "all secrets are there, and no other; role, region and bucket are those of the table"


@_check(
    "environments.strangers",
    asks="GitHub for all environments of the repository",
    expected="none is named almost as one of ours: a job that names it would run without protection",
    fix="find the workflow that names it, then delete it in the repository's settings",
    look=_environments,
    scope=Scope.REPOSITORY,
)
def _environments_strangers(_: Settings, there: Mapping[str, Any]) -> Notes:
    ours = [identity.github_environment for identity in IDENTITIES]
    others = [name for name in there if name not in ours]
    alike = {name: difflib.get_close_matches(name.lower(), ours, 1, _SIMILAR) for name in others}
    yield from (f"{name} looks like {known[0]} and is not in the table" for name, known in alike.items() if known)
    besides = ", ".join(sorted(name for name in others if not alike[name]))
    return f"none{f' (not ours: {besides})' if besides else ''}"


@_check(
    "environments.repository-level",
    asks="GitHub for secrets and variables of the repository itself",
    expected="none begins with PREPROD_, PROD_ or AWS_",
    fix="delete it in the repository's settings; if it was a credential, replace that first",
    look=lambda place: [
        f"{what} {one['name']}"
        for what in ("secret", "variable")
        for one in place.github.items(f"actions/{what}s", f"{what}s")
    ],
    scope=Scope.REPOSITORY,
)
def _environments_repository_level(_: Settings, listed: Sequence[str]) -> Notes:
    """Every workflow of every branch can read what is set at the level of the repository."""
    for one in listed:
        if one.partition(" ")[2].upper().startswith(_NEVER_IN_REPOSITORY):
            yield f"{one} belongs to an environment"
    return f"none of {len(listed)} is ours"
