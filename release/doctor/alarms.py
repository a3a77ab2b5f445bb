"""Whether somebody hears when something is wrong: alarms, the on-call topic, and who listens to it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from components.naming import service_stack
from components.policies import messaging
from components.policies.comparison import difference
from components.service.alarms import Judges
from components.service.alarms import alarms as alarm_table
from components.settings import Settings
from release.clients.aws import code_of, unless_missing
from release.doctor.check import Check, Judgement, Verdict, conclude
from release.doctor.place import DENIED, Place, explain
from release.pulumi import stack_config

_AT_ONCE: Final = 100
"""Names that CloudWatch takes in one question."""
_PENDING: Final = "PendingConfirmation"
_AWS_KEY: Final = "alias/aws/sns"
_NO_TOPIC: Final = "NotFound"


@dataclass(frozen=True, slots=True)
class Alarms:
    """Alarms as CloudWatch has them, by name.

    Args:
        there: The answers.
        service: Settings of the service stack, from which the table follows.
        released: Whether the environment serves a release: before, functions have no `live` to watch.
    """

    there: Mapping[str, Mapping[str, Any]]
    service: Settings
    released: bool


def _alarms(place: Place) -> Alarms:
    service = stack_config.load(service_stack(place.settings.environment), place.context.repo, os.environ)
    wanted = [alarm.name for alarm in alarm_table(service)]
    answer = place.aws("cloudwatch").describe_alarms(AlarmNames=wanted, MaxRecords=_AT_ONCE)
    return Alarms(
        there={alarm["AlarmName"]: alarm for alarm in answer["MetricAlarms"]},
        service=service,
        released=place.context.ledger.view().served is not None,
    )


def judge_table(settings: Settings, alarms: Alarms) -> Judgement:
    """Every alarm of the table exists, is what the table says, and is heard."""
    topic = settings.arns.of("topic", settings.arns.names.on_call_topic)
    problems, warnings = [], []
    table = alarm_table(alarms.service)
    for alarm in table:
        there = alarms.there.get(alarm.name)
        if there is None:
            waits = alarm.function is not None and not alarms.released
            (warnings if waits else problems).append(
                f"{alarm.name} does not exist{' before a release' if waits else ''}"
            )
            continue
        if not there.get("ActionsEnabled"):
            problems.append(f"{alarm.name} is muted")
        if topic not in there.get("AlarmActions", ()):
            problems.append(f"{alarm.name} does not tell the on-call topic")
        wanted = {
            "MetricName": alarm.metric,
            "Threshold": float(alarm.threshold),
            "ComparisonOperator": alarm.comparison,
            "Period": alarm.period,
            "EvaluationPeriods": alarm.evaluation_periods,
            "TreatMissingData": alarm.missing_data,
        }
        problems += [
            f"{alarm.name}: {key} is {there.get(key)}, not {value}"
            for key, value in wanted.items()
            if there.get(key) != value
        ]
    return conclude(f"{len(table)} alarms as the table says, all heard", problems=problems, warnings=warnings)


def judge_quiet(_: Settings, alarms: Alarms) -> Judgement:
    """None rings: one that judges releases refuses the next release, any other waits for somebody."""
    judging = {alarm.name for alarm in alarm_table(alarms.service) if alarm.judges is Judges.RELEASE}
    ringing = {
        name: f"{name} rings since {alarm.get('StateUpdatedTimestamp', 'nobody knows when')}"
        for name, alarm in alarms.there.items()
        if alarm.get("StateValue") == "ALARM"
    }
    return conclude(
        f"none of {len(alarms.there)} rings",
        problems=[told for name, told in ringing.items() if name in judging],
        warnings=[told for name, told in ringing.items() if name not in judging],
    )


@dataclass(frozen=True, slots=True)
class Topic:
    """The on-call topic."""

    key: str
    policy: Mapping[str, Any]


def _topic_arn(place: Place) -> str:
    return place.arns.of("topic", place.names.on_call_topic)


def _topic(place: Place) -> Topic | None:
    arn = _topic_arn(place)
    found = unless_missing(lambda: place.aws("sns").get_topic_attributes(TopicArn=arn), _NO_TOPIC)
    if found is None:
        return None
    attributes = found["Attributes"]
    return Topic(attributes.get("KmsMasterKeyId", ""), json.loads(attributes["Policy"]))


def judge_topic(settings: Settings, topic: Topic | None) -> Judgement:
    """CloudWatch and Budgets may publish to it, and can."""
    if topic is None:
        return conclude("", problems=["the on-call topic does not exist"])
    problems = []
    if topic.key.endswith(_AWS_KEY):
        problems.append(f"it is encrypted with {_AWS_KEY}, to which CloudWatch cannot publish")
    differs = difference(messaging.on_call_topic(settings.arns), topic.policy)
    return conclude("its policy is the computed one", problems=[*problems, differs] if differs else problems)


Subscriptions = Sequence[Mapping[str, str]]


def _subscriptions(place: Place) -> Subscriptions | None:
    def listed() -> Subscriptions:
        pages = place.aws("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=_topic_arn(place))
        return [one for page in pages for one in page["Subscriptions"]]

    return unless_missing(listed, _NO_TOPIC)


def judge_subscriptions(_: Settings, subscriptions: Subscriptions | None) -> Judgement:
    """At least one is confirmed; who has not confirmed is named."""
    if subscriptions is None:
        return conclude("", problems=["the on-call topic does not exist"])
    pending = [one["Endpoint"] for one in subscriptions if one["SubscriptionArn"] == _PENDING]
    confirmed = len(subscriptions) - len(pending)
    return conclude(
        f"{confirmed} confirmed",
        problems=[] if confirmed else ["nobody is told: the topic has no confirmed subscription"],
        warnings=[f"{who} has not confirmed yet" for who in pending],
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A message to the person on call: its id, or why SNS did not take it. Both are empty where none was sent."""

    message: str = ""
    refused: str = ""


def _page(place: Place) -> Page:
    if not place.test_page:
        return Page()
    try:
        answer = place.aws("sns").publish(
            TopicArn=_topic_arn(place),
            Subject=f"{place.context.stack}: a test of the on-call topic",
            Message="Sent by `release doctor --test-page`. Nothing is wrong: tell whoever sent it that it has arrived.",
        )
    except ClientError as error:
        if code_of(error) in DENIED:
            raise
        return Page(refused=explain(error))
    return Page(message=answer["MessageId"])


def judge_page(_: Settings, page: Page) -> Judgement:
    """Not trying is a choice and is told as such."""
    if page.refused:
        return conclude("", problems=[page.refused])
    if not page.message:
        return Judgement(Verdict.WARNING, "not tried: it really sends a message")
    return conclude(f"SNS took message {page.message}: ask whoever is on call whether it has arrived")


CHECKS: Final = (
    Check(
        name="alarms.table",
        asks="CloudWatch for every alarm of components/service/alarms.py",
        good="each exists as the table says, its actions are on, and it tells the on-call topic "
        "(before the first release most cannot exist: a warning)",
        mend="pulumi up --refresh --stack {stack}",
        look=_alarms,
        judge=judge_table,
    ),
    Check(
        name="alarms.quiet",
        asks="CloudWatch for the state of these alarms",
        good="none rings (one that does not judge releases is a warning)",
        mend="release status --stack {stack}; docs/how-to/runbook.md",
        look=_alarms,
        judge=judge_quiet,
    ),
    Check(
        name="alarms.topic",
        asks="SNS for key and policy of the on-call topic",
        good="no AWS-managed key, and the policy is the computed one: CloudWatch may publish",
        mend="pulumi up --refresh --stack {stack}",
        look=_topic,
        judge=judge_topic,
    ),
    Check(
        name="alarms.subscriptions",
        asks="SNS for the subscriptions of the on-call topic",
        good="at least one is confirmed (one that waits for its owner is a warning)",
        mend="set onCallEmails in Pulumi.{stack}.yaml, pulumi up --refresh --stack {stack}, follow the mail's link",
        look=_subscriptions,
        judge=judge_subscriptions,
    ),
    Check(
        name="alarms.page",
        asks="SNS to send a message to the person on call, with --test-page",
        good="SNS takes it (without --test-page it is not tried: a warning)",
        mend="release doctor --stack {stack} --only alarms --test-page",
        look=_page,
        judge=judge_page,
    ),
)
