"""EventBridge Scheduler: schedules."""

from typing import Any, Final

from localcloud.aws_provider.cloud import Call, from_aws, to_aws
from localcloud.aws_provider.resource_type import ResourceType

_INPUTS: Final = (
    "actionAfterCompletion",
    "description",
    "flexibleTimeWindow",
    "groupName",
    "name",
    "scheduleExpression",
    "state",
    "target",
)


def _put(call: Call, put: Any) -> str:
    # boto3 adds a ClientToken, the same one for its own repetitions.
    arguments = {"Description": "", **to_aws({name: call.inputs.get(name) for name in _INPUTS})}
    put(**arguments)
    return f"{call.inputs['groupName']}/{call.inputs['name']}"


def _address(call: Call) -> dict[str, str]:
    group, _, name = call.id.partition("/")
    return {"GroupName": group, "Name": name}


def _read(call: Call) -> dict[str, Any]:
    answer = call.aws.get_schedule(**_address(call))
    target = from_aws(answer["Target"])
    target["retryPolicy"] = {
        "maximumEventAgeInSeconds": 86400,
        "maximumRetryAttempts": 185,
        **target.get("retryPolicy", {}),
    }
    return {
        "actionAfterCompletion": call.state.get("actionAfterCompletion", "NONE"),
        "groupName": "default",
        "scheduleExpressionTimezone": "UTC",
        "state": "ENABLED",
        "arn": answer["Arn"],
        **from_aws({key: value for key, value in answer.items() if f"{key[0].lower()}{key[1:]}" in _INPUTS}),
        "target": target,
    }


TYPES: Final = (
    ResourceType(
        type_name="aws:scheduler/schedule:Schedule",
        identity=("groupName", "name"),
        inputs=_INPUTS,
        refuses=(
            "target.ecsParameters",
            "target.eventbridgeParameters",
            "target.kinesisParameters",
            "target.sagemakerPipelineParameters",
        ),
        defaults={
            "actionAfterCompletion": "NONE",
            "groupName": "default",
            "state": "ENABLED",
            "target.retryPolicy.maximumEventAgeInSeconds": 86400,
            "target.retryPolicy.maximumRetryAttempts": 185,
        },
        json_documents=("target.input",),
        chosen=("target.retryPolicy",),
        create=lambda call: _put(call, call.aws.create_schedule),
        read=_read,
        update=lambda call: _put(call, call.aws.update_schedule),
        delete=lambda call: call.aws.delete_schedule(**_address(call)),
    ),
)
