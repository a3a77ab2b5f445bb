"""The one place for names of secrets and variables in GitHub environments, and for who puts their values there.

Requirement M11 gives the names. None holds an access key: jobs assume their role by OIDC, with these variables.
Pure Python: `release/` imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components.naming import names

ROLE_ARN: Final = "AWS_ROLE_ARN"
"""Variable: the role that jobs of the environment assume."""
REGION: Final = "AWS_REGION"
"""Variable: where they work."""
BUCKET: Final = "DEPLOYMENT_BUCKET"
"""Variable: where packages and ledger lie, and what a rollback runs with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GithubSecrets:
    """Names of the secrets of every GitHub environment whose identity has `secrets`."""

    newsapi_secret_arn: str
    dashboard_key_secret_arn: str
    new_items_topic_arn: str | None
    """None in production, where nobody tests the topic."""
    dashboard_key: str
    """Holds a real secret value. No state may ever hold that, so it is not the program's."""

    @property
    def of_program(self) -> tuple[str, ...]:
        """Names whose values the foundation stack sets: ARNs, which are no secrets."""
        named = (self.newsapi_secret_arn, self.dashboard_key_secret_arn, self.new_items_topic_arn)
        return tuple(name for name in named if name)

    @property
    def of_bootstrap(self) -> tuple[str, ...]:
        """Names whose values `release bootstrap` seals, past every state."""
        return (self.dashboard_key,)


def github_secrets(environment: str) -> GithubSecrets:
    """Names of the secrets for `environment` (`preprod` or `prod`); raises `PhysicalNameError` for any other word."""
    prefix = names(environment).environment.upper()
    return GithubSecrets(
        newsapi_secret_arn=f"{prefix}_NEWSAPI_SECRET_ARN",
        dashboard_key_secret_arn=f"{prefix}_DASHBOARD_API_KEY_SECRET_ARN",
        new_items_topic_arn=f"{prefix}_SNS_TOPIC_ARN" if environment == "preprod" else None,
        dashboard_key=f"{prefix}_DASHBOARD_API_KEY",
    )
