"""SNS: topics, their policies, subscriptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from localcloud.aws_provider.cloud import as_list, as_map, found, sync_tags
from localcloud.aws_provider.resource_type import ResourceType, put_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.aws_provider.cloud import Call

_TOPIC_ATTRIBUTES: Final = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deliveryPolicy": "DeliveryPolicy",
    "displayName": "DisplayName",
    "fifoTopic": "FifoTopic",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "signatureVersion": "SignatureVersion",
    "tracingConfig": "TracingConfig",
}
_SUBSCRIPTION_ATTRIBUTES: Final = {
    "deliveryPolicy": "DeliveryPolicy",
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "rawMessageDelivery": "RawMessageDelivery",
    "redrivePolicy": "RedrivePolicy",
    "subscriptionRoleArn": "SubscriptionRoleArn",
}
_DEFAULT_POLICY: Final = "__default_policy_ID"
_FLAGS: Final = ("contentBasedDeduplication", "fifoTopic", "rawMessageDelivery")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attributes(names: Mapping[str, str], inputs: Mapping[str, Any]) -> dict[str, str]:
    return {aws: _text(inputs[name]) for name, aws in names.items() if inputs.get(name) not in (None, "", False)}


def _values(names: Mapping[str, str], attributes: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: attributes[aws] for name, aws in names.items() if attributes.get(aws)}
    for name in _FLAGS:
        if name in names:
            values[name] = values.get(name) == "true"
    if "signatureVersion" in values:
        values["signatureVersion"] = int(values["signatureVersion"])
    return values


def _create_topic(call: Call, inputs: Mapping[str, Any]) -> str:
    # CreateTopic answers the existing topic when name, attributes and tags agree: safe to repeat.
    answer = call.client("sns").create_topic(
        Name=inputs["name"], Attributes=_attributes(_TOPIC_ATTRIBUTES, inputs), Tags=as_list(call.tags(inputs))
    )
    return answer["TopicArn"]


def _read_topic(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
    sns = call.client("sns")
    answer = found(lambda: sns.get_topic_attributes(TopicArn=arn), "NotFound", "NotFoundException")
    if answer is None:
        return None
    attributes = answer["Attributes"]
    return {
        **_values(_TOPIC_ATTRIBUTES, attributes),
        "arn": arn,
        "name": arn.rpartition(":")[2],
        "owner": attributes.get("Owner"),
        "policy": state.get("policy", attributes.get("Policy")),
        "beginningArchiveTime": attributes.get("BeginningArchiveTime", ""),
        "tagsAll": as_map(sns.list_tags_for_resource(ResourceArn=arn)["Tags"]),
    }


def _update_topic(
    call: Call, arn: str, state: Mapping[str, Any], inputs: Mapping[str, Any], changed: frozenset[str]
) -> None:
    sns = call.client("sns")
    for name in sorted(changed & set(_TOPIC_ATTRIBUTES)):
        value = inputs.get(name)
        sns.set_topic_attributes(
            TopicArn=arn, AttributeName=_TOPIC_ATTRIBUTES[name], AttributeValue="" if value is None else _text(value)
        )
    if changed & {"tags", "tagsAll"}:
        sync_tags(
            state.get("tagsAll", {}),
            call.tags(inputs),
            lambda tags: sns.tag_resource(ResourceArn=arn, Tags=as_list(tags)),
            lambda keys: sns.untag_resource(ResourceArn=arn, TagKeys=keys),
        )


def _delete_topic(call: Call, arn: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    found(lambda: call.client("sns").delete_topic(TopicArn=arn), "NotFound", "NotFoundException")


def _put_policy(call: Call, inputs: Mapping[str, Any]) -> str:
    call.client("sns").set_topic_attributes(
        TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"]
    )
    return inputs["arn"]


def _read_policy(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    answer = found(lambda: call.client("sns").get_topic_attributes(TopicArn=arn), "NotFound", "NotFoundException")
    if answer is None:
        return None
    attributes = answer["Attributes"]
    policy = attributes.get("Policy", "")
    if _DEFAULT_POLICY in policy:
        return None  # ours was removed: this is what AWS puts there by itself
    return {"arn": arn, "policy": policy, "owner": attributes.get("Owner")}


def _delete_policy(call: Call, arn: str, state: Mapping[str, Any]) -> None:
    """A topic always has a policy: removing ours puts the one back that AWS gives to a new topic."""
    owner = state.get("owner") or arn.split(":")[4]
    actions = "AddPermission DeleteTopic GetTopicAttributes ListSubscriptionsByTopic Publish RemovePermission"
    policy = {
        "Version": "2008-10-17",
        "Id": _DEFAULT_POLICY,
        "Statement": [
            {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [f"SNS:{action}" for action in (*actions.split(), "SetTopicAttributes", "Subscribe")],
                "Resource": arn,
                "Condition": {"StringEquals": {"AWS:SourceOwner": owner}},
            }
        ],
    }
    found(
        lambda: call.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy)
        ),
        "NotFound",
        "NotFoundException",
    )


def _subscribe(call: Call, inputs: Mapping[str, Any]) -> str:
    answer = call.client("sns").subscribe(
        TopicArn=inputs["topic"],
        Protocol=inputs["protocol"],
        Endpoint=inputs["endpoint"],
        Attributes=_attributes(_SUBSCRIPTION_ATTRIBUTES, inputs),
        ReturnSubscriptionArn=True,
    )
    return answer["SubscriptionArn"]


def _read_subscription(call: Call, arn: str, state: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG001
    answer = found(
        lambda: call.client("sns").get_subscription_attributes(SubscriptionArn=arn), "NotFound", "NotFoundException"
    )
    if answer is None:
        return None
    attributes = answer["Attributes"]
    return {
        **_values(_SUBSCRIPTION_ATTRIBUTES, attributes),
        "arn": arn,
        "topic": attributes["TopicArn"],
        "protocol": attributes["Protocol"],
        "endpoint": attributes["Endpoint"],
        "ownerId": attributes.get("Owner"),
        "pendingConfirmation": attributes.get("PendingConfirmation") == "true",
        "confirmationWasAuthenticated": attributes.get("ConfirmationWasAuthenticated") == "true",
    }


def _update_subscription(
    call: Call,
    arn: str,
    state: Mapping[str, Any],  # noqa: ARG001
    inputs: Mapping[str, Any],
    changed: frozenset[str],
) -> None:
    for name in sorted(changed & set(_SUBSCRIPTION_ATTRIBUTES)):
        value = inputs.get(name)
        empty = "{}" if name == "filterPolicy" else ""
        call.client("sns").set_subscription_attributes(
            SubscriptionArn=arn,
            AttributeName=_SUBSCRIPTION_ATTRIBUTES[name],
            AttributeValue=empty if value is None else _text(value),
        )


def _unsubscribe(call: Call, arn: str, state: Mapping[str, Any]) -> None:  # noqa: ARG001
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        found(lambda: call.client("sns").unsubscribe(SubscriptionArn=arn), "NotFound", "NotFoundException")
    except ClientError as error:
        # The real provider lets it be, too: SNS removes by itself, after two days, what nobody has confirmed.
        if "pending confirmation" not in str(error):
            raise


TYPES: Final = (
    ResourceType(
        type_name="aws:sns/topic:Topic",
        identity=("name",),
        # `policy` belongs to TopicPolicy here: set in both places, each update would undo the other.
        inputs=("name", *_TOPIC_ATTRIBUTES, "tags"),
        json_documents=("deliveryPolicy",),
        autoname="name",
        create=_create_topic,
        read=_read_topic,
        update=_update_topic,
        delete=_delete_topic,
    ),
    ResourceType(
        type_name="aws:sns/topicPolicy:TopicPolicy",
        identity=("arn",),
        inputs=("arn", "policy"),
        policies=("policy",),
        create=_put_policy,
        read=_read_policy,
        update=put_again(_put_policy),
        delete=_delete_policy,
    ),
    ResourceType(
        type_name="aws:sns/topicSubscription:TopicSubscription",
        identity=("topic", "protocol", "endpoint"),
        inputs=(
            "topic",
            "protocol",
            "endpoint",
            "confirmationTimeoutInMinutes",
            "endpointAutoConfirms",
            *_SUBSCRIPTION_ATTRIBUTES,
        ),
        defaults={"confirmationTimeoutInMinutes": 1, "endpointAutoConfirms": False, "rawMessageDelivery": False},
        json_documents=("deliveryPolicy", "filterPolicy", "redrivePolicy"),
        kept=("confirmationTimeoutInMinutes", "endpointAutoConfirms"),  # they steer the provider, AWS never sees them
        create=_subscribe,
        read=_read_subscription,
        update=_update_subscription,
        delete=_unsubscribe,
    ),
)
