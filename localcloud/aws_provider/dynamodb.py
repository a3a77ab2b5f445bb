"""DynamoDB: tables with their indexes, TTL, point-in-time recovery and encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import CloudError, as_list, as_map, found, sync_tags
from localcloud.aws_provider.resource_type import ResourceType
from localcloud.aws_provider.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.aws_provider.cloud import Call

_MISSING = "ResourceNotFoundException"
_ON_DEMAND = "PAY_PER_REQUEST"


def _keys(values: Mapping[str, Any]) -> list[dict[str, str]]:
    if values.get("keySchemas"):
        return [{"AttributeName": key["attributeName"], "KeyType": key["keyType"]} for key in values["keySchemas"]]
    schema = [{"AttributeName": values["hashKey"], "KeyType": "HASH"}]
    if values.get("rangeKey"):
        schema.append({"AttributeName": values["rangeKey"], "KeyType": "RANGE"})
    return schema


def _projection(index: Mapping[str, Any]) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index["projectionType"]}
    if index.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = index["nonKeyAttributes"]
    return projection


def _throughput(values: Mapping[str, Any]) -> dict[str, int]:
    return {"ReadCapacityUnits": values.get("readCapacity", 1), "WriteCapacityUnits": values.get("writeCapacity", 1)}


def _index(index: Mapping[str, Any], mode: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "IndexName": index["name"],
        "KeySchema": _keys(index),
        "Projection": _projection(index),
    }
    if mode != _ON_DEMAND:
        made["ProvisionedThroughput"] = _throughput(index)
    return made


def _attributes(inputs: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"AttributeName": item["name"], "AttributeType": item["type"]} for item in inputs.get("attributes", ())]


def _encryption(inputs: Mapping[str, Any]) -> dict[str, Any]:
    wanted = inputs.get("serverSideEncryption") or {}
    if not wanted.get("enabled"):
        return {"Enabled": False}
    made: dict[str, Any] = {"Enabled": True, "SSEType": "KMS"}
    if wanted.get("kmsKeyArn"):
        made["KMSMasterKeyId"] = wanted["kmsKeyArn"]
    return made


def _stream(inputs: Mapping[str, Any]) -> dict[str, Any]:
    if not inputs.get("streamEnabled"):
        return {"StreamEnabled": False}
    return {"StreamEnabled": True, "StreamViewType": inputs.get("streamViewType", "NEW_AND_OLD_IMAGES")}


def _create(call: Call, inputs: Mapping[str, Any]) -> str:
    mode = inputs["billingMode"]
    arguments: dict[str, Any] = {
        "TableName": inputs["name"],
        "AttributeDefinitions": _attributes(inputs),
        "KeySchema": _keys(inputs),
        "BillingMode": mode,
        "DeletionProtectionEnabled": inputs["deletionProtectionEnabled"],
        "TableClass": inputs["tableClass"],
        "Tags": as_list(call.tags(inputs)),
    }
    if mode != _ON_DEMAND:
        arguments["ProvisionedThroughput"] = _throughput(inputs)
    if inputs.get("globalSecondaryIndexes"):
        arguments["GlobalSecondaryIndexes"] = [_index(index, mode) for index in inputs["globalSecondaryIndexes"]]
    if inputs.get("localSecondaryIndexes"):
        arguments["LocalSecondaryIndexes"] = [
            {
                "IndexName": index["name"],
                "KeySchema": _keys({"hashKey": inputs["hashKey"], "rangeKey": index["rangeKey"]}),
                "Projection": _projection(index),
            }
            for index in inputs["localSecondaryIndexes"]
        ]
    if inputs.get("streamEnabled"):
        arguments["StreamSpecification"] = _stream(inputs)
    if (inputs.get("serverSideEncryption") or {}).get("enabled"):
        arguments["SSESpecification"] = _encryption(inputs)
    call.client("dynamodb").create_table(**arguments)
    call.made(inputs["name"])
    _wait_active(call, inputs["name"])
    if (inputs.get("ttl") or {}).get("enabled"):
        _set_ttl(call, inputs["name"], {}, inputs["ttl"])
    if (inputs.get("pointInTimeRecovery") or {}).get("enabled"):
        _set_recovery(call, inputs)
    return inputs["name"]


def _wait_active(call: Call, name: str) -> None:
    def active() -> bool:
        table = call.client("dynamodb").describe_table(TableName=name)["Table"]
        indexes = table.get("GlobalSecondaryIndexes", ())
        return table["TableStatus"] == "ACTIVE" and all(
            index.get("IndexStatus", "ACTIVE") == "ACTIVE" for index in indexes
        )

    call.wait(f"the table {name} to be active", active)


def _set_ttl(call: Call, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    enabled = bool(new.get("enabled"))
    attribute = new.get("attributeName") or old.get("attributeName")
    call.client("dynamodb").update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute}
    )


def _set_recovery(call: Call, inputs: Mapping[str, Any]) -> None:
    wanted = inputs.get("pointInTimeRecovery") or {}
    specification: dict[str, Any] = {"PointInTimeRecoveryEnabled": bool(wanted.get("enabled"))}
    if wanted.get("enabled") and wanted.get("recoveryPeriodInDays"):
        specification["RecoveryPeriodInDays"] = wanted["recoveryPeriodInDays"]
    call.client("dynamodb").update_continuous_backups(
        TableName=inputs["name"], PointInTimeRecoverySpecification=specification
    )


def _index_outputs(index: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    keys = {key["KeyType"]: key["AttributeName"] for key in index["KeySchema"]}
    outputs: dict[str, Any] = {
        "name": index["IndexName"],
        "projectionType": index["Projection"]["ProjectionType"],
        "nonKeyAttributes": index["Projection"].get("NonKeyAttributes"),
        "readCapacity": index.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0),
        "writeCapacity": index.get("ProvisionedThroughput", {}).get("WriteCapacityUnits", 0),
    }
    if known.get("keySchemas"):  # the form that the program uses
        outputs["keySchemas"] = [
            {"attributeName": key["AttributeName"], "keyType": key["KeyType"]} for key in index["KeySchema"]
        ]
    else:
        outputs |= {"hashKey": keys.get("HASH"), "rangeKey": keys.get("RANGE")}
    return {name: value for name, value in outputs.items() if value is not None}


def _read(call: Call, name: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    dynamodb = call.client("dynamodb")
    answer = found(lambda: dynamodb.describe_table(TableName=name), _MISSING)
    if answer is None or answer["Table"]["TableStatus"] == "DELETING":
        return None
    table = answer["Table"]
    keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    encryption = table.get("SSEDescription", {})
    stream = table.get("StreamSpecification", {})
    known = {index["name"]: index for index in state.get("globalSecondaryIndexes") or () if index is not UNKNOWN}
    recovers = recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
    return {
        "arn": table["TableArn"],
        "name": name,
        "hashKey": keys["HASH"],
        "rangeKey": keys.get("RANGE"),
        "attributes": [
            {"name": item["AttributeName"], "type": item["AttributeType"]} for item in table["AttributeDefinitions"]
        ],
        "billingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "readCapacity": table.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0),
        "writeCapacity": table.get("ProvisionedThroughput", {}).get("WriteCapacityUnits", 0),
        "deletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
        "tableClass": table.get("TableClassSummary", {}).get("TableClass", "STANDARD"),
        "globalSecondaryIndexes": [
            _index_outputs(index, known.get(index["IndexName"], {}))
            for index in table.get("GlobalSecondaryIndexes", ())
        ],
        "localSecondaryIndexes": [
            {
                "name": index["IndexName"],
                "rangeKey": next(key["AttributeName"] for key in index["KeySchema"] if key["KeyType"] == "RANGE"),
                "projectionType": index["Projection"]["ProjectionType"],
                "nonKeyAttributes": index["Projection"].get("NonKeyAttributes", []),
            }
            for index in table.get("LocalSecondaryIndexes", ())
        ],
        "ttl": {
            "enabled": ttl["TimeToLiveStatus"] in {"ENABLED", "ENABLING"},
            "attributeName": ttl.get("AttributeName", ""),
        },
        "pointInTimeRecovery": {
            "enabled": recovers,
            "recoveryPeriodInDays": recovery.get("RecoveryPeriodInDays", 35) if recovers else 0,
        },
        "serverSideEncryption": {
            "enabled": encryption.get("Status") in {"ENABLED", "ENABLING"},
            "kmsKeyArn": _own_key(call, encryption.get("KMSMasterKeyArn", "")),
        },
        "streamEnabled": stream.get("StreamEnabled", False),
        "streamViewType": stream.get("StreamViewType", ""),
        "streamArn": table.get("LatestStreamArn", ""),
        "streamLabel": table.get("LatestStreamLabel", ""),
        "tagsAll": as_map(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]),
    }


def _own_key(call: Call, arn: str) -> str:
    """The key of a table, empty where it is the one that AWS manages."""
    aliases = call.client("kms").list_aliases(KeyId=arn)["Aliases"] if arn else []
    return "" if any(alias["AliasName"].startswith("alias/aws/") for alias in aliases) else arn


def _update(
    call: Call, name: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    dynamodb = call.client("dynamodb")

    def change(**arguments: Any) -> None:
        dynamodb.update_table(TableName=name, **arguments)
        _wait_active(call, name)

    # One call each: AWS refuses most combinations in a single UpdateTable.
    if changed & {"billingMode", "readCapacity", "writeCapacity"}:
        mode = inputs["billingMode"]
        change(BillingMode=mode, **({} if mode == _ON_DEMAND else {"ProvisionedThroughput": _throughput(inputs)}))
    if "globalSecondaryIndexes" in changed:
        _change_indexes(call, name, state, inputs)
    if changed & {"streamEnabled", "streamViewType"}:
        change(StreamSpecification=_stream(inputs))
    if "serverSideEncryption" in changed:
        change(SSESpecification=_encryption(inputs))
    for ours, aws in (("tableClass", "TableClass"), ("deletionProtectionEnabled", "DeletionProtectionEnabled")):
        if ours in changed:
            change(**{aws: inputs[ours]})
    _change_beside(call, state, inputs, changed)


def _change_beside(call: Call, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]) -> None:
    """What has calls of its own beside UpdateTable."""
    if "ttl" in changed:
        _set_ttl(call, inputs["name"], state.get("ttl") or {}, inputs.get("ttl") or {})
    if "pointInTimeRecovery" in changed:
        _set_recovery(call, inputs)
    if changed & {"tags", "tagsAll"}:
        _change_tags(call, state, inputs)


def _change_tags(call: Call, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    dynamodb, arn = call.client("dynamodb"), state["arn"]
    sync_tags(
        state.get("tagsAll", {}),
        call.tags(inputs),
        lambda tags: dynamodb.tag_resource(ResourceArn=arn, Tags=as_list(tags)),
        lambda keys: dynamodb.untag_resource(ResourceArn=arn, TagKeys=keys),
    )


def _change_indexes(call: Call, name: str, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Deletes and makes indexes one at a time, as AWS demands; an index that differs is made anew."""
    mode = inputs["billingMode"]
    old = {index["name"]: _index(index, _ON_DEMAND) for index in state.get("globalSecondaryIndexes") or ()}
    new = {index["name"]: index for index in inputs.get("globalSecondaryIndexes") or ()}

    def change(step: dict[str, Any]) -> None:
        call.client("dynamodb").update_table(
            TableName=name, AttributeDefinitions=_attributes(inputs), GlobalSecondaryIndexUpdates=[step]
        )
        _wait_active(call, name)

    for index, had in old.items():
        if index not in new or _index(new[index], _ON_DEMAND) != had:
            change({"Delete": {"IndexName": index}})
    for index, wanted in new.items():
        if index not in old or _index(wanted, _ON_DEMAND) != old[index]:
            change({"Create": _index(wanted, mode)})
        elif mode != _ON_DEMAND:
            change({"Update": {"IndexName": index, "ProvisionedThroughput": _throughput(wanted)}})


def _delete(call: Call, name: str, state: Mapping[str, Any]) -> None:
    if state.get("deletionProtectionEnabled"):
        raise CloudError(
            f"the table {name} is protected against deletion: first set deletionProtectionEnabled to false and run "
            "`up`, then remove it"
        )
    dynamodb = call.client("dynamodb")
    found(lambda: dynamodb.delete_table(TableName=name), _MISSING)
    call.wait(
        f"the table {name} to be gone",
        lambda: found(lambda: dynamodb.describe_table(TableName=name), _MISSING) is None,
    )


def _verify(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    wrong = []
    if values.get("hashKey") is None:
        wrong.append(("hashKey", "aws:dynamodb/table:Table needs `hashKey`"))
    indexes = values.get("globalSecondaryIndexes") or []
    if indexes is UNKNOWN or any(index is UNKNOWN for index in indexes):
        return wrong
    wrong += [
        ("globalSecondaryIndexes", f"the index {index['name']} needs `hashKey` or `keySchemas`")
        for index in indexes
        if not index.get("hashKey") and not index.get("keySchemas")
    ]
    keys = {values.get("hashKey"), values.get("rangeKey")}
    for index in (*indexes, *(values.get("localSecondaryIndexes") or ())):
        keys |= {index.get("hashKey"), index.get("rangeKey")}
        keys |= {key["attributeName"] for key in index.get("keySchemas") or ()}
    declared = {item["name"] for item in values.get("attributes") or ()}
    # The real provider checks this at preview too: AWS takes exactly the attributes that are keys.
    keys -= {None, UNKNOWN}
    if UNKNOWN not in declared and keys != declared:
        used, given = (", ".join(sorted(map(str, names))) for names in (keys, declared))
        wrong.append(("attributes", f"must be exactly the attributes used as keys: {used}; the program gives {given}"))
    if values.get("billingMode", "PROVISIONED") == "PROVISIONED" and not values.get("readCapacity"):
        wrong.append(("readCapacity", "billing mode PROVISIONED (the default) needs readCapacity and writeCapacity"))
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
            "readCapacity",
            "writeCapacity",
            "globalSecondaryIndexes",
            "localSecondaryIndexes",
            "ttl",
            "pointInTimeRecovery",
            "serverSideEncryption",
            "deletionProtectionEnabled",
            "streamEnabled",
            "streamViewType",
            "tableClass",
            "tags",
        ),
        refuses=("globalSecondaryIndexes.onDemandThroughput",),
        defaults={
            "billingMode": "PROVISIONED",
            "deletionProtectionEnabled": False,
            "streamEnabled": False,
            "tableClass": "STANDARD",
        },
        sets=(
            "attributes",
            "globalSecondaryIndexes",
            "globalSecondaryIndexes.nonKeyAttributes",
            "localSecondaryIndexes",
            "localSecondaryIndexes.nonKeyAttributes",
        ),
        chosen=("ttl", "pointInTimeRecovery", "serverSideEncryption"),
        autoname="name",
        verify=_verify,
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
    ),
)
