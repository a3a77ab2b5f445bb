"""Secrets Manager: secrets. Their values are never the program's business."""

from typing import Any, Final

from localcloud.aws_provider.cloud import Call, as_map, given
from localcloud.aws_provider.resource_type import ResourceType, Tagging


def _create(call: Call) -> str:
    inputs = call.inputs
    # boto3 adds a ClientRequestToken, the same one for its own repetitions.
    return call.aws.create_secret(
        **given(Name=inputs["name"], Description=inputs.get("description"), Tags=call.tag_list)
    )["ARN"]


def _read(call: Call) -> dict[str, Any] | None:
    answer = call.aws.describe_secret(SecretId=call.id)
    if answer.get("DeletedDate"):
        return None
    return {
        "arn": answer["ARN"],
        "name": answer["Name"],
        "description": answer.get("Description") or None,
        "kmsKeyId": answer.get("KmsKeyId") or None,
        "tagsAll": as_map(answer.get("Tags")),
    }


def _update(call: Call) -> None:
    if "description" in call.changed:
        call.aws.update_secret(SecretId=call.id, Description=call.inputs.get("description", ""))


def _delete(call: Call) -> None:
    days = call.state.get("recoveryWindowInDays", 30)
    window = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    if not call.aws.describe_secret(SecretId=call.id).get("DeletedDate"):
        call.aws.delete_secret(SecretId=call.id, **window)


TYPES: Final = (
    ResourceType(
        type_name="aws:secretsmanager/secret:Secret",
        identity=("name",),
        inputs=("description", "name", "recoveryWindowInDays", "tags"),
        defaults={"recoveryWindowInDays": 30},
        kept=("recoveryWindowInDays",),  # steers the provider's later calls
        tagging=Tagging(argument="SecretId"),
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
    ),
)
