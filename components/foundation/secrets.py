"""The service's secrets, as empty containers: an administrator puts the values, which no state or file ever holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.naming import Names
from components.tags import tags

_RECOVERY_DAYS: Final = 7
"""How long a deleted secret can be brought back."""


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """Whose secrets, and whether Pulumi refuses to delete them."""

    names: Names
    protect: bool


class Secrets(pulumi.ComponentResource):
    """One container per secret. A value is JSON: {"api_key": ...}."""

    newsapi: aws.secretsmanager.Secret
    dashboard_key: aws.secretsmanager.Secret

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:foundation:Secrets", name, None, opts)
        self.newsapi = aws.secretsmanager.Secret(
            "newsapi",
            name=args.names.newsapi_secret,
            description='Key of the news service, as {"api_key": ...}',
            recovery_window_in_days=_RECOVERY_DAYS,
            tags=tags(args.names.environment, "secrets"),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.dashboard_key = aws.secretsmanager.Secret(
            "dashboard-api-key",
            name=args.names.dashboard_key_secret,
            description='Key that the dashboard asks of people, as {"api_key": ...}',
            recovery_window_in_days=_RECOVERY_DAYS,
            tags=tags(args.names.environment, "secrets"),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.register_outputs({"newsapi": self.newsapi.arn, "dashboard_api_key": self.dashboard_key.arn})
