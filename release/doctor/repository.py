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
_WORKFLOWS: Final = {
    "watch.yml": "nobody takes back what a dead run left",
    "preview-comment.yml": f"no pull request gets the status {PREVIEWS}, so none can be merged",
}
"""Workflows that nobody misses at once when GitHub has switched them off, and what does not happen then."""
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


Actions = tuple[Mapping[str, Any], Mapping[str, Any] | None, Mapping[str, Any]]
"""GitHub's permissions of Actions, the allowed actions where only some are, and what the token of a job may do."""


def _actions(place: Place) -> Actions:
    permissions = place.github.document("actions/permissions")
    limited = permissions.get("allowed_actions") == "selected"
    selected = place.github.document("actions/permissions/selected-actions") if limited else None
    return permissions, selected, place.github.document("actions/permissions/workflow")


@_check(
    "repository.actions",
    asks="GitHub which actions may run, and what the token of a job may do by default",
    expected="GitHub's own and those of components/github_rules.py, pinned to a commit; read, and approve nothing",
    look=_actions,
)
def _repository_actions(_: Settings, actions: Actions) -> Notes:
    permissions, selected, token = actions
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
    if token.get("default_workflow_permissions") != "read":
        yield f"the token of a job may {token.get('default_workflow_permissions')} by default"
    if token.get("can_approve_pull_request_reviews") is not False:
        yield "a workflow may approve pull requests"
    return f"GitHub's own and {', '.join(THIRD_PARTY_ACTIONS)}, pinned; a token reads, and approves nothing"


@_check(
    "repository.subject",
    asks="GitHub for the repository's `full_name` and ids, the template of the OIDC subject, and whether it is "
    "immutable",
    expected="githubRepository of the settings is that name, letter by letter; the template is the default one, and "
    "the settings have the ids where the subject has them, and only there",
    fix="write githubRepository, githubOwnerId and githubRepositoryId as GitHub does in the stack files; " + _OF_SHARED,
    look=lambda place: (place.github.document(""), place.github.document("actions/oidc/customization/sub")),
)
def _repository_subject(settings: Settings, subject: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Notes:
    repository, template = subject
    # GitHub's API ignores the case of letters, the trust of a role does not.
    name = f"{settings.github_owner}/{settings.github_repository}"
    if repository["full_name"] != name:
        yield f"GitHub says {repository['full_name']}, githubRepository says {name}"
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
    return f"{name}, the default template, {'with' if settings.github_repository_id else 'without'} ids"


def _document_if_there(place: Place, path: str) -> Mapping[str, Any] | None:
    found = unless_missing(lambda: place.github.document(path))
    if found is None:
        place.github.document("")  # GitHub answers 404 about a repository too, if the token may not see it
    return found


def _workflows(place: Place) -> dict[str, str | None]:
    """State of each workflow; `None` for one that is not there."""
    found = {file: _document_if_there(place, f"actions/workflows/{file}") for file in _WORKFLOWS}
    return {file: str(one["state"]) if one else None for file, one in found.items()}


@_check(
    "repository.workflows",
    asks=f"GitHub for the state of {' and '.join(_WORKFLOWS)}",
    expected="active (GitHub switches schedules off after 60 days without activity in a public repository)",
    fix="gh workflow enable WORKFLOW",
    look=_workflows,
)
def _repository_workflows(_: Settings, states: Mapping[str, str | None]) -> Notes:
    for file, state in states.items():
        if state != "active":
            yield f"{file} is {state or f'not on {BRANCH}'}: {_WORKFLOWS[file]}"
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
