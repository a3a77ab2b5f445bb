"""What calls a function, always through `live`: a schedule, the topic of new items, or a public URL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.naming import FunctionNames
from components.policies import execution, trust
from components.policies.documents import document, to_json
from components.tags import tags

_SCHEDULE_RETRIES: Final = 2
_SCHEDULE_EVENT_AGE_SECONDS: Final = 900
"""A run that could not be started for this long is left to the next one."""


@dataclass(frozen=True, kw_only=True)
class SchedulerArgs:
    """Which functions are started by schedules."""

    arns: Arns
    function_names: tuple[str, ...]


class Scheduler(pulumi.ComponentResource):
    """The role by which schedules start functions; it can call their `live` and nothing else."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: SchedulerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:Scheduler", name, None, opts)
        names = args.arns.names
        role = aws.iam.Role(
            name,
            name=names.schedule_role,
            description="Lets schedules start functions",
            assume_role_policy=to_json(trust.by_service("scheduler", args.arns.account_id)),
            permissions_boundary=args.arns.of("policy", names.boundary),
            tags=tags(names.environment, name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights = aws.iam.RolePolicy(
            name,
            name="schedule",
            role=role.name,
            policy=to_json(
                document(execution.start_live(args.arns, args.function_names), execution.leave_dead_letters(args.arns))
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Through the policy, so that no schedule starts before its role may do anything.
        self.role_arn = pulumi.Output.all(role.arn, rights.id).apply(lambda both: both[0])
        self.register_outputs({"role_arn": self.role_arn})


@dataclass(frozen=True, kw_only=True)
class ScheduleTriggerArgs:
    """How often which `live` is started, by which role."""

    names: FunctionNames
    expression: str
    live: aws.lambda_.Alias
    role_arn: pulumi.Input[str]
    dead_letters_arn: pulumi.Input[str]


class ScheduleTrigger(pulumi.ComponentResource):
    """Starts `live` again and again."""

    def __init__(self, name: str, args: ScheduleTriggerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:ScheduleTrigger", name, None, opts)
        aws.scheduler.Schedule(
            f"{name}-schedule",
            name=args.names.schedule,
            group_name="default",
            description=f"Starts {args.names.function}",
            schedule_expression=args.expression,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": args.live.arn,
                "role_arn": args.role_arn,
                "dead_letter_config": {"arn": args.dead_letters_arn},
                "retry_policy": {
                    "maximum_event_age_in_seconds": _SCHEDULE_EVENT_AGE_SECONDS,
                    "maximum_retry_attempts": _SCHEDULE_RETRIES,
                },
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"schedule": args.names.schedule})


@dataclass(frozen=True, kw_only=True)
class TopicTriggerArgs:
    """Which topic calls which `live`."""

    topic_arn: pulumi.Input[str]
    live: aws.lambda_.Alias
    dead_letters_arn: pulumi.Input[str]


class TopicTrigger(pulumi.ComponentResource):
    """Calls `live` with every message of a topic."""

    def __init__(self, name: str, args: TopicTriggerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:TopicTrigger", name, None, opts)
        permission = aws.lambda_.Permission(
            f"{name}-topic",
            statement_id="topic",
            action="lambda:InvokeFunction",
            function=args.live.function_name,
            qualifier=args.live.name,
            principal="sns.amazonaws.com",
            source_arn=args.topic_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.sns.TopicSubscription(
            f"{name}-topic",
            topic=args.topic_arn,
            protocol="lambda",
            endpoint=args.live.arn,
            redrive_policy=pulumi.Output.from_input(args.dead_letters_arn).apply(
                lambda arn: json.dumps({"deadLetterTargetArn": arn}, separators=(",", ":"))
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class UrlTriggerArgs:
    """Which `live` answers the URL."""

    live: aws.lambda_.Alias


class UrlTrigger(pulumi.ComponentResource):
    """A public URL. Who may see what is the function's own decision: health is public, the rest needs the API key."""

    url: pulumi.Output[str]
    """The URL with a trailing slash."""

    def __init__(self, name: str, args: UrlTriggerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:UrlTrigger", name, None, opts)
        # A URL without authorization answers only if the alias grants both of these to everyone.
        ask = aws.lambda_.Permission(
            f"{name}-url",
            statement_id="url",
            action="lambda:InvokeFunctionUrl",
            function=args.live.function_name,
            qualifier=args.live.name,
            principal="*",
            function_url_auth_type="NONE",
            opts=pulumi.ResourceOptions(parent=self),
        )
        invoke = aws.lambda_.Permission(
            f"{name}-url-invoke",
            statement_id="url-invoke",
            action="lambda:InvokeFunction",
            function=args.live.function_name,
            qualifier=args.live.name,
            principal="*",
            invoked_via_function_url=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        url = aws.lambda_.FunctionUrl(
            f"{name}-url",
            function_name=args.live.function_name,
            qualifier=args.live.name,
            authorization_type="NONE",
            # A URL that is there before its permissions answers 403, for seconds after they have come too.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[ask, invoke]),
        )
        self.url = url.function_url
        self.register_outputs({"url": self.url})
