"""Rules of the repository as GitHub's REST API answers: how something reaches main, what Actions may do."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from components.github_rules import BRANCH, GITHUB_ACTIONS_APP, PREVIEWS, THIRD_PARTY_ACTIONS
from components.github_rules import CHECKS as REQUIRED_CHECKS
from components.settings import Settings
from release.clients.github import GitHubError
from release.doctor.check import Check, Judgement, Scope, conclude
from release.doctor.place import Place

_IDS_IN_SUBJECT_SINCE: Final = datetime(2026, 7, 15, tzinfo=UTC)
"""Repositories made since then have both ids in the subject of their tokens. Asked only where GitHub does not say."""
_MAIN: Final = frozenset({f"refs/heads/{BRANCH}", "~DEFAULT_BRANCH", "~ALL"})
_CODEOWNERS: Final = ".github/CODEOWNERS"
_WATCH: Final = ".github/workflows/watch.yml"
_PREVIEWS: Final = ".github/workflows/preview-comment.yml"
_MISSING: Final = 404
_OF_SHARED: Final = "pulumi up --refresh --stack prod-foundation"

Rulesets = Sequence[Mapping[str, Any]]


def _rulesets(place: Place) -> Rulesets:
    listed = place.github.items("rulesets", includes_parents="true")
    # The list leaves out rules and bypass actors.
    return [
        place.github.document(f"rulesets/{one['id']}")
        for one in listed
        if one.get("target") == "branch" and one.get("enforcement") == "active"
    ]


def judge_rulesets(settings: Settings, rulesets: Rulesets) -> Judgement:
    """One active ruleset for main asks for all that the program sets, and nobody goes round it."""
    of_main = [one for one in rulesets if _is_about_main(one)]
    if not of_main:
        return conclude("", problems=[f"no active ruleset is about {BRANCH}"])
    best = min(of_main, key=lambda one: len(_holes(one, settings)))
    problems, unseen = _holes(best, settings), []
    if "bypass_actors" not in best:
        unseen.append(f"GitHub does not show this token who may go round ruleset {best['name']}")
    elif best["bypass_actors"]:
        problems.append(f"{len(best['bypass_actors'])} may go round ruleset {best['name']}")
    return conclude(f"ruleset {best['name']}: pull request, checks, no way round", problems=problems, unseen=unseen)


def _is_about_main(ruleset: Mapping[str, Any]) -> bool:
    names = (ruleset.get("conditions") or {}).get("ref_name") or {}
    return bool(_MAIN.intersection(names.get("include", ()))) and not _MAIN.intersection(names.get("exclude", ()))


def _holes(ruleset: Mapping[str, Any], settings: Settings) -> list[str]:
    rules = {rule["type"]: rule.get("parameters") or {} for rule in ruleset.get("rules", ())}
    holes = [
        f"ruleset {ruleset['name']} lacks {kind}"
        for kind in ("pull_request", "required_status_checks", "non_fast_forward", "deletion")
        if kind not in rules
    ]
    if "pull_request" in rules:
        asked = rules["pull_request"].get("required_approving_review_count", 0)
        if asked < settings.required_approvals:
            holes.append(f"a pull request needs {asked} approvals, not {settings.required_approvals}")
    if "required_status_checks" in rules:
        listed = rules["required_status_checks"].get("required_status_checks", ())
        ours = {one["context"] for one in listed if one.get("integration_id") == GITHUB_ACTIONS_APP}
        missing = [check for check in REQUIRED_CHECKS if check not in ours]
        holes += [f"check {', '.join(missing)} of Actions is not required"] if missing else []
        if not rules["required_status_checks"].get("strict_required_status_checks_policy"):
            holes.append("a pull request need not hold the newest commit of its base")
    return holes


@dataclass(frozen=True, slots=True)
class Actions:
    """What may run, and what its token may do; `selected` where only some actions are allowed."""

    permissions: Mapping[str, Any]
    selected: Mapping[str, Any] | None


def _actions(place: Place) -> Actions:
    permissions = place.github.document("actions/permissions")
    limited = permissions.get("allowed_actions") == "selected"
    return Actions(permissions, place.github.document("actions/permissions/selected-actions") if limited else None)


def judge_actions(_: Settings, actions: Actions) -> Judgement:
    """Only GitHub's own actions and those that the workflows name, each pinned to a commit."""
    problems = []
    if actions.permissions.get("enabled") is not True:
        problems.append("Actions are switched off: nothing is built or deployed")
    if actions.permissions.get("allowed_actions") == "all":
        problems.append("any action may run")
    if actions.permissions.get("sha_pinning_required") is not True:
        problems.append("an action need not be pinned to a commit")
    if actions.selected is not None:
        wanted = {f"{action}@*" for action in THIRD_PARTY_ACTIONS}
        allowed = set(actions.selected.get("patterns_allowed", ()))
        extra, missing = sorted(allowed - wanted), sorted(wanted - allowed)
        problems += [f"{', '.join(extra)} may run besides"] if extra else []
        problems += [f"{', '.join(missing)} may not run"] if missing else []
        if actions.selected.get("verified_allowed"):
            problems.append("any action of a verified creator may run")
    return conclude(f"GitHub's own and {', '.join(THIRD_PARTY_ACTIONS)}, pinned", problems=problems)


def _token(place: Place) -> Mapping[str, Any]:
    return place.github.document("actions/permissions/workflow")


def judge_token(_: Settings, token: Mapping[str, Any]) -> Judgement:
    """A job that asks for nothing gets a token that can read."""
    problems = []
    if token.get("default_workflow_permissions") != "read":
        problems.append(f"the token of a job may {token.get('default_workflow_permissions')} by default")
    if token.get("can_approve_pull_request_reviews") is not False:
        problems.append("a workflow may approve pull requests")
    return conclude("read-only, and it approves nothing", problems=problems)


@dataclass(frozen=True, slots=True)
class Subject:
    """How GitHub names a job in its token: the template, and what stands in it.

    Args:
        use_default: Whether it is the default template.
        immutable: Whether ids stand in it (`use_immutable_subject`); `None` where GitHub does not say so.
        owner_id: Id of the owner.
        repository_id: Id of the repository.
        made_at: When the repository was made.
    """

    use_default: bool
    immutable: bool | None
    owner_id: str
    repository_id: str
    made_at: datetime

    @property
    def with_ids(self) -> bool:
        """Whether the subject has both ids."""
        return self.made_at >= _IDS_IN_SUBJECT_SINCE if self.immutable is None else self.immutable


def _subject(place: Place) -> Subject:
    repository = place.github.document("")
    template = place.github.document("actions/oidc/customization/sub")
    return Subject(
        use_default=bool(template["use_default"]),
        immutable=template.get("use_immutable_subject"),
        owner_id=str(repository["owner"]["id"]),
        repository_id=str(repository["id"]),
        made_at=datetime.fromisoformat(repository["created_at"]),
    )


def judge_subject(settings: Settings, subject: Subject) -> Judgement:
    """The subject has the form that the roles trust."""
    problems = []
    if not subject.use_default:
        problems.append("the template of the subject is not the default one, which the roles trust")
    if settings.github_repository_id:
        ids = (settings.github_owner_id, settings.github_repository_id)
        if ids != (subject.owner_id, subject.repository_id):
            problems.append(
                f"GitHub's ids are {subject.owner_id} and {subject.repository_id}, the settings say {' and '.join(ids)}"
            )
        if subject.immutable is False:
            problems.append("the subject has no ids, the settings have: empty githubOwnerId and githubRepositoryId")
    elif subject.with_ids:
        problems.append(
            f"the subject has ids (the repository is of {subject.made_at:%Y-%m-%d}): set githubOwnerId "
            f"{subject.owner_id} and githubRepositoryId {subject.repository_id}"
        )
    form = "with ids" if settings.github_repository_id else "without ids"
    return conclude(f"the default template, {form}", problems=problems)


def _name(place: Place) -> str:
    return str(place.github.document("")["full_name"])


def judge_name(settings: Settings, name: str) -> Judgement:
    """The name is that of the settings, letter by letter: GitHub's API ignores the case, a role's trust does not."""
    wanted = f"{settings.github_owner}/{settings.github_repository}"
    problems = [f"GitHub says {name}, githubRepository says {wanted}"] if name != wanted else []
    return conclude(name, problems=problems)


def _state_of(workflow: str) -> Callable[[Place], str | None]:
    """Return the question for the state of a workflow: it is `None` where main has none."""

    def look(place: Place) -> str | None:
        try:
            return str(place.github.document(f"actions/workflows/{workflow.rpartition('/')[2]}")["state"])
        except GitHubError as error:
            if error.status != _MISSING:
                raise
            place.github.document("")  # GitHub answers 404 about a repository too, if the token may not see it
            return None

    return look


def judge_watch(_: Settings, state: str | None) -> Judgement:
    """It runs: GitHub switches schedules off after 60 days without activity in a public repository."""
    return _judge_state(_WATCH, state, "nobody takes back what a dead run left")


def judge_previews(_: Settings, state: str | None) -> Judgement:
    """It runs: without it no pull request gets the status that the ruleset asks for."""
    return _judge_state(_PREVIEWS, state, f"no pull request gets the status {PREVIEWS}, so none can be merged")


def _judge_state(workflow: str, state: str | None, otherwise: str) -> Judgement:
    if state is None:
        return conclude("", problems=[f"{BRANCH} has no {workflow}"])
    return conclude("active", problems=[f"it is {state}: {otherwise}"] if state != "active" else [])


def _codeowners(place: Place) -> str | None:
    try:
        found = place.github.document(f"contents/{_CODEOWNERS}?ref={BRANCH}")
    except GitHubError as error:
        if error.status != _MISSING:
            raise
        place.github.document("")  # GitHub answers 404 about a repository too, if the token may not see it
        return None
    return b64decode(found["content"]).decode(errors="replace")


def judge_codeowners(_: Settings, text: str | None) -> Judgement:
    """Everything has an owner."""
    if text is None:
        return conclude("", problems=[f"{BRANCH} has no {_CODEOWNERS}"])
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    everything = [line for line in lines if line[0] == "*"]
    owners = everything[-1][1:] if everything else []
    problems = [] if owners else [f"{_CODEOWNERS} names no owner for `*`"]
    return conclude(f"owners of everything: {', '.join(owners)}", problems=problems)


CHECKS: Final = (
    Check(
        name="repository.ruleset",
        asks=f"GitHub for all active rulesets about {BRANCH}, with their bypass actors",
        good="one asks for a pull request with the approvals of the settings and for the checks of "
        "components/github_rules.py, forbids deletion and force pushes, and nobody may go round it",
        mend=_OF_SHARED,
        look=_rulesets,
        judge=judge_rulesets,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="repository.actions",
        asks="GitHub which actions may run",
        good="GitHub's own and those of components/github_rules.py, pinned to a commit",
        mend=_OF_SHARED,
        look=_actions,
        judge=judge_actions,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="repository.token",
        asks="GitHub what the token of a job may do by default",
        good="read, and approve nothing",
        mend=_OF_SHARED,
        look=_token,
        judge=judge_token,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="repository.subject",
        asks="GitHub for the template of the OIDC subject, whether it is immutable, and for the repository's ids",
        good="the default template, and the settings have the ids where the subject has them, and only there",
        mend="set githubOwnerId and githubRepositoryId in both foundation stack files; " + _OF_SHARED,
        look=_subject,
        judge=judge_subject,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="repository.name",
        asks="GitHub for the `full_name` of the repository",
        good="it is githubRepository of the settings, letter by letter",
        mend="write githubRepository as GitHub does, in all four stack files; " + _OF_SHARED,
        look=_name,
        judge=judge_name,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="repository.watch",
        asks=f"GitHub for the state of {_WATCH}",
        good="active (GitHub switches schedules off after 60 days without activity)",
        mend="gh workflow enable watch.yml",
        look=_state_of(_WATCH),
        judge=judge_watch,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="repository.previews",
        asks=f"GitHub for the state of {_PREVIEWS}",
        good="active: it sets the status that the ruleset asks for",
        mend="gh workflow enable preview-comment.yml",
        look=_state_of(_PREVIEWS),
        judge=judge_previews,
        scope=Scope.REPOSITORY,
        in_account=False,
    ),
    Check(
        name="repository.codeowners",
        asks=f"GitHub for {_CODEOWNERS} of {BRANCH}",
        good="it names an owner for everything",
        mend=f"commit {_CODEOWNERS} with a line for `*`",
        look=_codeowners,
        judge=judge_codeowners,
        scope=Scope.REPOSITORY,
        in_account=False,
        not_local="it keeps no files",
    ),
)
