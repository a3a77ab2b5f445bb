"""EventBridge Scheduler: schedules."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import found, retried
from localcloud.aws_provider.resource_type import ResourceType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.aws_provider.cloud import Call

_MISSING = "ResourceNotFoundException"


def _target(target: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"Arn": target["arn"], "RoleArn": target["roleArn"]}
    if target.get("input"):
        made["Input"] = target["input"]
    if target.get("deadLetterConfig"):
        made["DeadLetterConfig"] = {"Arn": target["deadLetterConfig"]["arn"]}
    if target.get("sqsParameters"):
        made["SqsParameters"] = {"MessageGroupId": target["sqsParameters"].get("messageGroupId", "")}
    retries = target.get("retryPolicy")
    if retries:
        made["RetryPolicy"] = {
            "MaximumEventAgeInSeconds": retries["maximumEventAgeInSeconds"],
            "MaximumRetryAttempts": retries["maximumRetryAttempts"],
        }
    return made


def _arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    window = inputs["flexibleTimeWindow"]
    arguments: dict[str, Any] = {
        "Name": inputs["name"],
        "GroupName": inputs["groupName"],
        "ScheduleExpression": inputs["scheduleExpression"],
        "ScheduleExpressionTimezone": inputs["scheduleExpressionTimezone"],
        "State": inputs["state"],
        "ActionAfterCompletion": inputs["actionAfterCompletion"],
        "Description": inputs.get("description", ""),
        "FlexibleTimeWindow": {"Mode": window["mode"]},
        "Target": _target(inputs["target"]),
    }
    if window.get("maximumWindowInMinutes"):
        arguments["FlexibleTimeWindow"]["MaximumWindowInMinutes"] = window["maximumWindowInMinutes"]
    if inputs.get("kmsKeyArn"):
        arguments["KmsKeyArn"] = inputs["kmsKeyArn"]
    for name, aws in (("startDate", "StartDate"), ("endDate", "EndDate")):
        if inputs.get(name):
            arguments[aws] = datetime.datetime.fromisoformat(inputs[name])
    return arguments


def _role_not_ready(code: str, message: str) -> bool:
    return code == "ValidationException" and "assume the role" in message


def _create(call: Call, inputs: Mapping[str, Any]) -> str:
    arguments = _arguments(inputs)  # boto3 adds a ClientToken, the same one for its own repetitions
    retried(lambda: call.client("scheduler").create_schedule(**arguments), _role_not_ready)
    return f"{inputs['groupName']}/{inputs['name']}"


def _address(resource_id: str) -> dict[str, str]:
    group, _, name = resource_id.partition("/")
    return {"GroupName": group, "Name": name}


def _date(value: Any, known: str | None) -> str | None:
    if not isinstance(value, datetime.datetime):
        return None
    if known and datetime.datetime.fromisoformat(known) == value:
        return known
    return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(call: Call, resource_id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    answer = found(lambda: call.client("scheduler").get_schedule(**_address(resource_id)), _MISSING)
    if answer is None:
        return None
    target, retries = answer["Target"], answer["Target"].get("RetryPolicy") or {}
    made: dict[str, Any] = {
        "arn": target["Arn"],
        "roleArn": target["RoleArn"],
        "retryPolicy": {
            "maximumEventAgeInSeconds": retries.get("MaximumEventAgeInSeconds", 86400),
            "maximumRetryAttempts": retries.get("MaximumRetryAttempts", 185),
        },
    }
    if target.get("Input"):
        made["input"] = target["Input"]
    if (target.get("DeadLetterConfig") or {}).get("Arn"):
        made["deadLetterConfig"] = {"arn": target["DeadLetterConfig"]["Arn"]}
    if target.get("SqsParameters"):
        made["sqsParameters"] = {"messageGroupId": target["SqsParameters"].get("MessageGroupId", "")}
    window = answer["FlexibleTimeWindow"]
    flexible = {"mode": window["Mode"]}
    if window.get("MaximumWindowInMinutes"):
        flexible["maximumWindowInMinutes"] = window["MaximumWindowInMinutes"]
    return {
        "arn": answer["Arn"],
        "name": answer["Name"],
        "groupName": answer.get("GroupName", "default"),
        "description": answer.get("Description") or None,
        "scheduleExpression": answer["ScheduleExpression"],
        "scheduleExpressionTimezone": answer.get("ScheduleExpressionTimezone") or "UTC",
        "state": answer.get("State", "ENABLED"),
        "actionAfterCompletion": answer.get("ActionAfterCompletion") or state.get("actionAfterCompletion", "NONE"),
        "kmsKeyArn": answer.get("KmsKeyArn"),
        "startDate": _date(answer.get("StartDate"), state.get("startDate")),
        "endDate": _date(answer.get("EndDate"), state.get("endDate")),
        "flexibleTimeWindow": flexible,
        "target": made,
    }


def _update(
    call: Call,
    resource_id: str,  # noqa: ARG001
    state: Mapping[str, Any],  # noqa: ARG001
    inputs: Mapping[str, Any],
    changed: frozenset[str],  # noqa: ARG001
) -> None:
    arguments = _arguments(inputs)
    retried(lambda: call.client("scheduler").update_schedule(**arguments), _role_not_ready)


def _delete(call: Call, resource_id: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("scheduler").delete_schedule(**_address(resource_id)), _MISSING)


TYPES: Final = (
    ResourceType(
        type_name="aws:scheduler/schedule:Schedule",
        identity=("groupName", "name"),
        inputs=(
            "actionAfterCompletion",
            "description",
            "endDate",
            "flexibleTimeWindow",
            "groupName",
            "kmsKeyArn",
            "name",
            "scheduleExpression",
            "scheduleExpressionTimezone",
            "startDate",
            "state",
            "target",
        ),
        refuses=(
            "target.ecsParameters",
            "target.eventbridgeParameters",
            "target.kinesisParameters",
            "target.sagemakerPipelineParameters",
        ),
        defaults={
            "actionAfterCompletion": "NONE",
            "groupName": "default",
            "scheduleExpressionTimezone": "UTC",
            "state": "ENABLED",
            "target.retryPolicy.maximumEventAgeInSeconds": 86400,
            "target.retryPolicy.maximumRetryAttempts": 185,
        },
        json_documents=("target.input",),
        chosen=("target.retryPolicy",),
        autoname="name",
        create=_create,
        read=_read,
        update=_update,
        delete=_delete,
    ),
)
