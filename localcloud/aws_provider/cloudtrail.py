"""CloudTrail: trails, with their event selectors and whether they record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import as_list, as_map, found, sync_tags
from localcloud.aws_provider.resource_type import ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.aws_provider.cloud import Call

_MISSING = "TrailNotFoundException"
_SETTINGS: Final = {
    "s3BucketName": "S3BucketName",
    "enableLogFileValidation": "EnableLogFileValidation",
    "includeGlobalServiceEvents": "IncludeGlobalServiceEvents",
    "isMultiRegionTrail": "IsMultiRegionTrail",
}
_EVERYTHING: Final = [{"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}]
"""What a trail records when nobody chose."""


def _arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {aws: inputs[name] for name, aws in _SETTINGS.items() if inputs.get(name) is not None}
    return {"Name": inputs["name"], **chosen}


def _selectors(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "ReadWriteType": item.get("readWriteType", "All"),
            "IncludeManagementEvents": item.get("includeManagementEvents", True),
            "DataResources": [
                {"Type": resource["type"], "Values": resource["values"]} for resource in item.get("dataResources") or ()
            ],
        }
        for item in inputs.get("eventSelectors") or ()
    ]


def _record(call: Call, inputs: Mapping[str, Any]) -> None:
    client = call.client("cloudtrail")
    (client.start_logging if inputs.get("enableLogging", True) else client.stop_logging)(Name=inputs["name"])


def _create(call: Call, inputs: Mapping[str, Any]) -> str:
    client = call.client("cloudtrail")
    arn = client.create_trail(**_arguments(inputs), TagsList=as_list(call.tags(inputs)))["TrailARN"]
    call.made(arn)
    selectors = _selectors(inputs)
    if selectors:
        client.put_event_selectors(TrailName=inputs["name"], EventSelectors=selectors)
    _record(call, inputs)
    return arn


def _read(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    client, name = call.client("cloudtrail"), arn.rpartition("/")[2]
    answer = found(lambda: client.get_trail(Name=name), _MISSING)
    if answer is None:
        return None
    trail = answer["Trail"]
    selectors = client.get_event_selectors(TrailName=name).get("EventSelectors") or []
    tags = client.list_tags(ResourceIdList=[arn])["ResourceTagList"][0].get("TagsList")
    return {
        "arn": trail["TrailARN"],
        "name": trail["Name"],
        "homeRegion": trail.get("HomeRegion"),
        "s3BucketName": trail["S3BucketName"],
        "enableLogFileValidation": trail["LogFileValidationEnabled"],
        "includeGlobalServiceEvents": trail["IncludeGlobalServiceEvents"],
        "isMultiRegionTrail": trail["IsMultiRegionTrail"],
        "enableLogging": client.get_trail_status(Name=name)["IsLogging"],
        "eventSelectors": [] if selectors == _EVERYTHING else [_selector(item) for item in selectors],
        "tagsAll": as_map(tags),
    }


def _selector(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "readWriteType": item["ReadWriteType"],
        "includeManagementEvents": item["IncludeManagementEvents"],
        "dataResources": [
            {"type": resource["Type"], "values": resource["Values"]} for resource in item.get("DataResources") or ()
        ],
    }


def _update(call: Call, arn: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]) -> None:
    client = call.client("cloudtrail")
    if changed & set(_SETTINGS):
        client.update_trail(**_arguments(inputs))
    if "eventSelectors" in changed:
        client.put_event_selectors(TrailName=inputs["name"], EventSelectors=_selectors(inputs) or _EVERYTHING)
    if "enableLogging" in changed:
        _record(call, inputs)
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: client.add_tags(ResourceId=arn, TagsList=as_list(tags)),
            lambda keys: client.remove_tags(ResourceId=arn, TagsList=[{"Key": key} for key in keys]),
        )


def _delete(call: Call, arn: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    # By name: moto does not know a trail by its ARN here.
    found(lambda: call.client("cloudtrail").delete_trail(Name=arn.rpartition("/")[2]), _MISSING)


TYPES: Final = (
    ResourceType(
        type_name="aws:cloudtrail/trail:Trail",
        identity=("name",),
        inputs=("name", *_SETTINGS, "enableLogging", "eventSelectors", "tags"),
        refuses=("eventSelectors.excludeManagementEventSources",),
        defaults={
            "enableLogFileValidation": False,
            "enableLogging": True,
            "includeGlobalServiceEvents": True,
            "isMultiRegionTrail": False,
            "eventSelectors.includeManagementEvents": True,
            "eventSelectors.readWriteType": "All",
        },
        autoname="name",
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
    ),
)
