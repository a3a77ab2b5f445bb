"""GitHub's environments as its REST API answers: who approves, from which branch, what jobs are told.

The engine's refresh never notices that somebody took the reviewers away, so this looks at the answer itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from components.github_rules import BRANCH
from components.github_secrets import REGION, ROLE_ARN, github_secrets
from components.identities import IDENTITIES, Identity, github_environments, identities
from components.naming import ENVIRONMENTS, names
from components.settings import Settings
from release.doctor.check import Notes, Scope, Warned, check, seen
from release.doctor.place import Place, Unseen, each

_SIMILAR: Final = 0.75
"""How like one of ours a name must be (difflib) to be taken for a misspelling."""
_FIX: Final = "pulumi up --refresh --stack {foundation}; if that sees nothing: fix it in the repository's settings"
_NEVER_IN_REPOSITORY: Final = (*(f"{environment.upper()}_" for environment in ENVIRONMENTS), "AWS_")
_check = partial(check, in_account=False)

Environments = Mapping[str, Mapping[str, Any]]
"""Environments of the repository by name, as GitHub answers."""
Held = Mapping[str, list[dict[str, Any]] | Unseen]


def _environments(place: Place) -> Environments:
    return {one["name"]: one for one in place.github.items("environments", "environments")}


def _missing(settings: Settings, there: Mapping[str, Any]) -> list[str]:
    return [f"{name} does not exist" for name in github_environments(settings.environment) if name not in there]


def _ours(settings: Settings, there: Environments) -> Generator[Unseen, None, list[tuple[Identity, Mapping[str, Any]]]]:
    """Return identities with their environments; one that is missing is the business of another check."""
    yield from map(Unseen, _missing(settings, there))
    found = ((identity, there.get(identity.github_environment)) for identity in identities(settings.environment))
    return [(identity, answer) for identity, answer in found if answer is not None]


@_check(
    "environments.exist",
    asks="GitHub for all environments of the repository",
    expected="those of components/identities.py exist",
    look=_environments,
)
def _environments_exist(settings: Settings, there: Environments) -> Notes:
    """A job that names a missing environment makes it, without protection."""
    yield from _missing(settings, there)
    return ", ".join(github_environments(settings.environment))


@_check(
    "environments.reviewers",
    asks="GitHub for the required reviewers of each environment, and whether who starts may approve",
    expected="they are those of the settings where the table asks for a review, and none elsewhere; "
    "where nobody approves an own deployment they are two people or more",
    fix=_FIX,
    look=_environments,
)
def _environments_reviewers(settings: Settings, there: Environments) -> Notes:
    found = yield from _ours(settings, there)
    wanted = {("User", login.lower()) for login in settings.reviewers}
    wanted |= {("Team", slug.lower()) for slug in settings.reviewer_teams}
    for identity, answer in found:
        name, rules = identity.github_environment, answer.get("protection_rules", ())
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
    return "as the settings say"


@_check(
    "environments.bypass",
    asks="GitHub whether administrators may skip the rules of each environment",
    expected="they may not",
    fix=_FIX,
    look=_environments,
)
def _environments_bypass(settings: Settings, there: Environments) -> Notes:
    for identity, answer in (yield from _ours(settings, there)):
        if answer.get("can_admins_bypass") is not False:
            yield f"administrators may skip the rules of {identity.github_environment}"
    return "nobody may skip the rules"


Branches = tuple[Mapping[str, Any] | None, tuple[tuple[str, str], ...]]
"""The rule by which an environment deploys, as GitHub answers (`None` for any branch), and kind (`branch`, `tag`) and
pattern of what it names."""


def _branches(place: Place) -> dict[str, Branches | Unseen]:
    there = _environments(place)

    def look(name: str) -> Branches:
        listed = place.github.items(f"environments/{name}/deployment-branch-policies", "branch_policies")
        patterns = tuple((one.get("type", "branch"), one["name"]) for one in listed)
        return there[name].get("deployment_branch_policy"), patterns

    return each((name for name in github_environments(place.settings.environment) if name in there), look)


@_check(
    "environments.branches",
    asks="GitHub for the branches and tags that deploy to each environment",
    expected=f"branch {BRANCH} by name, and nothing else",
    fix=_FIX,
    look=_branches,
)
def _environments_branches(settings: Settings, branches: Mapping[str, Branches | Unseen]) -> Notes:
    """A rule for "protected branches only" would mean all branches as soon as no rule protects any."""
    yield from map(Unseen, _missing(settings, branches))
    for name, (rule, named) in (yield from seen(branches)).items():
        policy = rule or {}
        if policy.get("protected_branches") is not False or policy.get("custom_branch_policies") is not True:
            yield f"{name} deploys from {'any branch' if rule is None else 'protected branches'}"
        elif named != (("branch", BRANCH),):
            patterns = ", ".join(f"{kind} {pattern}" for kind, pattern in named) or "nothing"
            yield f"{name} deploys from {patterns}, not from {BRANCH} alone"
    return f"from {BRANCH} alone"


def _held(place: Place, what: str) -> dict[str, list[dict[str, Any]] | Unseen]:
    """The secrets or variables of each environment, by its name. GitHub never tells the value of a secret."""
    return each(
        github_environments(place.settings.environment),
        lambda name: place.github.items(f"environments/{name}/{what}", what),
    )


@_check(
    "environments.secrets",
    asks="GitHub for the names of the secrets of each environment",
    expected="all of components/github_secrets.py are there (any other is a warning)",
    fix="pulumi up --refresh --stack {foundation}; the dashboard's key: release bootstrap --stack {stack}",
    look=lambda place: _held(place, "secrets"),
)
def _environments_secrets(settings: Settings, held: Held) -> Notes:
    there = {name: {one["name"] for one in listed} for name, listed in (yield from seen(held)).items()}
    own = github_secrets(settings.environment)
    for identity in identities(settings.environment):
        name = identity.github_environment
        if name not in there:
            continue
        wanted = {*own.of_program, *own.of_bootstrap} if identity.secrets else set()
        missing, extra = sorted(wanted - there[name]), sorted(there[name] - wanted)
        if missing:
            yield f"{name} lacks {', '.join(missing)}"
        if extra:
            yield Warned(f"{name} holds {', '.join(extra)} besides")
    return "all are there, and no other"


@_check(
    "environments.variables",
    asks="GitHub for the variables of each environment",
    expected=f"{ROLE_ARN} and {REGION} are those of the table",
    look=lambda place: _held(place, "variables"),
)
def _environments_variables(settings: Settings, held: Held) -> Notes:
    there = {name: {one["name"]: one["value"] for one in listed} for name, listed in (yield from seen(held)).items()}
    own = names(settings.environment)
    for identity in identities(settings.environment):
        name = identity.github_environment
        wanted = {ROLE_ARN: settings.arns.of("role", identity.role(own)), REGION: settings.region}
        for key, value in wanted.items() if name in there else ():
            if there[name].get(key) != value:
                yield f"{name}: {key} is {there[name].get(key, 'missing')}, not {value}"
    return "role and region of each are those of the table"


@_check(
    "environments.strangers",
    asks="GitHub for all environments of the repository",
    expected="none is named almost as one of ours: a job that names it would run without protection",
    fix="find the workflow that names it, then delete it in the repository's settings",
    look=_environments,
    scope=Scope.REPOSITORY,
)
def _environments_strangers(_: Settings, there: Environments) -> Notes:
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


def _reviewer(one: Mapping[str, Any]) -> tuple[str, str]:
    who = one["reviewer"]
    return one["type"], str(who["login" if one["type"] == "User" else "slug"]).lower()
