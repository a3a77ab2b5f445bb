"""The place where a check looks: one environment, its settings, its clients of AWS and GitHub."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from components.arns import Arns
from components.naming import Names
from components.settings import Settings
from release.clients.aws import Aws, code_of
from release.clients.github import GitHub
from release.context import Context
from release.errors import ReleaseError
from release.text import one_line

DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}
)
"""Codes of AWS's services for a refusal for lack of rights. Only these count as denied."""
ALLOWED_CALL, DENIED_CALL = "allowed", "denied"
_LONGEST_WHY: Final = 800
_CONFIG: Final = Config(
    user_agent_appid="release",
    connect_timeout=5,
    read_timeout=15,
    retries={"mode": "standard", "total_max_attempts": 3},
)


class CannotLookError(Exception):
    """Something could not be seen; the message says why. The verdict is `unknown`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of AWS."""

    account: str
    arn: str

    @property
    def role(self) -> str:
        """Name of the assumed role; empty for anybody else."""
        kind, _, rest = self.arn.rpartition(":")[2].partition("/")
        return rest.partition("/")[0] if kind == "assumed-role" else ""


@dataclass(kw_only=True)
class Place:
    """One environment. Making it opens no connection.

    Args:
        settings: Settings of its foundation stack.
        context: The same environment, as every other command sees it.
        test_page: Whether to really send a message to the person on call.
    """

    settings: Settings
    context: Context
    test_page: bool = False

    @property
    def names(self) -> Names:
        """Physical names."""
        return self.context.names

    @property
    def arns(self) -> Arns:
        """ARNs."""
        return self.settings.arns

    @cached_property
    def aws(self) -> Callable[[str], Any]:
        """Makes the boto3 client of a service, once, in the region of the settings."""
        return cache(partial(Aws(self.settings.region).client, config=_CONFIG))

    @cached_property
    def caller(self) -> Caller:
        """The owner of the credentials."""
        answer = self.aws("sts").get_caller_identity()
        return Caller(account=answer["Account"], arn=answer["Arn"])

    def require_account(self) -> None:
        """Raise `CannotLookError` where the credentials belong to another account: its answers say nothing."""
        if self.caller.account != self.settings.account_id:
            raise CannotLookError(
                f"these credentials belong to account {self.caller.account}, "
                f"{self.context.stack} lives in {self.settings.account_id}"
            )

    @cached_property
    def github(self) -> GitHub:
        """The repository that the settings name, whatever GITHUB_REPOSITORY says."""
        repository = f"{self.settings.github_owner}/{self.settings.github_repository}"
        found = GitHub.from_environment({**os.environ, "GITHUB_REPOSITORY": repository})
        if found is None:
            raise CannotLookError(f"there is no GITHUB_TOKEN to ask about {repository} with")
        return found


def explain(error: Exception) -> str:
    """Return the reason why something could not be seen, in one line without a stack trace."""
    match error:
        case CannotLookError():
            return str(error)
        case ReleaseError():
            return one_line(": ".join(filter(None, (error.what, error.why))), _LONGEST_WHY)
        case ClientError():
            return _refusal(error)
        case ResponseParserError():
            return f"what was answered is no answer of AWS: {one_line(error, _LONGEST_WHY)}"
        case BotoCoreError() | OSError():
            return one_line(error, _LONGEST_WHY)
        case _:
            return f"this check itself broke: {type(error).__name__}: {one_line(error, _LONGEST_WHY)}"


def outcome(call: Callable[[], object], let_in: Collection[str] = ()) -> str:
    """Return `allowed`, `denied`, or what else was answered; codes of `let_in` are answers to who was let in."""
    try:
        call()
    except Exception as error:
        if code_of(error) in DENIED:
            return DENIED_CALL
        if code_of(error) not in let_in:
            return explain(error)
    return ALLOWED_CALL


def _refusal(error: ClientError) -> str:
    code = code_of(error)
    if code in DENIED:
        return f"these credentials may not ask {error.operation_name} ({code})"
    said = one_line(error.response["Error"].get("Message", ""), _LONGEST_WHY)
    return f"{error.operation_name} was answered with {code}: {said}"
