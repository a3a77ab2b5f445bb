"""Secrets Manager: secrets. Their values are never the program's business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import as_list, as_map, found, retried, sync_tags
from localcloud.aws_provider.resource_type import ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.aws_provider.cloud import Call

_MISSING = "ResourceNotFoundException"


def _create(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments: dict[str, Any] = {"Name": inputs["name"], "Tags": as_list(call.tags(inputs))}
    if inputs.get("description"):
        arguments["Description"] = inputs["description"]
    if inputs.get("kmsKeyId"):
        arguments["KmsKeyId"] = inputs["kmsKeyId"]
    # boto3 adds a ClientRequestToken, the same one for its own repetitions. Deleting with no recovery takes seconds.
    answer = retried(
        lambda: call.client("secretsmanager").create_secret(**arguments),
        lambda code, message: code == "InvalidRequestException" and "scheduled for deletion" in message,
        seconds=20,
    )
    return answer["ARN"]


def _read(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    answer = found(lambda: call.client("secretsmanager").describe_secret(SecretId=arn), _MISSING)
    if answer is None or answer.get("DeletedDate"):
        return None
    return {
        "arn": answer["ARN"],
        "name": answer["Name"],
        "description": answer.get("Description") or None,
        "kmsKeyId": answer.get("KmsKeyId") or None,
        "policy": state.get("policy", ""),
        "tagsAll": as_map(answer.get("Tags")),
    }


def _update(call: Call, arn: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]) -> None:
    secrets = call.client("secretsmanager")
    if changed & {"description", "kmsKeyId"}:
        arguments = {"SecretId": arn, "Description": inputs.get("description", "")}
        if inputs.get("kmsKeyId"):
            arguments["KmsKeyId"] = inputs["kmsKeyId"]
        secrets.update_secret(**arguments)
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: secrets.tag_resource(SecretId=arn, Tags=as_list(tags)),
            lambda keys: secrets.untag_resource(SecretId=arn, TagKeys=keys),
        )


def _delete(call: Call, arn: str, state: Mapping[str, Any]) -> None:
    days = state.get("recoveryWindowInDays", 30)
    window = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    secrets = call.client("secretsmanager")
    answer = found(lambda: secrets.describe_secret(SecretId=arn), _MISSING)
    if answer and not answer.get("DeletedDate"):
        found(lambda: secrets.delete_secret(SecretId=arn, **window), _MISSING)


TYPES: Final = (
    ResourceType(
        type_name="aws:secretsmanager/secret:Secret",
        identity=("name",),
        inputs=("description", "forceOverwriteReplicaSecret", "kmsKeyId", "name", "recoveryWindowInDays", "tags"),
        defaults={"forceOverwriteReplicaSecret": False, "recoveryWindowInDays": 30},
        kept=("forceOverwriteReplicaSecret", "recoveryWindowInDays"),  # they steer the provider's later calls
        autoname="name",
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
    ),
)
