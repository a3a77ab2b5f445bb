"""The whole foundation of one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.foundation.bucket import PrivateBucket, PrivateBucketArgs
from components.foundation.github import GithubEnvironment, GithubEnvironmentArgs
from components.foundation.identities import Identities, IdentitiesArgs
from components.foundation.safety import SafetyNet, SafetyNetArgs
from components.foundation.secrets import Secrets, SecretsArgs
from components.github_secrets import BUCKET, REGION, ROLE_ARN, github_secrets
from components.identities import identities
from components.policies.bucket import deployment_bucket
from components.settings import Settings
from components.tags import tags

_NONCURRENT_DAYS: Final = 90
"""How long a replaced head or lease is kept; packages and entries are never replaced."""


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """Settings of the stack, and the OIDC provider where the same stack makes it."""

    settings: Settings
    github_provider: aws.iam.OpenIdConnectProvider | None


class Foundation(pulumi.ComponentResource):
    """Bucket, secrets, identities, safety net and GitHub environments of one environment."""

    outputs: Mapping[str, Any]
    """What the stack exports."""

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:Foundation", name, None, opts)
        settings, arns = args.settings, args.settings.arns
        names = arns.names
        # Nothing current ever expires here: a rollback needs the packages of a release that may be old.
        bucket = PrivateBucket(
            "deployments",
            PrivateBucketArgs(
                bucket=names.bucket,
                tags=tags(names.environment, "deployments"),
                policy=deployment_bucket(arns, settings.administrator_role_arn),
                protect=settings.is_prod,
                noncurrent_days=_NONCURRENT_DAYS,
            ),
            # Stacks of before the audit trail know it by this name.
            pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(type_="sentiment:foundation:DeploymentBucket")]),
        )
        secrets = Secrets(
            "secrets", SecretsArgs(names=names, protect=settings.is_prod), pulumi.ResourceOptions(parent=self)
        )
        roles = Identities(
            "identities",
            IdentitiesArgs(settings=settings, github_provider=args.github_provider),
            pulumi.ResourceOptions(parent=self),
        )
        SafetyNet("safety", SafetyNetArgs(arns=arns), pulumi.ResourceOptions(parent=self))
        secret_values = _secret_values(arns, secrets)
        for identity in identities(names.environment):
            environment = identity.github_environment
            GithubEnvironment(
                environment,
                GithubEnvironmentArgs(
                    repository=settings.github_repository,
                    environment=environment,
                    reviewers=settings.reviewers if identity.reviewed else (),
                    reviewer_teams=settings.reviewer_teams if identity.reviewed else (),
                    prevent_self_review=settings.prevent_self_review and identity.reviewed,
                    secrets=secret_values if identity.secrets else {},
                    variables={
                        ROLE_ARN: roles.role_arns[environment],
                        REGION: settings.region,
                        BUCKET: names.bucket,
                    },
                ),
                pulumi.ResourceOptions(parent=self),
            )
        self.outputs = {
            "bucket": bucket.bucket.bucket,
            "deploy_role": arns.of("role", names.deploy_role),
            "environments": list(roles.role_arns),
        }
        self.register_outputs({})


def _secret_values(arns: Arns, secrets: Secrets) -> dict[str, pulumi.Input[str]]:
    """What the program puts into the secrets of GitHub environments: where things are."""
    named = github_secrets(arns.names.environment)
    values: dict[str, pulumi.Input[str]] = {
        named.newsapi_secret_arn: secrets.newsapi.arn,
        named.dashboard_key_secret_arn: secrets.dashboard_key.arn,
    }
    if named.new_items_topic_arn:
        # The service stack makes the topic, later: its ARN follows from the name.
        values[named.new_items_topic_arn] = arns.of("topic", arns.names.new_items_topic)
    return values
