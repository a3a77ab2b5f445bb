"""SQS: queues and their policies."""

from typing import Any, Final

from localcloud.aws_provider.cloud import Call, as_text, capitalised
from localcloud.aws_provider.resource_type import ResourceType, Tagging

_NUMBERS: Final = {
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}
_TEXTS: Final = ("kmsMasterKeyId", "redriveAllowPolicy", "redrivePolicy")
_ENCRYPTED: Final = "sqsManagedSseEnabled"
_ATTRIBUTES: Final = {**_NUMBERS, **{name: capitalised(name) for name in (*_TEXTS, _ENCRYPTED)}}


def _create_queue(call: Call) -> str:
    attributes = {
        aws: as_text(call.inputs[name]) for name, aws in _ATTRIBUTES.items() if call.inputs.get(name) not in (None, "")
    }
    # CreateQueue answers the existing queue when all attributes agree: safe to repeat.
    return call.aws.create_queue(QueueName=call.inputs["name"], Attributes=attributes, tags=call.tags)["QueueUrl"]


def _read_queue(call: Call) -> dict[str, Any]:
    attributes = call.aws.get_queue_attributes(QueueUrl=call.id, AttributeNames=["All"])["Attributes"]
    return {
        **{name: int(attributes[aws]) for name, aws in _NUMBERS.items() if aws in attributes},
        **{name: attributes.get(_ATTRIBUTES[name], "") for name in _TEXTS},
        _ENCRYPTED: attributes.get(_ATTRIBUTES[_ENCRYPTED]) == "true",
        "arn": attributes["QueueArn"],
        "kmsDataKeyReusePeriodSeconds": 300,  # AWS answers it without a key too
        "name": attributes["QueueArn"].rpartition(":")[2],
        "url": call.id,
    }


def _update_queue(call: Call) -> None:
    attributes = {_ATTRIBUTES[name]: as_text(call.inputs.get(name)) for name in call.changed}
    call.aws.set_queue_attributes(QueueUrl=call.id, Attributes=attributes)


def _put_policy(call: Call) -> str:
    call.aws.set_queue_attributes(QueueUrl=call.inputs["queueUrl"], Attributes={"Policy": call.inputs["policy"]})
    return call.inputs["queueUrl"]


def _read_policy(call: Call) -> dict[str, Any] | None:
    answer = call.aws.get_queue_attributes(QueueUrl=call.id, AttributeNames=["Policy"])
    policy = answer.get("Attributes", {}).get("Policy")
    return {"queueUrl": call.id, "policy": policy} if policy else None


TYPES: Final = (
    ResourceType(
        type_name="aws:sqs/queue:Queue",
        identity=("name",),
        # `policy` belongs to QueuePolicy here: set in both places, each update would undo the other.
        inputs=("name", *_ATTRIBUTES, "tags"),
        defaults={
            "delaySeconds": 0,
            "maxMessageSize": 262144,
            "messageRetentionSeconds": 345600,
            "receiveWaitTimeSeconds": 0,
            "visibilityTimeoutSeconds": 30,
        },
        json_documents=("redrivePolicy", "redriveAllowPolicy"),
        tagging=Tagging(
            argument="QueueUrl",
            output="url",
            put="tag_queue",
            remove="untag_queue",
            list="list_queue_tags",
            as_map=True,
        ),
        create=_create_queue,
        read=_read_queue,
        update=_update_queue,
        delete=lambda call: call.aws.delete_queue(QueueUrl=call.id),
    ),
    ResourceType(
        type_name="aws:sqs/queuePolicy:QueuePolicy",
        identity=("queueUrl",),
        inputs=("queueUrl", "policy"),
        policies=("policy",),
        create=_put_policy,
        read=_read_policy,
        update=_put_policy,
        delete=lambda call: call.aws.set_queue_attributes(QueueUrl=call.id, Attributes={"Policy": ""}),
    ),
)
