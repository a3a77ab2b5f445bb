"""KMS: keys and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import found, retried, sync_tags
from localcloud.aws_provider.resource_type import ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.aws_provider.cloud import Call

_MISSING = "NotFoundException"


def _principal_not_ready(code: str, message: str) -> bool:
    return code == "MalformedPolicyDocumentException" and "invalid principals" in message


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]


def _create_key(call: Call, inputs: Mapping[str, Any]) -> str:
    kms = call.client("kms")
    arguments: dict[str, Any] = {
        "Description": inputs.get("description", ""),
        "KeyUsage": inputs["keyUsage"],
        "KeySpec": inputs["customerMasterKeySpec"],
        "BypassPolicyLockoutSafetyCheck": inputs["bypassPolicyLockoutSafetyCheck"],
        "MultiRegion": bool(inputs.get("multiRegion")),
        "Tags": _as_list(call.tags(inputs)),
    }
    if inputs.get("policy"):
        arguments["Policy"] = inputs["policy"]
    key = retried(lambda: kms.create_key(**arguments), _principal_not_ready)["KeyMetadata"]["KeyId"]
    call.made(key)
    if inputs["enableKeyRotation"]:
        _rotate(call, key, inputs)
    if not inputs["isEnabled"]:
        kms.disable_key(KeyId=key)
    return key


def _rotate(call: Call, key: str, inputs: Mapping[str, Any]) -> None:
    if inputs["enableKeyRotation"]:
        days = inputs.get("rotationPeriodInDays")
        call.client("kms").enable_key_rotation(KeyId=key, **({"RotationPeriodInDays": days} if days else {}))
    else:
        call.client("kms").disable_key_rotation(KeyId=key)


def _read_key(call: Call, key: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    kms = call.client("kms")
    answer = found(lambda: kms.describe_key(KeyId=key), _MISSING)
    if answer is None or answer["KeyMetadata"]["KeyState"] in {"PendingDeletion", "PendingReplicaDeletion"}:
        return None
    metadata = answer["KeyMetadata"]
    rotation = found(lambda: kms.get_key_rotation_status(KeyId=key), "UnsupportedOperationException") or {}
    tags = kms.list_resource_tags(KeyId=key).get("Tags", ())
    return {
        "arn": metadata["Arn"],
        "keyId": metadata["KeyId"],
        "description": metadata.get("Description", ""),
        "keyUsage": metadata["KeyUsage"],
        "customerMasterKeySpec": metadata.get("KeySpec") or metadata["CustomerMasterKeySpec"],
        "isEnabled": metadata["Enabled"],
        "multiRegion": metadata.get("MultiRegion", False),
        "enableKeyRotation": rotation.get("KeyRotationEnabled", False),
        "rotationPeriodInDays": rotation.get("RotationPeriodInDays") if rotation.get("KeyRotationEnabled") else None,
        "policy": kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"],
        "tagsAll": {tag["TagKey"]: tag["TagValue"] for tag in tags},
    }


def _update_key(
    call: Call, key: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    kms = call.client("kms")
    if "isEnabled" in changed and inputs["isEnabled"]:  # first: a disabled key takes no other change
        kms.enable_key(KeyId=key)
    if changed & {"enableKeyRotation", "rotationPeriodInDays"}:
        _rotate(call, key, inputs)
    if "description" in changed:
        kms.update_key_description(KeyId=key, Description=inputs.get("description", ""))
    if "policy" in changed and inputs.get("policy"):
        arguments = {
            "KeyId": key,
            "PolicyName": "default",
            "Policy": inputs["policy"],
            "BypassPolicyLockoutSafetyCheck": inputs["bypassPolicyLockoutSafetyCheck"],
        }
        retried(lambda: kms.put_key_policy(**arguments), _principal_not_ready)
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: kms.tag_resource(KeyId=key, Tags=_as_list(tags)),
            lambda keys: kms.untag_resource(KeyId=key, TagKeys=keys),
        )
    if "isEnabled" in changed and not inputs["isEnabled"]:
        kms.disable_key(KeyId=key)


def _delete_key(call: Call, key: str, state: Mapping[str, Any]) -> None:
    days = state.get("deletionWindowInDays") or 30
    found(
        lambda: call.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=days),
        _MISSING,
        "KMSInvalidStateException",  # on its way out already
    )


def _create_alias(call: Call, inputs: Mapping[str, Any]) -> str:
    call.client("kms").create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
    return inputs["name"]


def _read_alias(call: Call, name: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    pages = call.client("kms").get_paginator("list_aliases").paginate()
    alias = next((item for page in pages for item in page["Aliases"] if item["AliasName"] == name), None)
    if alias is None:
        return None
    key, known = alias["TargetKeyId"], state.get("targetKeyId", "")
    return {
        "arn": alias["AliasArn"],
        "name": name,
        # AWS answers the id where the program may have given the ARN
        "targetKeyId": known if str(known).rpartition("/")[2] == key else key,
        "targetKeyArn": f"{alias['AliasArn'].rpartition(':')[0]}:key/{key}",
    }


def _update_alias(
    call: Call,
    name: str,
    state: Mapping[str, Any],  # noqa: ARG001
    inputs: Mapping[str, Any],
    changed: frozenset[str],  # noqa: ARG001
) -> None:
    call.client("kms").update_alias(AliasName=name, TargetKeyId=inputs["targetKeyId"])


def _delete_alias(call: Call, name: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("kms").delete_alias(AliasName=name), _MISSING)


def _verify_alias(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    name = values.get("name")
    if name is None:
        return [("name", "aws:kms/alias:Alias needs `name` here (the stand-in makes up none)")]
    if isinstance(name, str) and not name.startswith("alias/"):
        return [("name", f"the name of an alias begins with `alias/`, unlike `{name}`")]
    return []


TYPES: Final = (
    ResourceType(
        type_name="aws:kms/key:Key",
        inputs=(
            "bypassPolicyLockoutSafetyCheck",
            "customerMasterKeySpec",
            "deletionWindowInDays",
            "description",
            "enableKeyRotation",
            "isEnabled",
            "keyUsage",
            "multiRegion",
            "policy",
            "rotationPeriodInDays",
            "tags",
        ),
        defaults={
            "bypassPolicyLockoutSafetyCheck": False,
            "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "enableKeyRotation": False,
            "isEnabled": True,
            "keyUsage": "ENCRYPT_DECRYPT",
        },
        policies=("policy",),
        kept=("bypassPolicyLockoutSafetyCheck", "deletionWindowInDays"),  # they steer the provider's calls
        create=_create_key,
        read=_read_key,
        update=_update_key,
        delete=_delete_key,
    ),
    ResourceType(
        type_name="aws:kms/alias:Alias",
        identity=("name",),
        inputs=("name", "targetKeyId"),
        verify=_verify_alias,
        create=_create_alias,
        read=_read_alias,
        update=_update_alias,
        delete=_delete_alias,
    ),
)
