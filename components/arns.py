"""ARNs that follow from a name, so that policies are complete documents before anything exists."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from components.naming import LIVE, Names, names

GITHUB_ISSUER: Final = "token.actions.githubusercontent.com"

_FORMS: Final = MappingProxyType(
    {
        "function": "lambda:{region}:{account}:function:{name}",
        "table": "dynamodb:{region}:{account}:table/{name}",
        "topic": "sns:{region}:{account}:{name}",
        "queue": "sqs:{region}:{account}:{name}",
        "log group": "logs:{region}:{account}:log-group:{name}",
        "alarm": "cloudwatch:{region}:{account}:alarm:{name}",
        "schedule": "scheduler:{region}:{account}:schedule/default/{name}",
        "rule": "events:{region}:{account}:rule/{name}",
        "state machine": "states:{region}:{account}:stateMachine:{name}",
        "secret": "secretsmanager:{region}:{account}:secret:{name}",
        "key": "kms:{region}:{account}:key/{name}",
        "role": "iam::{account}:role/{name}",
        "policy": "iam::{account}:policy/{name}",
        "identity provider": "iam::{account}:oidc-provider/{name}",
        "bucket": "s3:::{name}",
        "trail": "cloudtrail:{region}:{account}:trail/{name}",
        "dashboard": "cloudwatch::{account}:dashboard/{name}",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arns:
    """ARNs of one environment in one account and region."""

    account_id: str
    region: str
    names: Names
    other_account_id: str = ""
    """Account of the other environment; empty where both share one."""

    @property
    def other(self) -> Arns:
        """The same for the other environment."""
        return Arns(
            account_id=self.other_account_id or self.account_id,
            region=self.region,
            names=names(self.names.other_environment, self.names.suffix),
            other_account_id=self.account_id if self.other_account_id else "",
        )

    @property
    def two_accounts(self) -> bool:
        """Whether the other environment lives in an account of its own."""
        return self.other_account_id not in ("", self.account_id)

    @property
    def github_provider(self) -> str:
        """The account's OIDC provider for GitHub's tokens, whoever made it."""
        return self.of("identity provider", GITHUB_ISSUER)

    def of(self, kind: str, name: str) -> str:
        """ARN of the `kind` of resource called `name`, which may hold `*`; raises KeyError for an unknown kind."""
        return "arn:aws:" + _FORMS[kind].format(region=self.region, account=self.account_id, name=name)

    def live(self, function_name: str) -> str:
        """ARN of a function's alias `live`."""
        return f"{self.of('function', function_name)}:{LIVE}"

    def secret(self, name: str) -> str:
        """ARN pattern of the secret `name`: Secrets Manager appends a hyphen and six characters of its own choice."""
        return self.of("secret", f"{name}-??????")

    def objects(self, bucket: str, pattern: str = "*") -> str:
        """ARN pattern of the objects of `bucket` whose key matches `pattern`."""
        return f"{self.of('bucket', bucket)}/{pattern}"
