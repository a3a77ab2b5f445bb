"""One call of an operation of AWS's SDK, named as Scheduler and Step Functions name it: `lambda:updateAlias`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore import xform_name

_CLIENTS: Final = {"eventbridge": "events", "sfn": "stepfunctions"}
"""Services that boto3 calls otherwise."""

Clients = Callable[[str], Any]


class TargetError(Exception):
    """A target that the local cloud cannot call, or an input that is no call of it."""


def call_operation(clients: Clients, service: str, action: str, arguments: Mapping[str, Any]) -> Any:
    """Call an operation and return its answer.

    Raises:
        TargetError: There is no such operation.
        BotoCoreError, ClientError: The service's own refusal.
    """
    operation = xform_name(action[0].upper() + action[1:])
    client = clients(_CLIENTS.get(service, service))
    if operation not in client.meta.method_to_api_mapping:
        raise TargetError(f"{service} has no operation {action}")
    return getattr(client, operation)(**arguments)
