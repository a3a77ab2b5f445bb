"""What this GitHub knows: users, one repository, its environments. No I/O; errors are GitHub's."""

import itertools
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from localcloud.github import rules
from localcloud.github.errors import GitHubApiError, found, invalid, not_found

OWNER, REPOSITORY = "local", "sentiment-pipeline"
REPOSITORY_ID = 900_000_001
MAX_REVIEWERS = 6
MAX_WAIT_MINUTES = 43_200

_NAME = re.compile(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with a login. `kind` is User or Bot."""

    login: str
    id: int
    kind: str = "User"


@dataclass(frozen=True, kw_only=True)
class Team:
    """A team of the owner, which is an organization once it has one."""

    slug: str
    id: int


@dataclass(kw_only=True)
class StoredValue:
    """A variable; or a secret, which is opened on arrival, as GitHub does for its runners, and never given out."""

    name: str
    value: str
    created_at: datetime
    updated_at: datetime


@dataclass(kw_only=True)
class BranchRule:
    """A name pattern of branches or tags that may deploy."""

    id: int
    name: str
    kind: str


@dataclass(kw_only=True)
class Environment:
    """A deployment environment of the repository."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    wait_timer: int = 0
    prevent_self_review: bool = False
    can_admins_bypass: bool = True
    reviewers: list[User | Team] = field(default_factory=list)
    protected_branches: bool = False
    custom_branch_policies: bool = False
    branch_rules: dict[str, BranchRule] = field(default_factory=dict)
    secrets: dict[str, StoredValue] = field(default_factory=dict)
    variables: dict[str, StoredValue] = field(default_factory=dict)
    key: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def key_id(self) -> str:
        """Name of the public key by which secrets for this environment are sealed."""
        return str(int.from_bytes(bytes(self.key.public_key)[:8], "big"))


class GitHubStore:
    """All state of the local GitHub; the caller serialises access."""

    BOT: Final = "github-actions[bot]"
    """As this account a job's token writes."""

    def __init__(self) -> None:
        self._ids = itertools.count(1_000)
        self.users: dict[str, User] = {}
        self.teams: dict[str, Team] = {}
        self.environments: dict[str, Environment] = {}
        # Things made over the API, by path of the list they belong to: deployments, statuses, issues, comments.
        self._collections: dict[str, list[dict[str, Any]]] = {}
        # What the repository lets Actions do, as a new repository has it; the blocks are as the API shows them.
        self.permissions: dict[str, Any] = {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False}
        self.selected_actions = {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": []}
        self.workflow_token = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
        self.oidc_subject: dict[str, Any] = {"use_default": True, "use_immutable_subject": False}
        self.disabled_workflows: set[str] = set()
        self.rulesets: dict[int, dict[str, Any]] = {}
        self.runs: dict[int, dict[int, dict[str, Any]]] = {}
        """Workflow runs by id and attempt, as they were seeded."""
        self.commits: dict[str, dict[str, Any]] = {}
        self.pulls: dict[int, dict[str, Any]] = {}
        self.archives: dict[int, tuple[str, bytes]] = {}
        """Signature of the address and bytes of each artifact, by its id."""
        self.tokens: dict[str, str] = {}
        """Logins by the tokens of people."""
        self.roles: dict[str, str] = {OWNER: "admin"}
        # The git database: files by tree, commits, and the newest commit of each branch.
        self.trees: dict[str, dict[str, str]] = {}
        self.git_commits: dict[str, dict[str, Any]] = {}
        self.branches: dict[str, str] = {}
        self.put_user(OWNER, 90_000_001)
        self.put_user("traylorre", 90_000_002)
        self.put_user("dependabot[bot]", 49_699_333, "Bot")
        # As this account GitHub commits and signs what is made on its servers.
        self.put_user("web-flow", 19_864_447)
        self.put_user(self.BOT, 41_898_282, "Bot")

    def put_user(self, login: str, user_id: int | None = None, kind: str = "User") -> User:
        """Add a user; one who is there already stays as he is."""
        user = User(login=login, id=user_id or 91_000_000 + next(self._ids), kind=kind)
        return self.users.setdefault(login.lower(), user)

    def user(self, login: str) -> User:
        """Return a user by login, whatever the case; 404 when there is none."""
        return found(self.users.get(login.lower()))

    def role(self, login: str) -> str:
        """Return somebody's role in the repository: everybody may read what is public."""
        return self.roles.get(login, "read")

    def put_team(self, slug: str) -> Team:
        """Add a team, which makes an organization of the owner; one that is there already stays as it is."""
        self.users[OWNER] = replace(self.user(OWNER), kind="Organization")
        return self.teams.setdefault(slug, Team(slug=slug, id=92_000_000 + next(self._ids)))

    def team(self, slug: str) -> Team:
        """Return a team of the owner; 404 when there is none."""
        return found(self.teams.get(slug))

    def environment(self, name: str) -> Environment:
        """Return an environment; 404 when there is none."""
        return found(self.environments.get(name.lower()))

    def put_environment(self, name: str, settings: dict[str, Any]) -> Environment:
        """Make or change an environment: what the settings leave out goes back to its default.

        Raises:
            GitHubApiError: 422 for settings that GitHub refuses.
        """
        wait_timer = settings.get("wait_timer") or 0
        if not 0 <= wait_timer <= MAX_WAIT_MINUTES:
            raise invalid(f"wait_timer must be from 0 to {MAX_WAIT_MINUTES} minutes")
        reviewers = self._reviewers(settings.get("reviewers") or [])
        protected, custom = _branch_policy(settings.get("deployment_branch_policy"))
        now = datetime.now(UTC)
        environment = self.environments.setdefault(
            name.lower(), Environment(id=next(self._ids), name=name, created_at=now, updated_at=now)
        )
        environment.updated_at = now
        environment.wait_timer = wait_timer
        environment.reviewers = reviewers
        environment.prevent_self_review = bool(settings.get("prevent_self_review"))
        environment.can_admins_bypass = settings.get("can_admins_bypass") is not False
        environment.protected_branches, environment.custom_branch_policies = protected, custom
        if not custom:
            environment.branch_rules.clear()
        return environment

    def delete_environment(self, name: str) -> None:
        """Delete an environment with all its secrets, variables and rules; 404 when there is none."""
        found(self.environments.pop(name.lower(), None))

    def add_branch_rule(self, environment: Environment, name: str, kind: str) -> BranchRule:
        """Add a pattern; one that is there already is an error.

        Raises:
            GitHubApiError: 404 when the environment does not take patterns, 303 for a pattern that it has.
        """
        if not environment.custom_branch_policies:
            raise not_found()
        if not name or kind not in ("branch", "tag"):
            raise invalid("name must not be empty, type must be branch or tag")
        if any((one.name, one.kind) == (name, kind) for one in environment.branch_rules.values()):
            raise GitHubApiError(303, "Deployment branch policy already exists")
        rule = BranchRule(id=next(self._ids), name=name, kind=kind)
        environment.branch_rules[str(rule.id)] = rule
        return rule

    def put_secret(self, environment: Environment, name: str, key_id: str, sealed: str) -> bool:
        """Store a secret that was sealed with the environment's public key; return whether it is new.

        Raises:
            GitHubApiError: 422 when it was sealed for another key, or not sealed at all.
        """
        _check_name(name)
        if key_id != environment.key_id:
            raise invalid("key_id does not name the current public key of the environment")
        try:
            value = SealedBox(environment.key).decrypt(b64decode(sealed, validate=True)).decode()
        except (ValueError, CryptoError):
            raise invalid("encrypted_value is not sealed with the public key of the environment") from None
        is_new = name.upper() not in environment.secrets
        _keep(environment.secrets, name, value)
        return is_new

    def add_variable(self, environment: Environment, name: str, value: str) -> None:
        """Add a variable; 409 when there is one of that name."""
        _check_name(name)
        if name.upper() in environment.variables:
            raise GitHubApiError(409, "Already exists - Variable already exists")
        _keep(environment.variables, name, value)

    def change_variable(self, environment: Environment, name: str, value: str) -> None:
        """Change the value of a variable; 404 when there is none."""
        found(environment.variables.get(name.upper()))
        _keep(environment.variables, name, value)

    def put_ruleset(self, wanted: dict[str, Any], ruleset_id: int | None = None) -> dict[str, Any]:
        """Make a ruleset, or change the one of this id: what is left out of a change stays as it is.

        Raises:
            GitHubApiError: 404 when there is none of this id, 422 for one that GitHub refuses.
        """
        before = found(self.rulesets.get(ruleset_id)) if ruleset_id is not None else {}
        made: dict[str, Any] = {
            "target": "branch",
            "bypass_actors": [],
            "conditions": {},
            "rules": [],
            **before,
            **wanted,
        }
        if any(one["name"] == made.get("name") and one["id"] != ruleset_id for one in self.rulesets.values()):
            raise invalid("Name must be unique")
        rules.check(made)
        now = stamp(datetime.now(UTC))
        made |= {"id": ruleset_id or next(self._ids), "created_at": before.get("created_at", now), "updated_at": now}
        self.rulesets[made["id"]] = made
        return made

    def run(self, run_id: int, attempt: int | None = None) -> dict[str, Any]:
        """Return an attempt of a workflow run (the last one for `None`); 404 when there is none."""
        attempts = self.runs.get(run_id, {})
        return found(attempts.get(max(attempts, default=0) if attempt is None else attempt))

    def collection(self, path: str) -> list[dict[str, Any]]:
        """Return the list of what was made at a path below the repository, oldest first."""
        return self._collections.setdefault(path, [])

    def add(self, path: str, item: dict[str, Any]) -> dict[str, Any]:
        """Add something made over the API to its list; it gets an id and times."""
        made_at = stamp(datetime.now(UTC))
        made = {**item, "id": next(self._ids), "created_at": made_at, "updated_at": made_at}
        self.collection(path).append(made)
        return made

    def _reviewers(self, wanted: list[dict[str, Any]]) -> list[User | Team]:
        if len(wanted) > MAX_REVIEWERS:
            raise invalid(f"at most {MAX_REVIEWERS} reviewers")
        known: dict[Any, dict[int, User | Team]] = {
            "User": {user.id: user for user in self.users.values()},
            "Team": {team.id: team for team in self.teams.values()},
        }
        reviewers = []
        for one in wanted:
            reviewer = known.get(one.get("type"), {}).get(one.get("id", 0))
            if reviewer is None:
                raise invalid(
                    f"reviewer {one} is neither a user nor a team of this repository (add them by POST "
                    "/_localcloud/users and /_localcloud/teams)"
                )
            reviewers.append(reviewer)
        return reviewers


def _keep(values: dict[str, StoredValue], name: str, value: str) -> None:
    """Add a value, or change the one of that name; names ignore case."""
    now = datetime.now(UTC)
    new = StoredValue(name=name.upper(), value=value, created_at=now, updated_at=now)
    kept = values.setdefault(new.name, new)
    kept.value, kept.updated_at = value, now


def stamp(moment: datetime) -> str:
    """Return a time as GitHub writes it, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def public_key(environment: Environment) -> dict[str, str]:
    """Return the key with which clients seal secrets for the environment."""
    return {"key_id": environment.key_id, "key": b64encode(bytes(environment.key.public_key)).decode()}


def _branch_policy(wanted: dict[str, bool] | None) -> tuple[bool, bool]:
    if wanted is None:
        return False, False
    protected, custom = bool(wanted.get("protected_branches")), bool(wanted.get("custom_branch_policies"))
    if protected == custom:
        raise invalid("protected_branches and custom_branch_policies cannot have the same value")
    return protected, custom


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name.upper()):
        raise invalid("names have letters, digits and underscores, and start neither with a digit nor with GITHUB_")
