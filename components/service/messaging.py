"""Topics and the dead-letter queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.policies import messaging
from components.policies.documents import to_json
from components.tags import tags

_DEAD_LETTERS_KEPT_SECONDS: Final = 14 * 24 * 3600
"""The longest that SQS keeps a message."""


@dataclass(frozen=True, kw_only=True)
class MessagingArgs:
    """Where topics and queue are made, and which addresses on-call is reached at."""

    arns: Arns
    on_call_emails: Sequence[str]


class Messaging(pulumi.ComponentResource):
    """The topic of new items, the on-call topic, and the queue for what nobody could process.

    The topics have no key: CloudWatch and Budgets cannot publish to a topic that is encrypted with the AWS-managed SNS
    key, and their messages hold ids and alarm names only.
    """

    new_items: aws.sns.Topic
    on_call: aws.sns.Topic
    dead_letters: aws.sqs.Queue

    def __init__(self, name: str, args: MessagingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:Messaging", name, None, opts)
        names = args.arns.names
        self.new_items = aws.sns.Topic(
            "new-items",
            name=names.new_items_topic,
            tags=tags(names.environment, "messaging"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.sns.TopicPolicy(
            "new-items",
            arn=self.new_items.arn,
            policy=to_json(messaging.new_items_topic(args.arns)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.on_call = aws.sns.Topic(
            "on-call",
            name=names.on_call_topic,
            tags=tags(names.environment, "messaging"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.sns.TopicPolicy(
            "on-call",
            arn=self.on_call.arn,
            policy=to_json(messaging.on_call_topic(args.arns)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        for address in args.on_call_emails:
            # It waits until the owner of the address follows the link in SNS's mail. After 48 hours SNS gives up and
            # removes it: the next `up --refresh` asks again.
            aws.sns.TopicSubscription(
                f"on-call-{address}",
                topic=self.on_call.arn,
                protocol="email",
                endpoint=address,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.dead_letters = aws.sqs.Queue(
            "dead-letters",
            name=names.dead_letters_queue,
            message_retention_seconds=_DEAD_LETTERS_KEPT_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=tags(names.environment, "messaging"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.sqs.QueuePolicy(
            "dead-letters",
            queue_url=self.dead_letters.url,
            policy=to_json(messaging.dead_letters_queue(args.arns)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs(
            {"new_items": self.new_items.arn, "on_call": self.on_call.arn, "dead_letters": self.dead_letters.arn}
        )
