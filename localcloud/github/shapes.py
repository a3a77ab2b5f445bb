"""How this GitHub shows what it knows: pure functions from the store's objects to JSON documents."""

from typing import Any
from zlib import crc32

from localcloud.github.store import (
    OWNER,
    REPOSITORY,
    REPOSITORY_ID,
    BranchRule,
    Environment,
    GitHubStore,
    StoredValue,
    Team,
    User,
    stamp,
)

_FULL_NAME = f"{OWNER}/{REPOSITORY}"
_WEB = f"https://github.com/{_FULL_NAME}"


def user(one: User) -> dict[str, Any]:
    """Return a user, or the owner as an organization, with what clients read of one."""
    return {"login": one.login, "id": one.id, "node_id": f"U_{one.id}", "type": one.kind, "name": one.login}


def account(login: str | None, store: GitHubStore) -> dict[str, Any] | None:
    """Return who did something; nothing for somebody whom GitHub does not know."""
    return None if login is None else user(store.user(login))


def team(one: Team) -> dict[str, Any]:
    """Return a team of the owner."""
    kept = {"id": one.id, "node_id": f"T_{one.id}", "name": one.slug, "slug": one.slug, "description": None}
    return {**kept, "privacy": "closed", "notification_setting": "notifications_enabled", "permission": "pull"}


def ruleset(one: dict[str, Any]) -> dict[str, Any]:
    """Return a ruleset."""
    return {
        **one,
        "node_id": f"RRS_{one['id']}",
        "source_type": "Repository",
        "source": _FULL_NAME,
        "current_user_can_bypass": "never",
    }


def repository(owner: User) -> dict[str, Any]:
    """Return the one repository."""
    return {
        "id": REPOSITORY_ID,
        "node_id": f"R_{REPOSITORY_ID}",
        "name": REPOSITORY,
        "full_name": _FULL_NAME,
        "private": False,
        "visibility": "public",
        "owner": user(owner),
        "html_url": _WEB,
        "default_branch": "main",
        "archived": False,
        "created_at": "2026-01-01T00:00:00Z",
    }


def environment(one: Environment) -> dict[str, Any]:
    """Return an environment: settings that are off have no protection rule, as on GitHub."""
    rules: list[dict[str, Any]] = []
    if one.wait_timer:
        rules.append({"type": "wait_timer", "wait_timer": one.wait_timer})
    if one.reviewers:
        reviewers = [
            {"type": "Team", "reviewer": team(reviewer)}
            if isinstance(reviewer, Team)
            else {"type": "User", "reviewer": user(reviewer)}
            for reviewer in one.reviewers
        ]
        rules.append(
            {"type": "required_reviewers", "prevent_self_review": one.prevent_self_review, "reviewers": reviewers}
        )
    limited = one.protected_branches or one.custom_branch_policies
    if limited:
        rules.append({"type": "branch_policy"})
    policy = {"protected_branches": one.protected_branches, "custom_branch_policies": one.custom_branch_policies}
    return {
        "id": one.id,
        "node_id": f"EN_{one.id}",
        "name": one.name,
        "created_at": stamp(one.created_at),
        "updated_at": stamp(one.updated_at),
        "can_admins_bypass": one.can_admins_bypass,
        "protection_rules": [{"id": one.id * 10 + i, "node_id": f"GA_{i}", **rule} for i, rule in enumerate(rules)],
        "deployment_branch_policy": policy if limited else None,
    }


def branch_rule(one: BranchRule) -> dict[str, Any]:
    """Return a pattern of branches or tags."""
    return {"id": one.id, "node_id": f"BP_{one.id}", "name": one.name, "type": one.kind}


def secret(one: StoredValue) -> dict[str, str]:
    """Return what GitHub tells of a secret: never its value."""
    return {"name": one.name, "created_at": stamp(one.created_at), "updated_at": stamp(one.updated_at)}


def variable(one: StoredValue) -> dict[str, str]:
    """Return a variable with its value."""
    return {**secret(one), "value": one.value}


def workflow_of(one: dict[str, Any]) -> str:
    """Return the file name of a run's workflow."""
    return one.get("workflow", "build-and-promote.yml")


def run(one: dict[str, Any]) -> dict[str, Any]:
    """Return a workflow run (one attempt of it)."""
    return {
        "id": one["id"],
        "name": workflow_of(one).removesuffix(".yml"),
        "path": one.get("path", f".github/workflows/{workflow_of(one)}"),
        "run_number": one["id"],
        "run_attempt": one["run_attempt"],
        "event": one.get("event", "push"),
        "status": one["status"],
        "conclusion": one["conclusion"],
        "head_branch": one.get("head_branch", "main"),
        "head_sha": one.get("head_sha", "0" * 40),
        "html_url": f"{_WEB}/actions/runs/{one['id']}",
        "created_at": one.get("created_at", "2026-01-01T00:00:00Z"),
        "updated_at": one.get("updated_at", "2026-01-01T00:00:00Z"),
        "repository": _named(_FULL_NAME),
        "head_repository": _named(one.get("head_repository", _FULL_NAME)),
    }


def job(number: int, one: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Return a job of a run; it ends as the run does, where nobody says how."""
    return {
        "id": run["id"] * 100 + number,
        "run_id": run["id"],
        "run_attempt": run["run_attempt"],
        "name": one["name"],
        "status": one.get("status", run["status"]),
        "conclusion": one.get("conclusion", run["conclusion"]),
        "html_url": f"{_WEB}/actions/runs/{run['id']}/job/{run['id'] * 100 + number}",
        "head_sha": run.get("head_sha", "0" * 40),
    }


def commit(one: dict[str, Any], store: GitHubStore) -> dict[str, Any]:
    """Return a commit: what git holds under `commit`, and the accounts that GitHub found for it."""
    verified = one["verified"]
    return {
        "sha": one["sha"],
        "html_url": f"{_WEB}/commit/{one['sha']}",
        "author": account(one["author"], store),
        "committer": account(one["committer"], store),
        "parents": [{"sha": sha} for sha in one.get("parents", ())],
        "commit": {
            "message": one.get("message", ""),
            "verification": {
                "verified": verified,
                "reason": "valid" if verified else "unsigned",
                "signature": None,
                "payload": None,
            },
        },
    }


def listed_pull(one: dict[str, Any], store: GitHubStore) -> dict[str, Any]:
    """Return a pull request as lists show it: without counts, and without `merged`."""
    return {
        "number": one["number"],
        "html_url": f"{_WEB}/pull/{one['number']}",
        "title": one.get("title", "lambdas: bump a dependency"),
        "state": one.get("state", "closed" if one["merged"] else "open"),
        "labels": one["labels"],
        "user": account(one["user"], store),
        "merged_at": "2026-01-01T00:00:00Z" if one["merged"] else None,
        "merge_commit_sha": one["merge_commit_sha"],
        "base": _side({"ref": "main", "sha": "0" * 40, **one.get("base", {})}),
        "head": _side({"ref": f"update-{one['number']}", **one["head"]}),
    }


def pull(one: dict[str, Any], store: GitHubStore) -> dict[str, Any]:
    """Return a pull request as its own address shows it."""
    counts = {"commits": len(one["commits"]), "changed_files": len(one["files"])}
    return {**listed_pull(one, store), "merged": one["merged"], **counts, **one.get("counts", {})}


def _side(one: dict[str, Any]) -> dict[str, Any]:
    return {"ref": one["ref"], "sha": one["sha"], "repo": _named(one.get("repo", _FULL_NAME))}


def _named(full_name: str | None) -> dict[str, Any] | None:
    """Return a repository as others refer to it: nothing for a fork that is gone."""
    if full_name is None:
        return None
    own = full_name == _FULL_NAME
    return {
        "id": REPOSITORY_ID if own else REPOSITORY_ID + 1 + crc32(full_name.encode()),
        "name": full_name.partition("/")[2],
        "full_name": full_name,
        "owner": {"login": full_name.partition("/")[0]},
        "fork": not own,
    }


def pull_file(one: dict[str, Any]) -> dict[str, Any]:
    """Return a file that a pull request changes."""
    return {"filename": one["filename"], "sha": one["sha"], "status": one.get("status", "modified")}


def issue(number: int, writer: str, store: GitHubStore) -> dict[str, Any]:
    """Return a new issue, as yet without its text."""
    return {
        "number": number,
        "html_url": f"{_WEB}/issues/{number}",
        "state": "open",
        "user": account(writer, store),
        "author_association": association(writer, store),
    }


def issue_of_pull(one: dict[str, Any], store: GitHubStore) -> dict[str, Any]:
    """Return a pull request as the issue that each is besides."""
    shown = listed_pull(one, store)
    kept = {name: shown[name] for name in ("number", "html_url", "title", "state", "labels", "user")}
    return {**kept, "body": None, "author_association": "NONE", "pull_request": {"html_url": shown["html_url"]}}


def comment(number: int, writer: str, store: GitHubStore) -> dict[str, Any]:
    """Return a new comment on an issue, as yet without its text."""
    return {
        "html_url": f"{_WEB}/issues/{number}#issuecomment",
        "user": account(writer, store),
        "author_association": association(writer, store),
    }


def association(login: str, store: GitHubStore) -> str:
    """Return what somebody is to the repository; a job's token is nothing to it."""
    if login == OWNER:
        return "OWNER"
    return "NONE" if store.role(login) in ("none", "read") else "COLLABORATOR"


def label(name: str) -> dict[str, Any]:
    """Return a label."""
    return {"name": name, "color": "ededed", "description": None}
