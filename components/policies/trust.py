"""Who may assume a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.arns import GITHUB_ISSUER, Arns
from components.policies.documents import Condition, Document, Statement, document

STS_AUDIENCE = "sts.amazonaws.com"


def by_service(service: str | Sequence[str], account_id: str | None = None) -> Document:
    """Trust AWS services (`lambda`, `scheduler`); with `account_id` only when they act for that account."""
    condition = {"StringEquals": {"aws:SourceAccount": account_id}} if account_id else None
    principals = f"{service}.amazonaws.com" if isinstance(service, str) else [f"{one}.amazonaws.com" for one in service]
    return document(_assume("sts:AssumeRole", {"Service": principals}, condition))


def by_github(
    arns: Arns,
    *,
    owner: str,
    repository: str,
    owner_id: str,
    repository_id: str,
    github_environment: str,
    workflows: Sequence[str],
) -> Document:
    """Trust jobs of one GitHub environment on main, and with `workflows` only those of these workflows' files.

    Every claim is compared by StringEquals: a wildcard in `sub` is how roles end up open to other repositories.
    """
    claims: dict[str, str | list[str]] = {
        "aud": STS_AUDIENCE,
        "sub": github_subject(owner, repository, owner_id, repository_id, github_environment),
        "ref": "refs/heads/main",
    }
    if workflows:
        claims["job_workflow_ref"] = [
            f"{owner}/{repository}/.github/workflows/{workflow}@refs/heads/main" for workflow in workflows
        ]
    equals = {f"{GITHUB_ISSUER}:{claim}": value for claim, value in claims.items()}
    return document(
        _assume("sts:AssumeRoleWithWebIdentity", {"Federated": arns.github_provider}, {"StringEquals": equals})
    )


def github_subject(owner: str, repository: str, owner_id: str, repository_id: str, github_environment: str) -> str:
    """The exact `sub` of GitHub's token: with both ids for newer repositories, without for older ones."""
    if owner_id and repository_id:
        return f"repo:{owner}@{owner_id}/{repository}@{repository_id}:environment:{github_environment}"
    return f"repo:{owner}/{repository}:environment:{github_environment}"


def _assume(action: str, principal: Mapping[str, str | list[str]], condition: Condition | None) -> Statement:
    statement: Statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition is not None:
        statement["Condition"] = condition
    return statement
