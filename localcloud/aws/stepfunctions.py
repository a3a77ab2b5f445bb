"""Patches of moto's Step Functions, which keeps any text as a role and as a definition."""

import functools
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import AWSError
from moto.stepfunctions.models import StepFunctionBackend

from localcloud.aws.iam import trusts
from localcloud.schedules.states import DefinitionError, parse


class _AccessDeniedError(AWSError):
    TYPE = "AccessDeniedException"
    STATUS = 400


class _InvalidDefinitionError(AWSError):
    TYPE = "InvalidDefinition"
    STATUS = 400


def refuse_roles_that_states_cannot_assume() -> None:
    """Roles: AWS takes a state machine only with a role that is there and trusts Step Functions."""

    def check(role: str | None, _: str | None) -> None:
        if role and not trusts(role, "states"):
            raise _AccessDeniedError(
                "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to "
                "assume the provided role."
            )

    _check_before(check)


def refuse_definitions_that_are_not_run() -> None:
    """Definitions: AWS refuses what is none; what the local cloud does not run is refused as well."""

    def check(_: str | None, definition: str | None) -> None:
        try:
            if definition is not None:
                parse(definition)
        except DefinitionError as error:
            raise _InvalidDefinitionError(f"Invalid State Machine Definition: {error}") from error

    _check_before(check)


def _check_before(check: Callable[[str | None, str | None], None]) -> None:
    """Check role and definition before a state machine is made or changed; an update may leave either out."""
    for name, role in (("create_state_machine", "roleArn"), ("update_state_machine", "role_arn")):
        method = getattr(StepFunctionBackend, name)

        @functools.wraps(method)
        def checked(self: StepFunctionBackend, method: Any = method, role: str = role, **request: Any) -> Any:
            check(request[role], request["definition"])
            return method(self, **request)

        setattr(StepFunctionBackend, name, checked)
