"""The table of identities: who may assume which role, with which rights. Trust and policies are derived from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.naming import Names
from components.policies import deploy, execution, trust
from components.policies.documents import Document, to_json
from components.settings import Settings
from components.tags import tags


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One role of CI.

    Jobs of `github_environment` on main may assume it; with `workflow`, only those of that reusable workflow's file.
    """

    environment: str
    github_environment: str
    role: Callable[[Names], str]
    workflow: str | None
    rights: Callable[[Arns], Document]


IDENTITIES: Final = (
    Identity(
        environment="preprod",
        github_environment="preprod",
        role=lambda names: names.deploy_role,
        workflow=None,
        rights=deploy.deploy,
    ),
    Identity(
        environment="prod",
        github_environment="production",
        role=lambda names: names.deploy_role,
        workflow=None,
        rights=deploy.deploy,
    ),
    # Nobody reviews these jobs, so the file that they come from is pinned and their rights end at code.
    Identity(
        environment="prod",
        github_environment="production-auto",
        role=lambda names: names.deploy_auto_role,
        workflow="deploy-prod.yml",
        rights=deploy.deploy_code,
    ),
)


def identities(environment: str) -> tuple[Identity, ...]:
    """The identities that belong to one environment."""
    return tuple(identity for identity in IDENTITIES if identity.environment == environment)


def trust_of(identity: Identity, settings: Settings, arns: Arns) -> Document:
    """The trust policy of an identity's role."""
    return trust.by_github(
        arns,
        owner=settings.github_owner,
        repository=settings.github_repository,
        owner_id=settings.github_owner_id,
        repository_id=settings.github_repository_id,
        github_environment=identity.github_environment,
        workflow=identity.workflow,
    )


@dataclass(frozen=True, kw_only=True)
class IdentitiesArgs:
    """Whose identities."""

    settings: Settings
    arns: Arns


class Identities(pulumi.ComponentResource):
    """The roles of CI, and the boundary around every role that they make."""

    role_arns: dict[str, pulumi.Output[str]]
    """ARN of the role by GitHub environment."""

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:Identities", name, None, opts)
        names = args.arns.names
        aws.iam.Policy(
            "boundary",
            name=names.boundary,
            description=f"The most that any role which CI makes for {names.environment} can do",
            policy=to_json(execution.boundary(args.arns)),
            tags=tags(names.environment, "identities"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.role_arns = {}
        for identity in identities(names.environment):
            role = aws.iam.Role(
                identity.github_environment,
                name=identity.role(names),
                description=f"GitHub environment {identity.github_environment}",
                assume_role_policy=to_json(trust_of(identity, args.settings, args.arns)),
                tags=tags(names.environment, "identities"),
                opts=pulumi.ResourceOptions(parent=self),
            )
            aws.iam.RolePolicy(
                identity.github_environment,
                name="rights",
                role=role.name,
                policy=to_json(identity.rights(args.arns)),
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.role_arns[identity.github_environment] = role.arn
        self.register_outputs({"role_arns": self.role_arns})
