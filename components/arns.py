"""ARNs that follow from a name, so that policies are complete documents before anything exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components.naming import LIVE, Names, names

GITHUB_ISSUER: Final = "token.actions.githubusercontent.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arns:
    """ARNs of one environment in one account and region. Arguments may hold the wildcard `*`."""

    account_id: str
    region: str
    names: Names

    @property
    def other(self) -> Arns:
        """The same for the other environment, which normally lives in the same account."""
        return Arns(account_id=self.account_id, region=self.region, names=names(self.names.other_environment))

    def _regional(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def function(self, name: str) -> str:
        return self._regional("lambda", f"function:{name}")

    def live(self, function_name: str) -> str:
        return f"{self.function(function_name)}:{LIVE}"

    def table(self, name: str) -> str:
        return self._regional("dynamodb", f"table/{name}")

    def topic(self, name: str) -> str:
        return self._regional("sns", name)

    def queue(self, name: str) -> str:
        return self._regional("sqs", name)

    def log_group(self, name: str) -> str:
        return self._regional("logs", f"log-group:{name}")

    def alarm(self, name: str) -> str:
        return self._regional("cloudwatch", f"alarm:{name}")

    def schedule(self, name: str) -> str:
        return self._regional("scheduler", f"schedule/default/{name}")

    def secret(self, name: str) -> str:
        """ARN of the secret `name`: Secrets Manager appends a hyphen and six characters of its own choice."""
        return self._regional("secretsmanager", f"secret:{name}-??????")

    def role(self, name: str) -> str:
        return f"arn:aws:iam::{self.account_id}:role/{name}"

    def policy(self, name: str) -> str:
        return f"arn:aws:iam::{self.account_id}:policy/{name}"

    @property
    def github_provider(self) -> str:
        return f"arn:aws:iam::{self.account_id}:oidc-provider/{GITHUB_ISSUER}"

    @staticmethod
    def bucket(name: str) -> str:
        return f"arn:aws:s3:::{name}"

    @staticmethod
    def objects(bucket: str, prefix: str = "") -> str:
        return f"arn:aws:s3:::{bucket}/{prefix}*"
