"""The whole foundation of one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.arns import Arns
from components.foundation.bucket import DeploymentBucket, DeploymentBucketArgs
from components.foundation.github import GithubEnvironment, GithubEnvironmentArgs
from components.foundation.identities import Identities, IdentitiesArgs
from components.foundation.safety import SafetyNet, SafetyNetArgs
from components.foundation.secrets import Secrets, SecretsArgs
from components.identities import identities
from components.settings import Settings


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """Settings of the stack."""

    settings: Settings
    arns: Arns


class Foundation(pulumi.ComponentResource):
    """Bucket, secrets, identities, safety net and GitHub environments of one environment."""

    outputs: Mapping[str, Any]
    """What the stack exports."""

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:Foundation", name, None, opts)
        settings, names = args.settings, args.arns.names
        bucket = DeploymentBucket(
            "deployments",
            DeploymentBucketArgs(
                arns=args.arns, protect=settings.is_prod, administrator_role_arn=settings.administrator_role_arn
            ),
            pulumi.ResourceOptions(parent=self),
        )
        secrets = Secrets(
            "secrets", SecretsArgs(names=names, protect=settings.is_prod), pulumi.ResourceOptions(parent=self)
        )
        roles = Identities("identities", IdentitiesArgs(settings=settings), pulumi.ResourceOptions(parent=self))
        SafetyNet("safety", SafetyNetArgs(arns=args.arns), pulumi.ResourceOptions(parent=self))
        prefix = names.environment.upper()
        for identity in identities(names.environment):
            environment = identity.github_environment
            GithubEnvironment(
                environment,
                GithubEnvironmentArgs(
                    repository=settings.github_repository,
                    environment=environment,
                    reviewers=settings.reviewers if identity.reviewed else (),
                    secrets={
                        f"{prefix}_NEWSAPI_SECRET_ARN": secrets.newsapi.arn,
                        f"{prefix}_DASHBOARD_API_KEY_SECRET_ARN": secrets.dashboard_key.arn,
                    }
                    if identity.secrets
                    else {},
                    variables={
                        "AWS_ROLE_ARN": roles.role_arns[environment],
                        "AWS_REGION": settings.region,
                    },
                ),
                pulumi.ResourceOptions(parent=self),
            )
        self.outputs = {
            "bucket": bucket.bucket.bucket,
            "deploy_role": args.arns.of("role", names.deploy_role),
            "environments": list(roles.role_arns),
        }
        self.register_outputs({})
