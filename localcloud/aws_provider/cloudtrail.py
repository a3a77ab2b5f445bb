"""CloudTrail: trails, with their event selectors and whether they record."""

from typing import Any, Final

from localcloud.aws_provider.cloud import Call, as_map, from_aws, given, to_aws
from localcloud.aws_provider.resource_type import ResourceType

_SETTINGS: Final = ("enableLogFileValidation", "includeGlobalServiceEvents", "isMultiRegionTrail", "s3BucketName")
_EVERYTHING: Final = [{"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}]
"""What a trail records when nobody chose."""


def _arguments(call: Call) -> dict[str, Any]:
    return given(Name=call.inputs["name"], **to_aws({name: call.inputs.get(name) for name in _SETTINGS}))


def _selectors(call: Call) -> list[dict[str, Any]]:
    return [{"DataResources": [], **to_aws(selector)} for selector in call.inputs.get("eventSelectors") or ()]


def _record(call: Call) -> None:
    switch = call.aws.start_logging if call.inputs["enableLogging"] else call.aws.stop_logging
    switch(Name=call.inputs["name"])


def _create(call: Call) -> str:
    arn = call.aws.create_trail(**_arguments(call), TagsList=call.tag_list)["TrailARN"]
    call.made(arn)
    if call.inputs.get("eventSelectors"):
        call.aws.put_event_selectors(TrailName=call.inputs["name"], EventSelectors=_selectors(call))
    _record(call)
    return arn


def _read(call: Call) -> dict[str, Any]:
    # By name, here as in the deletion: moto does not know a trail by its ARN.
    name = call.id.rpartition("/")[2]
    trail = call.aws.get_trail(Name=name)["Trail"]
    selectors = call.aws.get_event_selectors(TrailName=name).get("EventSelectors") or []
    tags = call.aws.list_tags(ResourceIdList=[call.id])["ResourceTagList"][0].get("TagsList")
    return {
        "arn": trail["TrailARN"],
        "name": trail["Name"],
        "s3BucketName": trail["S3BucketName"],
        "enableLogFileValidation": trail["LogFileValidationEnabled"],
        "includeGlobalServiceEvents": trail["IncludeGlobalServiceEvents"],
        "isMultiRegionTrail": trail["IsMultiRegionTrail"],
        "enableLogging": call.aws.get_trail_status(Name=name)["IsLogging"],
        "eventSelectors": [] if selectors == _EVERYTHING else [{"dataResources": [], **from_aws(s)} for s in selectors],
        "tagsAll": as_map(tags),
    }


def _update(call: Call) -> None:
    if call.changed & {*_SETTINGS}:
        call.aws.update_trail(**_arguments(call))
    if "eventSelectors" in call.changed:
        call.aws.put_event_selectors(TrailName=call.inputs["name"], EventSelectors=_selectors(call) or _EVERYTHING)
    if "enableLogging" in call.changed:
        _record(call)
    if "tags" in call.changed:
        gone = [{"Key": key} for key in call.state.get("tagsAll", {}).keys() - call.tags.keys()]
        for change, tags in ((call.aws.remove_tags, gone), (call.aws.add_tags, call.tag_list)):
            if tags:
                change(ResourceId=call.id, TagsList=tags)


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
        create=_create,
        read=_read,
        update=_update,
        delete=lambda call: call.aws.delete_trail(Name=call.id.rpartition("/")[2]),
    ),
)
