"""The AWS clients of one run. Endpoints and credentials come from the environment, as for any AWS tool."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from release.errors import ReleaseError

# CloudTrail tells our calls from Pulumi's by the name. Retries are botocore's: throttling, 5xx and broken connections.
_COMMON = Config(user_agent_appid="release", connect_timeout=5, max_pool_connections=32)
# A call that hangs must not hold a rollback up: S3 and the control planes answer in a second, or they will not.
_CONFIG = _COMMON.merge(Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=20))
_TRAFFIC = _COMMON.merge(Config(retries={"mode": "standard", "total_max_attempts": 3}, read_timeout=5))
# An answer of a function takes as long as its longest run, and each question in flight has a connection of its own.
_INVOKE = _COMMON.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=65, max_pool_connections=64)
)
T = TypeVar("T")


def _lazily(service: str, config: Config = _CONFIG) -> Any:
    return cached_property(lambda aws: aws.client(service, config))


class Aws:
    """Lazily made clients; making one opens no connection. Without a region, the environment's counts."""

    def __init__(self, region: str = "") -> None:
        # boto3 alone knows AWS_DEFAULT_REGION only, every other tool (Pulumi too) AWS_REGION first.
        self._session = boto3.session.Session(region_name=region or os.environ.get("AWS_REGION") or None)

    @property
    def region(self) -> str:
        """Region of this run; empty where none is set."""
        return self._session.region_name or ""

    def client(self, service: str, config: Config = _CONFIG) -> Any:
        """Make the client of a service.

        Raises:
            ReleaseError: There is no region, or the profile is unknown.
        """
        try:
            return self._session.client(service, config=config)
        except BotoCoreError as error:
            raise ReleaseError(
                "AWS cannot be reached",
                why=str(error),
                next_step="set AWS_REGION and credentials, or use `localcloud run`",
            ) from error

    s3: Any = _lazily("s3")
    functions: Any = _lazily("lambda", _INVOKE)
    """To invoke functions."""
    aliases: Any = _lazily("lambda", _TRAFFIC)
    """To read and move what users reach: gives up in seconds."""
    alarms: Any = _lazily("cloudwatch")
    secrets: Any = _lazily("secretsmanager")
    topics: Any = _lazily("sns")
    identity: Any = _lazily("sts")
    scheduler: Any = _lazily("scheduler")
    events: Any = _lazily("events")
    trail: Any = _lazily("cloudtrail")

    def account(self) -> str:
        """Id of the account that the credentials belong to.

        Raises:
            ReleaseError: AWS does not say.
        """
        try:
            return str(self.identity.get_caller_identity()["Account"])
        except (ClientError, BotoCoreError) as error:
            raise ReleaseError(
                "AWS does not say which account these credentials belong to",
                why=str(error),
                next_step="check the credentials: aws sts get-caller-identity",
            ) from error

    def api_key(self, secret: str) -> str:
        """The `api_key` in a secret; never logged, never in a message.

        Raises:
            ReleaseError: There is none, or it is empty.
        """
        why = 'its value is not {"api_key": "..."} with something in it'
        try:
            if key := key_in(self.secrets.get_secret_value(SecretId=secret).get("SecretString", "")):
                return key
        except (ClientError, BotoCoreError) as error:
            why = str(error)
        raise ReleaseError(
            f"the secret {secret} cannot be read",
            why=why,
            next_step=f"put a key there: aws secretsmanager put-secret-value --secret-id {secret} --secret-string ...",
        )


def key_in(text: str) -> str:
    """The `api_key` in the text of a secret; empty where there is none."""
    try:
        key = json.loads(text)["api_key"]
    except (ValueError, KeyError, TypeError):
        return ""
    return key if isinstance(key, str) and key.strip() else ""


def code_of(error: BaseException) -> str:
    """The code of an AWS error; empty for any other."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else ""


def unless_missing(ask: Callable[[], T], *codes: str) -> T | None:
    """Return the answer of `ask`, or `None` where AWS says by one of `codes` that there is no such thing."""
    try:
        return ask()
    except ClientError as error:
        if code_of(error) in codes:
            return None
        raise
