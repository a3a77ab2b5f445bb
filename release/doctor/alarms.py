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
from components.service.alarms import Judges
from components.service.alarms import alarms as alarm_table
from components.settings import Settings
from release.clients.aws import code_of, unless_missing
from release.doctor.check import Notes, Warned, check, differs
from release.doctor.place import DENIED, Place, explain
from release.pulumi import stack_config

_AT_ONCE: Final = 100
"""Names that CloudWatch takes in one question."""
_PENDING: Final = "PendingConfirmation"
_AWS_KEY: Final = "alias/aws/sns"


@dataclass(frozen=True, slots=True)
class AlarmsSeen:
    """Alarms as CloudWatch has them, by name.

    Args:
        there: The answers.
        service: Settings of the service stack, from which the table follows.
        released: Whether the environment serves a release: before, functions have no `live` to watch.
    """

    there: Mapping[str, Mapping[str, Any]]
    service: Settings
    released: bool


def _alarms(place: Place) -> AlarmsSeen:
    service = stack_config.load(service_stack(place.settings.environment), place.context.repo, os.environ)
    wanted = [alarm.name for alarm in alarm_table(service)]
    answer = place.aws("cloudwatch").describe_alarms(AlarmNames=wanted, MaxRecords=_AT_ONCE)
    return AlarmsSeen(
        there={alarm["AlarmName"]: alarm for alarm in answer["MetricAlarms"]},
        service=service,
        released=place.context.ledger.view().served is not None,
    )


@check(
    "alarms.table",
    asks="CloudWatch for every alarm of components/service/alarms.py",
    expected="each exists as the table says, its actions are on, and it tells the on-call topic "
    "(before the first release most cannot exist: a warning)",
    fix="pulumi up --refresh --stack {stack}",
    look=_alarms,
)
def _alarms_table(settings: Settings, alarms: AlarmsSeen) -> Notes:
    topic = settings.arns.of("topic", settings.arns.names.on_call_topic)
    table = alarm_table(alarms.service)
    for alarm in table:
        there = alarms.there.get(alarm.name)
        if there is None:
            waits = alarm.function is not None and not alarms.released
            yield Warned(f"{alarm.name} does not exist before a release") if waits else f"{alarm.name} does not exist"
            continue
        if not there.get("ActionsEnabled"):
            yield f"{alarm.name} is muted"
        if topic not in there.get("AlarmActions", ()):
            yield f"{alarm.name} does not tell the on-call topic"
        wanted: dict[str, Any] = {
            "Watched": alarm.expression or alarm.metric,
            "Period": alarm.period,
            "Threshold": float(alarm.threshold),
            "ComparisonOperator": alarm.comparison,
            "EvaluationPeriods": alarm.evaluation_periods,
            "TreatMissingData": alarm.missing_data,
        }
        found = {**there, **_watched(there)}
        for key, value in wanted.items():
            if found.get(key) != value:
                yield f"{alarm.name}: {key} is {found.get(key)}, not {value}"
    return f"{len(table)} alarms as the table says, all heard"


def _watched(there: Mapping[str, Any]) -> dict[str, Any]:
    """Return the expression of an alarm and the period of its metrics, or its metric and its own period."""
    queries = there.get("Metrics") or ()
    expression = next((query["Expression"] for query in queries if query.get("Expression")), None)
    periods = [query["MetricStat"]["Period"] for query in queries if query.get("MetricStat")]
    return {
        "Watched": expression or there.get("MetricName"),
        "Period": max(periods, default=None) or there.get("Period"),
    }


@check(
    "alarms.quiet",
    asks="CloudWatch for the state of these alarms",
    expected="none rings (one that does not judge releases is a warning)",
    fix="release status --stack {stack}; docs/how-to/runbook.md",
    look=_alarms,
)
def _alarms_quiet(_: Settings, alarms: AlarmsSeen) -> Notes:
    """An alarm that judges releases refuses the next release, any other waits for somebody."""
    judging = {alarm.name for alarm in alarm_table(alarms.service) if alarm.judges is Judges.RELEASE}
    for name, alarm in alarms.there.items():
        if alarm.get("StateValue") == "ALARM":
            told = f"{name} rings since {alarm.get('StateUpdatedTimestamp', 'nobody knows when')}"
            yield told if name in judging else Warned(told)
    return f"none of {len(alarms.there)} rings"


def _topic_arn(place: Place) -> str:
    return place.arns.of("topic", place.names.on_call_topic)


Topic = tuple[str, Mapping[str, Any], Sequence[Mapping[str, str]]]
"""Key, policy and subscriptions of the on-call topic."""


def _topic(place: Place) -> Topic | None:
    sns, arn = place.aws("sns"), _topic_arn(place)
    found = unless_missing(lambda: sns.get_topic_attributes(TopicArn=arn), "NotFound")
    if found is None:
        return None
    attributes = found["Attributes"]
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    subscriptions = [one for page in pages for one in page["Subscriptions"]]
    return attributes.get("KmsMasterKeyId", ""), json.loads(attributes["Policy"]), subscriptions


@check(
    "alarms.topic",
    asks="SNS for key, policy and subscriptions of the on-call topic",
    expected="no AWS-managed key; the policy is the computed one: CloudWatch may publish; at least one subscription is "
    "confirmed (one that waits for its owner is a warning)",
    fix="set onCallEmails in Pulumi.{stack}.yaml, pulumi up --refresh --stack {stack}, follow the mail's link",
    look=_topic,
    missing="the on-call topic does not exist",
)
def _alarms_topic(settings: Settings, topic: Topic) -> Notes:
    key, policy, subscriptions = topic
    if key.endswith(_AWS_KEY):
        yield f"it is encrypted with {_AWS_KEY}, to which CloudWatch cannot publish"
    yield from differs(messaging.on_call_topic(settings.arns), policy)
    pending = [one["Endpoint"] for one in subscriptions if one["SubscriptionArn"] == _PENDING]
    confirmed = len(subscriptions) - len(pending)
    if not confirmed:
        yield "nobody is told: the topic has no confirmed subscription"
    yield from (Warned(f"{who} has not confirmed yet") for who in pending)
    return f"its policy is the computed one, {confirmed} subscriptions are confirmed"


@dataclass(frozen=True, slots=True)
class TestPage:
    """A message to the person on call: its id, or why SNS did not take it. Both are empty where none was sent."""

    message: str = ""
    refused: str = ""


def _page(place: Place) -> TestPage:
    if not place.test_page:
        return TestPage()
    try:
        answer = place.aws("sns").publish(
            TopicArn=_topic_arn(place),
            Subject=f"{place.context.stack}: a test of the on-call topic",
            Message="Sent by `release doctor --test-page`. Nothing is wrong: tell whoever sent it that it has arrived.",
        )
    except ClientError as error:
        if code_of(error) in DENIED:
            raise
        return TestPage(refused=explain(error))
    return TestPage(message=answer["MessageId"])


@check(
    "alarms.page",
    asks="SNS to send a message to the person on call, with --test-page",
    expected="SNS takes it (without --test-page it is not tried: a warning)",
    fix="release doctor --stack {stack} --only alarms --test-page",
    look=_page,
)
def _alarms_page(_: Settings, page: TestPage) -> Notes:
    if page.refused:
        yield page.refused
    elif not page.message:
        yield Warned("not tried: it really sends a message")
    return f"SNS took message {page.message}: ask whoever is on call whether it has arrived"
