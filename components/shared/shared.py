"""The account's trust in GitHub's tokens."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.arns import GITHUB_ISSUER, Arns
from components.policies.trust import STS_AUDIENCE
from components.settings import Settings
from components.tags import tags


@dataclass(frozen=True, kw_only=True)
class SharedArgs:
    """Settings of the stack that owns what is shared."""

    settings: Settings
    arns: Arns


class Shared(pulumi.ComponentResource):
    """The OIDC provider. Roles of both environments name it by its ARN, which follows from the account."""

    def __init__(self, name: str, args: SharedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:shared:Shared", name, None, opts)
        provider = aws.iam.OpenIdConnectProvider(
            "github",
            url=f"https://{GITHUB_ISSUER}",
            client_id_lists=[STS_AUDIENCE],
            # No thumbprints: AWS trusts this issuer by its own list of certificate authorities.
            tags=tags(args.settings.environment, "shared"),
            # Without the provider no deployment of any environment gets credentials.
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.register_outputs({"github_provider": provider.arn})
