"""The roles of CI, as `components/identities.py` lists them."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.identities import identities, trust_of
from components.policies import execution
from components.policies.documents import to_json
from components.settings import Settings
from components.tags import tags


@dataclass(frozen=True, kw_only=True)
class IdentitiesArgs:
    """Whose identities, and the OIDC provider that they trust where the same stack makes it."""

    settings: Settings
    github_provider: aws.iam.OpenIdConnectProvider | None


class Identities(pulumi.ComponentResource):
    """The roles of CI, and the boundary around every role that they make."""

    role_arns: dict[str, pulumi.Output[str]]
    """ARN of the role by GitHub environment."""

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:Identities", name, None, opts)
        arns = args.settings.arns
        names = arns.names
        aws.iam.Policy(
            "boundary",
            name=names.boundary,
            description=f"The most that any role which CI makes for {names.environment} can do",
            policy=to_json(execution.boundary(arns)),
            tags=tags(names.environment, "identities"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.role_arns = {}
        for identity in identities(names.environment):
            role = aws.iam.Role(
                identity.github_environment,
                name=identity.role(names),
                description=f"GitHub environment {identity.github_environment}",
                assume_role_policy=to_json(trust_of(identity, args.settings)),
                tags=tags(names.environment, "identities"),
                # A trust document may have to name a provider that exists.
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=[args.github_provider] if args.github_provider else []
                ),
            )
            aws.iam.RolePolicy(
                identity.github_environment,
                name="rights",
                role=role.name,
                policy=to_json(identity.rights(arns)),
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.role_arns[identity.github_environment] = role.arn
        self.register_outputs({"role_arns": self.role_arns})
