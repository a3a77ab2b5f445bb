"""What an account has only once, and in one of the stacks what the repository has only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components import naming
from components.arns import GITHUB_ISSUER
from components.policies.trust import STS_AUDIENCE
from components.settings import Settings
from components.shared.repository import Repository, RepositoryArgs
from components.shared.trail import AuditTrail, AuditTrailArgs
from components.tags import tags

_NOTIFIED: Final = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Kind of cost, and percent of the budget above which it is told."""


@dataclass(frozen=True, kw_only=True)
class SharedArgs:
    """Settings of a stack that owns what is shared, or has an account of its own."""

    settings: Settings


class Shared(pulumi.ComponentResource):
    """OIDC provider, audit trail and budget of the account; rules of the repository where the stack owns them.

    Roles of both environments name the OIDC provider by its ARN, which follows from the account.
    """

    github_provider: aws.iam.OpenIdConnectProvider | None
    """None where the account's own is adopted."""

    def __init__(self, name: str, args: SharedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:shared:Shared", name, None, opts)
        settings = args.settings
        self.github_provider = None
        if not settings.adopt_github_provider:
            self.github_provider = aws.iam.OpenIdConnectProvider(
                "github",
                url=f"https://{GITHUB_ISSUER}",
                client_id_lists=[STS_AUDIENCE],
                # No thumbprints: AWS trusts this issuer by its own list of certificate authorities.
                tags=tags(settings.environment, "shared"),
                # Without the provider no deployment of any environment gets credentials.
                opts=pulumi.ResourceOptions(parent=self, protect=True),
            )
        if not settings.adopt_trail:
            AuditTrail("trail", AuditTrailArgs(settings=settings), pulumi.ResourceOptions(parent=self))
        aws.budgets.Budget(
            "monthly",
            name=naming.BUDGET,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(settings.monthly_budget_usd),
            limit_unit="USD",
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    **_who_hears(settings),
                }
                for kind, percent in _NOTIFIED
            ],
            tags=tags(settings.environment, "shared"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        if settings.owns_shared:
            Repository("repository", RepositoryArgs(settings=settings), pulumi.ResourceOptions(parent=self))
        self.register_outputs({"github_provider": settings.arns.github_provider})


def _who_hears(settings: Settings) -> dict[str, Any]:
    """Mails go out directly: they need no topic, which the service stack makes later, and nobody has to confirm."""
    if settings.on_call_emails:
        return {"subscriber_email_addresses": list(settings.on_call_emails)}
    arns = settings.arns
    return {"subscriber_sns_topic_arns": [arns.of("topic", arns.names.on_call_topic)]}
