"""How this GitHub shows what it knows: pure functions from the store's objects to JSON documents."""

from __future__ import annotations

from typing import Any

from localcloud.github.store import (
    OWNER,
    REPOSITORY,
    REPOSITORY_ID,
    BranchRule,
    Environment,
    Secret,
    User,
    Variable,
    stamp,
)


def user(one: User, base: str) -> dict[str, Any]:
    """Return a user; `base` is the address of the API."""
    return {
        "login": one.login,
        "id": one.id,
        "node_id": f"U_{one.id}",
        "url": f"{base}/users/{one.login}",
        "html_url": f"https://github.com/{one.login}",
        "type": one.kind,
        "site_admin": False,
        "name": one.login,
        "public_repos": 1,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }


def repository(owner: User, base: str) -> dict[str, Any]:
    """Return the one repository."""
    full_name = f"{OWNER}/{REPOSITORY}"
    return {
        "id": REPOSITORY_ID,
        "node_id": f"R_{REPOSITORY_ID}",
        "name": REPOSITORY,
        "full_name": full_name,
        "private": False,
        "visibility": "public",
        "owner": user(owner, base),
        "url": f"{base}/repos/{full_name}",
        "html_url": f"https://github.com/{full_name}",
        "default_branch": "main",
        "archived": False,
        "fork": False,
        "permissions": {"admin": True, "maintain": True, "push": True, "triage": True, "pull": True},
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "pushed_at": "2026-01-01T00:00:00Z",
    }


def environment(one: Environment, base: str) -> dict[str, Any]:
    """Return an environment: settings that are off have no protection rule, as on GitHub."""
    rules: list[dict[str, Any]] = []
    if one.wait_timer:
        rules.append({"type": "wait_timer", "wait_timer": one.wait_timer})
    if one.reviewers:
        reviewers = [{"type": "User", "reviewer": user(reviewer, base)} for reviewer in one.reviewers]
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
        "url": f"{base}/repos/{OWNER}/{REPOSITORY}/environments/{one.name}",
        "html_url": f"https://github.com/{OWNER}/{REPOSITORY}/deployments/activity_log?environments_filter={one.name}",
        "created_at": stamp(one.created_at),
        "updated_at": stamp(one.updated_at),
        "can_admins_bypass": one.can_admins_bypass,
        "protection_rules": [{"id": one.id * 10 + i, "node_id": f"GA_{i}", **rule} for i, rule in enumerate(rules)],
        "deployment_branch_policy": policy if limited else None,
    }


def branch_rule(one: BranchRule) -> dict[str, Any]:
    """Return a pattern of branches or tags."""
    return {"id": one.id, "node_id": f"BP_{one.id}", "name": one.name, "type": one.kind}


def secret(name: str, one: Secret) -> dict[str, str]:
    """Return what GitHub tells of a secret: never its value."""
    return {"name": name, "created_at": stamp(one.created_at), "updated_at": stamp(one.updated_at)}


def variable(one: Variable) -> dict[str, str]:
    """Return a variable with its value."""
    return {
        "name": one.name,
        "value": one.value,
        "created_at": stamp(one.created_at),
        "updated_at": stamp(one.updated_at),
    }
