"""SQS: queues and their policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import found, retried, sync_tags
from localcloud.aws_provider.resource_type import ResourceType, put_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.aws_provider.cloud import Call

_NUMBERS: Final = {
    "delaySeconds": "DelaySeconds",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}
_FLAGS: Final = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "fifoQueue": "FifoQueue",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
}
_TEXTS: Final = {
    "deduplicationScope": "DeduplicationScope",
    "fifoThroughputLimit": "FifoThroughputLimit",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
}
_ATTRIBUTES: Final = {**_NUMBERS, **_FLAGS, **_TEXTS}
_DELETED_RECENTLY = "AWS.SimpleQueueService.QueueDeletedRecently"
_MISSING: Final = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
_SAME_NAME_AGAIN: Final = 70.0
"""Seconds: AWS refuses a queue of the same name for a minute after one was deleted."""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_KEY_REUSE_SECONDS: Final = 300


def _create_queue(call: Call, inputs: Mapping[str, Any]) -> str:
    attributes = {aws: _text(inputs[name]) for name, aws in _ATTRIBUTES.items() if inputs.get(name) not in (None, "")}
    if attributes.get("FifoQueue") == "false":
        del attributes["FifoQueue"], attributes["ContentBasedDeduplication"]  # AWS takes only "true"
    # CreateQueue answers the existing queue when all attributes agree: safe to repeat.
    answer = retried(
        lambda: call.client("sqs").create_queue(
            QueueName=inputs["name"], Attributes=attributes, tags=call.tags(inputs)
        ),
        lambda code, _: code in {_DELETED_RECENTLY, "QueueDeletedRecently"},
        seconds=_SAME_NAME_AGAIN,
    )
    return answer["QueueUrl"]


def _read_queue(call: Call, url: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    sqs = call.client("sqs")
    answer = found(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]), *_MISSING)
    if answer is None:
        return None
    attributes = answer["Attributes"]
    outputs: dict[str, Any] = {name: int(attributes[aws]) for name, aws in _NUMBERS.items() if aws in attributes}
    outputs |= {name: attributes.get(aws) == "true" for name, aws in _FLAGS.items()}
    outputs |= {name: attributes.get(aws, "") for name, aws in _TEXTS.items()}
    return {
        "kmsDataKeyReusePeriodSeconds": _KEY_REUSE_SECONDS,  # AWS answers it without a key too
        **outputs,
        "arn": attributes["QueueArn"],
        "name": attributes["QueueArn"].rpartition(":")[2],
        "url": url,
        "policy": state.get("policy", attributes.get("Policy", "")),
        "tagsAll": sqs.list_queue_tags(QueueUrl=url).get("Tags", {}),
    }


def _update_queue(
    call: Call, url: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    sqs = call.client("sqs")
    attributes = {
        _ATTRIBUTES[name]: "" if inputs.get(name) is None else _text(inputs[name])
        for name in changed & set(_ATTRIBUTES)
    }
    if attributes:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: sqs.tag_queue(QueueUrl=url, Tags=tags),
            lambda keys: sqs.untag_queue(QueueUrl=url, TagKeys=keys),
        )


def _delete_queue(call: Call, url: str, state: Mapping[str, Any]) -> None:
    found(lambda: call.client("sqs").delete_queue(QueueUrl=url), *_MISSING)
    call.wait(f"the queue {url} to be gone", lambda: _read_queue(call, url, state) is None)


def _put_policy(call: Call, inputs: Mapping[str, Any]) -> str:
    call.client("sqs").set_queue_attributes(QueueUrl=inputs["queueUrl"], Attributes={"Policy": inputs["policy"]})
    return inputs["queueUrl"]


def _read_policy(call: Call, url: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    answer = found(lambda: call.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]), *_MISSING)
    policy = (answer or {}).get("Attributes", {}).get("Policy")
    return {"queueUrl": url, "policy": policy} if policy else None


def _delete_policy(call: Call, url: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""}), *_MISSING)


TYPES: Final = (
    ResourceType(
        type_name="aws:sqs/queue:Queue",
        identity=("name",),
        # `policy` belongs to QueuePolicy here: set in both places, each update would undo the other.
        inputs=("name", *_ATTRIBUTES, "tags"),
        defaults={
            "contentBasedDeduplication": False,
            "delaySeconds": 0,
            "fifoQueue": False,
            "maxMessageSize": 262144,
            "messageRetentionSeconds": 345600,
            "receiveWaitTimeSeconds": 0,
            "visibilityTimeoutSeconds": 30,
        },
        json_documents=("redrivePolicy", "redriveAllowPolicy"),
        autoname="name",
        create=_create_queue,
        read=_read_queue,
        update=_update_queue,
        delete=_delete_queue,
    ),
    ResourceType(
        type_name="aws:sqs/queuePolicy:QueuePolicy",
        identity=("queueUrl",),
        inputs=("queueUrl", "policy"),
        policies=("policy",),
        create=_put_policy,
        read=_read_policy,
        update=put_again(_put_policy),
        delete=_delete_policy,
    ),
)
