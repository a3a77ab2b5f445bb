"""Rules of the repository as GitHub's REST API answers: how something reaches main, what Actions may do."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from components.github_rules import BRANCH, GITHUB_ACTIONS_APP, PREVIEWS, THIRD_PARTY_ACTIONS
from components.github_rules import CHECKS as REQUIRED_CHECKS
from components.settings import Settings
from release.clients.rest import unless_missing
from release.doctor.check import Notes, Scope, Unseen, check
from release.doctor.place import Place

_IDS_IN_SUBJECT_SINCE: Final = datetime(2026, 7, 15, tzinfo=UTC)
"""Repositories made since then have both ids in the subject of their tokens. Asked only where GitHub does not say."""
_MAIN: Final = frozenset({f"refs/heads/{BRANCH}", "~DEFAULT_BRANCH", "~ALL"})
_CODEOWNERS: Final = ".github/CODEOWNERS"
_WATCH: Final = ".github/workflows/watch.yml"
_PREVIEWS: Final = ".github/workflows/preview-comment.yml"
_OF_SHARED: Final = "pulumi up --refresh --stack prod-foundation"
_check = partial(check, fix=_OF_SHARED, scope=Scope.REPOSITORY, in_account=False)

Rulesets = Sequence[Mapping[str, Any]]


def _rulesets(place: Place) -> Rulesets:
    listed = place.github.items("rulesets", includes_parents="true")
    # The list leaves out rules and bypass actors.
    return [
        place.github.document(f"rulesets/{one['id']}")
        for one in listed
        if one.get("target") == "branch" and one.get("enforcement") == "active"
    ]


@_check(
    "repository.ruleset",
    asks=f"GitHub for all active rulesets about {BRANCH}, with their bypass actors",
    expected="one asks for a pull request with the approvals of the settings and for the checks of "
    "components/github_rules.py, forbids deletion and force pushes, and nobody may go round it",
    look=_rulesets,
)
def _repository_ruleset(settings: Settings, rulesets: Rulesets) -> Notes:
    of_main = [one for one in rulesets if _is_about_main(one)]
    if not of_main:
        yield f"no active ruleset is about {BRANCH}"
        return ""
    best = min(of_main, key=lambda one: len(list(_holes(one, settings))))
    yield from _holes(best, settings)
    if "bypass_actors" not in best:
        yield Unseen(f"GitHub does not show this token who may go round ruleset {best['name']}")
    elif best["bypass_actors"]:
        yield f"{len(best['bypass_actors'])} may go round ruleset {best['name']}"
    return f"ruleset {best['name']}: pull request, checks, no way round"


def _is_about_main(ruleset: Mapping[str, Any]) -> bool:
    names = (ruleset.get("conditions") or {}).get("ref_name") or {}
    return bool(_MAIN.intersection(names.get("include", ()))) and not _MAIN.intersection(names.get("exclude", ()))


def _holes(ruleset: Mapping[str, Any], settings: Settings) -> Iterator[str]:
    rules = {rule["type"]: rule.get("parameters") or {} for rule in ruleset.get("rules", ())}
    for kind in ("pull_request", "required_status_checks", "non_fast_forward", "deletion"):
        if kind not in rules:
            yield f"ruleset {ruleset['name']} lacks {kind}"
    if "pull_request" in rules:
        asked = rules["pull_request"].get("required_approving_review_count", 0)
        if asked < settings.required_approvals:
            yield f"a pull request needs {asked} approvals, not {settings.required_approvals}"
    if "required_status_checks" in rules:
        listed = rules["required_status_checks"].get("required_status_checks", ())
        ours = {one["context"] for one in listed if one.get("integration_id") == GITHUB_ACTIONS_APP}
        if missing := [check for check in REQUIRED_CHECKS if check not in ours]:
            yield f"check {', '.join(missing)} of Actions is not required"
        if not rules["required_status_checks"].get("strict_required_status_checks_policy"):
            yield "a pull request need not hold the newest commit of its base"


def _actions(place: Place) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """What may run, and which actions where only some are allowed."""
    permissions = place.github.document("actions/permissions")
    limited = permissions.get("allowed_actions") == "selected"
    return permissions, place.github.document("actions/permissions/selected-actions") if limited else None


@_check(
    "repository.actions",
    asks="GitHub which actions may run",
    expected="GitHub's own and those of components/github_rules.py, pinned to a commit",
    look=_actions,
)
def _repository_actions(_: Settings, actions: tuple[Mapping[str, Any], Mapping[str, Any] | None]) -> Notes:
    permissions, selected = actions
    if permissions.get("enabled") is not True:
        yield "Actions are switched off: nothing is built or deployed"
    if permissions.get("allowed_actions") == "all":
        yield "any action may run"
    if permissions.get("sha_pinning_required") is not True:
        yield "an action need not be pinned to a commit"
    if selected is not None:
        wanted = {f"{action}@*" for action in THIRD_PARTY_ACTIONS}
        allowed = set(selected.get("patterns_allowed", ()))
        extra, missing = sorted(allowed - wanted), sorted(wanted - allowed)
        if extra:
            yield f"{', '.join(extra)} may run besides"
        if missing:
            yield f"{', '.join(missing)} may not run"
        if selected.get("verified_allowed"):
            yield "any action of a verified creator may run"
    return f"GitHub's own and {', '.join(THIRD_PARTY_ACTIONS)}, pinned"


@_check(
    "repository.token",
    asks="GitHub what the token of a job may do by default",
    expected="read, and approve nothing",
    look=lambda place: place.github.document("actions/permissions/workflow"),
)
def _repository_token(_: Settings, token: Mapping[str, Any]) -> Notes:
    if token.get("default_workflow_permissions") != "read":
        yield f"the token of a job may {token.get('default_workflow_permissions')} by default"
    if token.get("can_approve_pull_request_reviews") is not False:
        yield "a workflow may approve pull requests"
    return "read-only, and it approves nothing"


@_check(
    "repository.subject",
    asks="GitHub for the template of the OIDC subject, whether it is immutable, and for the repository's ids",
    expected="the default template, and the settings have the ids where the subject has them, and only there",
    fix="set githubOwnerId and githubRepositoryId in both foundation stack files; " + _OF_SHARED,
    look=lambda place: (place.github.document(""), place.github.document("actions/oidc/customization/sub")),
)
def _repository_subject(settings: Settings, subject: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Notes:
    repository, template = subject
    made_at, immutable = datetime.fromisoformat(repository["created_at"]), template.get("use_immutable_subject")
    ids = (str(repository["owner"]["id"]), str(repository["id"]))
    trusted = (settings.github_owner_id, settings.github_repository_id)
    if not template["use_default"]:
        yield "the template of the subject is not the default one, which the roles trust"
    if settings.github_repository_id:
        if trusted != ids:
            yield f"GitHub's ids are {' and '.join(ids)}, the settings say {' and '.join(trusted)}"
        if immutable is False:
            yield "the subject has no ids, the settings have: empty githubOwnerId and githubRepositoryId"
    elif immutable or (immutable is None and made_at >= _IDS_IN_SUBJECT_SINCE):
        yield (
            f"the subject has ids (the repository is of {made_at:%Y-%m-%d}): set githubOwnerId {ids[0]} "
            f"and githubRepositoryId {ids[1]}"
        )
    return f"the default template, {'with' if settings.github_repository_id else 'without'} ids"


@_check(
    "repository.name",
    asks="GitHub for the `full_name` of the repository",
    expected="it is githubRepository of the settings, letter by letter",
    fix="write githubRepository as GitHub does, in all four stack files; " + _OF_SHARED,
    look=lambda place: str(place.github.document("")["full_name"]),
)
def _repository_name(settings: Settings, name: str) -> Notes:
    """GitHub's API ignores the case of letters, the trust of a role does not."""
    wanted = f"{settings.github_owner}/{settings.github_repository}"
    if name != wanted:
        yield f"GitHub says {name}, githubRepository says {wanted}"
    return name


def _document_if_there(place: Place, path: str) -> Mapping[str, Any] | None:
    found = unless_missing(lambda: place.github.document(path))
    if found is None:
        place.github.document("")  # GitHub answers 404 about a repository too, if the token may not see it
    return found


def _state_of(place: Place, workflow: str) -> str | None:
    found = _document_if_there(place, f"actions/workflows/{workflow.rpartition('/')[2]}")
    return str(found["state"]) if found else None


@_check(
    "repository.watch",
    asks=f"GitHub for the state of {_WATCH}",
    expected="active (GitHub switches schedules off after 60 days without activity)",
    fix="gh workflow enable watch.yml",
    look=lambda place: _state_of(place, _WATCH),
    missing=f"{BRANCH} has no {_WATCH}",
)
def _repository_watch(_: Settings, state: str) -> Notes:
    """GitHub switches schedules off after 60 days without activity in a public repository."""
    if state != "active":
        yield f"it is {state}: nobody takes back what a dead run left"
    return "active"


@_check(
    "repository.previews",
    asks=f"GitHub for the state of {_PREVIEWS}",
    expected="active: it sets the status that the ruleset asks for",
    fix="gh workflow enable preview-comment.yml",
    look=lambda place: _state_of(place, _PREVIEWS),
    missing=f"{BRANCH} has no {_PREVIEWS}",
)
def _repository_previews(_: Settings, state: str) -> Notes:
    if state != "active":
        yield f"it is {state}: no pull request gets the status {PREVIEWS}, so none can be merged"
    return "active"


def _codeowners(place: Place) -> str | None:
    found = _document_if_there(place, f"contents/{_CODEOWNERS}?ref={BRANCH}")
    return b64decode(found["content"]).decode(errors="replace") if found else None


@_check(
    "repository.codeowners",
    asks=f"GitHub for {_CODEOWNERS} of {BRANCH}",
    expected="it names an owner for everything",
    fix=f"commit {_CODEOWNERS} with a line for `*`",
    look=_codeowners,
    missing=f"{BRANCH} has no {_CODEOWNERS}",
    not_local="it keeps no files",
)
def _repository_codeowners(_: Settings, text: str) -> Notes:
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    everything = [line for line in lines if line[0] == "*"]
    owners = everything[-1][1:] if everything else []
    if not owners:
        yield f"{_CODEOWNERS} names no owner for `*`"
    return f"owners of everything: {', '.join(owners)}"
