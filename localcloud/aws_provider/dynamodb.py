"""DynamoDB: tables with their indexes, TTL, point-in-time recovery and encryption."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from localcloud.aws_provider.cloud import Call, given
from localcloud.aws_provider.resource_type import ResourceType, Tagging
from localcloud.aws_provider.values import UNKNOWN

_ON_DEMAND: Final = "PAY_PER_REQUEST"


def _keys(values: Mapping[str, Any]) -> list[dict[str, str]]:
    names = {"HASH": values["hashKey"], "RANGE": values.get("rangeKey")}
    return [{"AttributeName": name, "KeyType": kind} for kind, name in names.items() if name]


def _key_names(schema: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    names = {key["KeyType"]: key["AttributeName"] for key in schema}
    return {"hashKey": names["HASH"], "rangeKey": names.get("RANGE")}


def _indexes(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the indexes as AWS takes them, by name."""
    return {
        index["name"]: {
            "IndexName": index["name"],
            "KeySchema": _keys(index),
            "Projection": given(ProjectionType=index["projectionType"], NonKeyAttributes=index.get("nonKeyAttributes")),
        }
        for index in values.get("globalSecondaryIndexes") or ()
    }


def _attributes(inputs: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"AttributeName": item["name"], "AttributeType": item["type"]} for item in inputs.get("attributes", ())]


def _encryption(inputs: Mapping[str, Any]) -> dict[str, Any]:
    wanted = inputs.get("serverSideEncryption") or {}
    if not wanted.get("enabled"):
        return {"Enabled": False}
    return given(Enabled=True, SSEType="KMS", KMSMasterKeyId=wanted.get("kmsKeyArn"))


def _create(call: Call) -> str:
    inputs = call.inputs
    encryption = _encryption(inputs)
    call.aws.create_table(
        **given(
            TableName=inputs["name"],
            AttributeDefinitions=_attributes(inputs),
            KeySchema=_keys(inputs),
            BillingMode=inputs["billingMode"],
            DeletionProtectionEnabled=inputs["deletionProtectionEnabled"],
            GlobalSecondaryIndexes=list(_indexes(inputs).values()),
            SSESpecification=encryption if encryption["Enabled"] else None,
            Tags=call.tag_list,
        )
    )
    call.made(inputs["name"])
    if (inputs.get("ttl") or {}).get("enabled"):
        _set_ttl(call)
    if (inputs.get("pointInTimeRecovery") or {}).get("enabled"):
        _set_recovery(call)
    return inputs["name"]


def _set_ttl(call: Call) -> None:
    old, new = call.state.get("ttl") or {}, call.inputs.get("ttl") or {}
    specification = {
        "Enabled": bool(new.get("enabled")),
        "AttributeName": new.get("attributeName") or old.get("attributeName"),
    }
    call.aws.update_time_to_live(TableName=call.inputs["name"], TimeToLiveSpecification=specification)


def _set_recovery(call: Call) -> None:
    enabled = bool((call.inputs.get("pointInTimeRecovery") or {}).get("enabled"))
    call.aws.update_continuous_backups(
        TableName=call.inputs["name"], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled}
    )


def _read(call: Call) -> dict[str, Any] | None:
    table = call.aws.describe_table(TableName=call.id)["Table"]
    if table["TableStatus"] == "DELETING":
        return None
    ttl = call.aws.describe_time_to_live(TableName=call.id)["TimeToLiveDescription"]
    backups = call.aws.describe_continuous_backups(TableName=call.id)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    encryption = table.get("SSEDescription", {})
    return {
        "arn": table["TableArn"],
        "name": call.id,
        **_key_names(table["KeySchema"]),
        "attributes": [
            {"name": item["AttributeName"], "type": item["AttributeType"]} for item in table["AttributeDefinitions"]
        ],
        "billingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "deletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
        "tableClass": table.get("TableClassSummary", {}).get("TableClass", "STANDARD"),
        "globalSecondaryIndexes": [_index_outputs(index) for index in table.get("GlobalSecondaryIndexes", ())],
        "ttl": {
            "enabled": ttl["TimeToLiveStatus"] in {"ENABLED", "ENABLING"},
            "attributeName": ttl.get("AttributeName", ""),
        },
        "pointInTimeRecovery": {"enabled": recovery.get("PointInTimeRecoveryStatus") == "ENABLED"},
        "serverSideEncryption": {
            "enabled": encryption.get("Status") in {"ENABLED", "ENABLING"},
            "kmsKeyArn": _own_key(call, encryption.get("KMSMasterKeyArn", "")),
        },
    }


def _index_outputs(index: Mapping[str, Any]) -> dict[str, Any]:
    return given(
        **{
            "name": index["IndexName"],
            **_key_names(index["KeySchema"]),
            "projectionType": index["Projection"]["ProjectionType"],
            "nonKeyAttributes": index["Projection"].get("NonKeyAttributes"),
        }
    )


def _own_key(call: Call, arn: str) -> str:
    """Return the key of a table, empty where it is the one that AWS manages."""
    aliases = call.cloud.client("kms").list_aliases(KeyId=arn)["Aliases"] if arn else []
    return "" if any(alias["AliasName"].startswith("alias/aws/") for alias in aliases) else arn


def _update(call: Call) -> None:
    # One call each: AWS refuses most combinations in a single UpdateTable.
    if "globalSecondaryIndexes" in call.changed:
        _change_indexes(call)
    table, inputs = call.id, call.inputs
    if "serverSideEncryption" in call.changed:
        call.aws.update_table(TableName=table, SSESpecification=_encryption(inputs))
    if "deletionProtectionEnabled" in call.changed:
        call.aws.update_table(TableName=table, DeletionProtectionEnabled=inputs["deletionProtectionEnabled"])
    if "ttl" in call.changed:
        _set_ttl(call)
    if "pointInTimeRecovery" in call.changed:
        _set_recovery(call)


def _change_indexes(call: Call) -> None:
    """Delete and make indexes one at a time, as AWS demands; an index that differs is made anew."""
    old, new = _indexes(call.state), _indexes(call.inputs)
    steps = [{"Delete": {"IndexName": name}} for name, had in old.items() if new.get(name) != had]
    steps += [{"Create": wanted} for name, wanted in new.items() if old.get(name) != wanted]
    for step in steps:
        attributes = _attributes(call.inputs)
        call.aws.update_table(TableName=call.id, AttributeDefinitions=attributes, GlobalSecondaryIndexUpdates=[step])


def _verify(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    wrong = [] if values.get("hashKey") else [("hashKey", "aws:dynamodb/table:Table needs `hashKey`")]
    if values.get("billingMode") not in (_ON_DEMAND, UNKNOWN):
        wrong.append(("billingMode", f"the stand-in makes tables of billing mode {_ON_DEMAND} only"))
    indexes = values.get("globalSecondaryIndexes") or []
    if indexes is UNKNOWN or UNKNOWN in indexes:
        return wrong
    keys = {part.get(name) for part in (values, *indexes) for name in ("hashKey", "rangeKey")} - {None, UNKNOWN}
    declared = {item["name"] for item in values.get("attributes") or ()}
    # The real provider checks this at preview too: AWS takes exactly the attributes that are keys.
    if UNKNOWN not in declared and keys != declared:
        used, told = (", ".join(sorted(map(str, names))) for names in (keys, declared))
        wrong.append(("attributes", f"must be exactly the attributes used as keys: {used}; the program gives {told}"))
    return wrong


TYPES: Final = (
    ResourceType(
        type_name="aws:dynamodb/table:Table",
        identity=("name",),
        inputs=(
            "name",
            "hashKey",
            "rangeKey",
            "attributes",
            "billingMode",
            "globalSecondaryIndexes",
            "ttl",
            "pointInTimeRecovery",
            "serverSideEncryption",
            "deletionProtectionEnabled",
            "tags",
        ),
        refuses=(
            "globalSecondaryIndexes.keySchemas",
            "globalSecondaryIndexes.onDemandThroughput",
            "globalSecondaryIndexes.readCapacity",
            "globalSecondaryIndexes.writeCapacity",
            "pointInTimeRecovery.recoveryPeriodInDays",
        ),
        defaults={"billingMode": "PROVISIONED", "deletionProtectionEnabled": False},
        sets=("attributes", "globalSecondaryIndexes", "globalSecondaryIndexes.nonKeyAttributes"),
        chosen=("ttl", "pointInTimeRecovery", "serverSideEncryption"),
        verify=_verify,
        tagging=Tagging(argument="ResourceArn", list="list_tags_of_resource"),
        create=_create,
        read=_read,
        update=_update,
        delete=lambda call: call.aws.delete_table(TableName=call.id),
    ),
)
