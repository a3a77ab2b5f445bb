"""GitHub environments: who must approve, from which branch, and what a job is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_github as github

from components.github_rules import BRANCH
from components.settings import SettingError


@dataclass(frozen=True, kw_only=True)
class GithubEnvironmentArgs:
    """One environment of a repository (its name without owner: the owner is the provider's, from GITHUB_OWNER).

    `reviewers` are logins, `reviewer_teams` slugs of teams of the owner; both are empty where nobody has to approve.
    None of the secrets holds a secret: the values say where one is.
    """

    repository: str
    environment: str
    reviewers: tuple[str, ...]
    reviewer_teams: tuple[str, ...]
    prevent_self_review: bool
    secrets: Mapping[str, pulumi.Input[str]]
    variables: Mapping[str, pulumi.Input[str]]


class GithubEnvironment(pulumi.ComponentResource):
    """An environment that deploys from main only, and whose rules no administrator of the repository can skip."""

    def __init__(self, name: str, args: GithubEnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:GithubEnvironment", name, None, opts)
        users = [_id("reviewers", login, lambda it: github.get_user(username=it)) for login in args.reviewers]
        teams = [
            _id("reviewerTeams", slug, lambda it: github.get_team(slug=it, summary_only=True))
            for slug in args.reviewer_teams
        ]
        environment = github.RepositoryEnvironment(
            name,
            repository=args.repository,
            environment=args.environment,
            reviewers=[github.RepositoryEnvironmentReviewerArgs(users=users or None, teams=teams or None)]
            if users or teams
            else None,
            prevent_self_review=args.prevent_self_review,
            can_admins_bypass=False,
            deployment_branch_policy={"protected_branches": False, "custom_branch_policies": True},
            opts=pulumi.ResourceOptions(parent=self),
        )
        github.RepositoryEnvironmentDeploymentPolicy(
            f"{name}-{BRANCH}",
            repository=args.repository,
            environment=environment.environment,
            branch_pattern=BRANCH,
            opts=pulumi.ResourceOptions(parent=self),
        )
        for key, value in args.secrets.items():
            github.ActionsEnvironmentSecret(
                f"{name}-{key}",
                repository=args.repository,
                environment=environment.environment,
                secret_name=key,
                # Not `value`: version 6.11 of the upstream provider, which also serves locally, knows only this name.
                plaintext_value=value,
                opts=pulumi.ResourceOptions(parent=self),
            )
        for key, value in args.variables.items():
            github.ActionsEnvironmentVariable(
                f"{name}-{key}",
                repository=args.repository,
                environment=environment.environment,
                variable_name=key,
                value=value,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"environment": environment.environment})


def _id(setting: str, name: str, look_up: Callable[[str], Any]) -> int:
    """The id that GitHub wants. Foundation stacks alone look it up: CI never loads this provider.

    Raises `SettingError` where GitHub does not know the name. It waits for the answer, because an output that fails
    shows a traceback for each thing that depends on it.
    """
    try:
        return int(look_up(name).id)
    except Exception as error:
        why = " ".join(str(error).split()).removeprefix("invoke of ")
        raise SettingError(setting, f"names {name!r}, whom GitHub does not answer for ({why})") from None
