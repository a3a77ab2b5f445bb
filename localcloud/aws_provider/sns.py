"""SNS: topics, their policies, subscriptions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from localcloud.aws_provider.cloud import Call, as_text, capitalised, from_aws
from localcloud.aws_provider.resource_type import ResourceType, Tagging

_TOPIC: Final = ("displayName", "kmsMasterKeyId")
_SUBSCRIPTION: Final = ("filterPolicy", "filterPolicyScope", "rawMessageDelivery", "redrivePolicy")
_DEFAULT_POLICY: Final = "__default_policy_ID"


def _attributes(names: Sequence[str], call: Call) -> dict[str, str]:
    return {capitalised(name): as_text(call.inputs[name]) for name in names if call.inputs.get(name)}


def _outputs(names: Sequence[str], attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in from_aws(dict(attributes)).items() if name in names}


def _create_topic(call: Call) -> str:
    # CreateTopic answers the existing topic when name, attributes and tags agree: safe to repeat.
    answer = call.aws.create_topic(Name=call.inputs["name"], Attributes=_attributes(_TOPIC, call), Tags=call.tag_list)
    return answer["TopicArn"]


def _read_topic(call: Call) -> dict[str, Any]:
    attributes = call.aws.get_topic_attributes(TopicArn=call.id)["Attributes"]
    return {
        **_outputs(_TOPIC, attributes),
        "arn": call.id,
        "name": call.id.rpartition(":")[2],
    }


def _set(call: Call, name: str, value: str) -> None:
    call.aws.set_topic_attributes(TopicArn=call.id or call.inputs["arn"], AttributeName=name, AttributeValue=value)


def _update_topic(call: Call) -> None:
    for name in sorted(call.changed):
        _set(call, capitalised(name), as_text(call.inputs.get(name)))


def _put_policy(call: Call) -> str:
    _set(call, "Policy", call.inputs["policy"])
    return call.inputs["arn"]


def _read_policy(call: Call) -> dict[str, Any] | None:
    policy = call.aws.get_topic_attributes(TopicArn=call.id)["Attributes"].get("Policy", "")
    if _DEFAULT_POLICY in policy:
        return None  # ours was removed: this is what AWS puts there
    return {"arn": call.id, "policy": policy}


def _delete_policy(call: Call) -> None:
    """A topic always has a policy: removing ours puts the one back that AWS gives to a new topic."""
    owner = call.id.split(":")[4]
    actions = "AddPermission DeleteTopic GetTopicAttributes ListSubscriptionsByTopic Publish RemovePermission"
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in (*actions.split(), "SetTopicAttributes", "Subscribe")],
        "Resource": call.id,
        "Condition": {"StringEquals": {"AWS:SourceOwner": owner}},
    }
    _set(call, "Policy", json.dumps({"Version": "2008-10-17", "Id": _DEFAULT_POLICY, "Statement": [statement]}))


def _subscribe(call: Call) -> str:
    answer = call.aws.subscribe(
        TopicArn=call.inputs["topic"],
        Protocol=call.inputs["protocol"],
        Endpoint=call.inputs["endpoint"],
        Attributes=_attributes(_SUBSCRIPTION, call),
        ReturnSubscriptionArn=True,
    )
    return answer["SubscriptionArn"]


def _read_subscription(call: Call) -> dict[str, Any]:
    attributes = call.aws.get_subscription_attributes(SubscriptionArn=call.id)["Attributes"]
    return {
        **_outputs(_SUBSCRIPTION, attributes),
        "arn": call.id,
        "topic": attributes["TopicArn"],
        "protocol": attributes["Protocol"],
        "endpoint": attributes["Endpoint"],
        "rawMessageDelivery": attributes.get("RawMessageDelivery") == "true",
        "pendingConfirmation": attributes.get("PendingConfirmation") == "true",
    }


def _update_subscription(call: Call) -> None:
    for name in sorted(call.changed):
        call.aws.set_subscription_attributes(
            SubscriptionArn=call.id,
            AttributeName=capitalised(name),
            AttributeValue=as_text(call.inputs.get(name)) or ("{}" if name == "filterPolicy" else ""),
        )


def _unsubscribe(call: Call) -> None:
    try:
        call.aws.unsubscribe(SubscriptionArn=call.id)
    except call.aws.exceptions.InvalidParameterException as error:
        # The real provider lets it be, too: after two days SNS removes what nobody has confirmed.
        if "pending confirmation" not in str(error):
            raise


TYPES: Final = (
    ResourceType(
        type_name="aws:sns/topic:Topic",
        identity=("name",),
        # `policy` belongs to TopicPolicy here: set in both places, each update would undo the other.
        inputs=("name", *_TOPIC, "tags"),
        tagging=Tagging(argument="ResourceArn", list="list_tags_for_resource"),
        create=_create_topic,
        read=_read_topic,
        update=_update_topic,
        delete=lambda call: call.aws.delete_topic(TopicArn=call.id),
    ),
    ResourceType(
        type_name="aws:sns/topicPolicy:TopicPolicy",
        identity=("arn",),
        inputs=("arn", "policy"),
        policies=("policy",),
        create=_put_policy,
        read=_read_policy,
        update=_put_policy,
        delete=_delete_policy,
    ),
    ResourceType(
        type_name="aws:sns/topicSubscription:TopicSubscription",
        identity=("topic", "protocol", "endpoint"),
        inputs=("topic", "protocol", "endpoint", *_SUBSCRIPTION),
        defaults={"rawMessageDelivery": False},
        json_documents=("filterPolicy", "redrivePolicy"),
        create=_subscribe,
        read=_read_subscription,
        update=_update_subscription,
        delete=_unsubscribe,
    ),
)
