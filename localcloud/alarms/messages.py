"""What an alarm says: the reason of its state and the notification, in CloudWatch's shapes. Pure."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from localcloud.alarms.alarm import Evaluation, MetricAlarm
from localcloud.alarms.rules import StateValue

_COMPARED = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
_ACTIONS = {
    StateValue.ALARM: "AlarmActions",
    StateValue.OK: "OKActions",
    StateValue.INSUFFICIENT_DATA: "InsufficientDataActions",
}
_REGIONS = {"us-east-1": "US East (N. Virginia)"}


def reason(alarm: MetricAlarm, verdict: Evaluation) -> str:
    """Return in words why the alarm has its new state."""
    if verdict.state is StateValue.INSUFFICIENT_DATA:
        return f"Insufficient Data: {len(verdict.evaluated)} datapoints were unknown."
    rule = alarm.rule
    known = [(start, value) for start, value in verdict.evaluated if value is not None]
    breaching = [one for one in known if rule.breaches(one[1])]
    rings = verdict.state is StateValue.ALARM
    shown = breaching if rings else [one for one in known if one not in breaching]
    if not shown:
        missing = len(verdict.evaluated) - len(known)
        periods, points = ("period", "datapoint was") if missing == 1 else ("periods", "datapoints were")
        return (
            f"Threshold Crossed: no datapoints were received for {missing} {periods} and {missing} missing {points} "
            f"treated as [{'Breaching' if rings else 'NonBreaching'}]."
        )
    values = ", ".join(f"{value} ({_moment(start):%d/%m/%y %H:%M:%S})" for start, value in reversed(shown))
    verb = "was" if len(shown) == 1 else "were"
    compared = ("" if rings else "not ") + _COMPARED[rule.comparison]
    return (
        f"Threshold Crossed: {len(shown)} out of the last {len(verdict.evaluated)} datapoints [{values}] {verb} "
        f"{compared} the threshold ({rule.threshold}) (minimum {rule.datapoints_to_alarm} "
        f"datapoint{'' if rule.datapoints_to_alarm == 1 else 's'} for OK -> ALARM transition)."
    )


def actions(alarm: MetricAlarm, state: StateValue) -> list[str]:
    """Return the ARNs to notify of this state; none when the alarm's actions are off."""
    return list(alarm.described.get(_ACTIONS[state], [])) if alarm.described.get("ActionsEnabled", True) else []


def notification(alarm: MetricAlarm, new: StateValue, old: StateValue, why: str, now: datetime) -> tuple[str, str]:
    """Return subject and JSON body of the message to a topic."""
    described = alarm.described
    _, _, _, region, account, *_ = described["AlarmArn"].split(":")
    where = _REGIONS.get(region, region)
    updated: datetime = described["AlarmConfigurationUpdatedTimestamp"]
    trigger = {
        **_watched(alarm),
        "EvaluationPeriods": described["EvaluationPeriods"],
        "DatapointsToAlarm": alarm.rule.datapoints_to_alarm,
        "ComparisonOperator": described["ComparisonOperator"],
        "Threshold": alarm.rule.threshold,
        "TreatMissingData": alarm.rule.missing,
        "EvaluateLowSampleCountPercentile": described.get("EvaluateLowSampleCountPercentile", ""),
    }
    body = {
        "AlarmName": alarm.name,
        "AlarmDescription": described.get("AlarmDescription"),
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _stamp(updated.astimezone(UTC)),
        "NewStateValue": new,
        "NewStateReason": why,
        "StateChangeTime": _stamp(now),
        "Region": where,
        "AlarmArn": described["AlarmArn"],
        "OldStateValue": old,
        "OKActions": described.get("OKActions", []),
        "AlarmActions": described.get("AlarmActions", []),
        "InsufficientDataActions": described.get("InsufficientDataActions", []),
        "Trigger": trigger,
    }
    return f'{new}: "{alarm.name}" in {where}'[:100], json.dumps(body)


def _watched(alarm: MetricAlarm) -> dict[str, Any]:
    """Return what it looks at: one metric, or the expression with its metrics."""
    described = alarm.described
    if alarm.watched.formula:
        return {"Metrics": described["Metrics"]}
    return {
        "MetricName": described["MetricName"],
        "Namespace": described["Namespace"],
        "StatisticType": "Statistic" if described.get("Statistic") else "ExtendedStatistic",
        "Statistic": (described.get("Statistic") or described.get("ExtendedStatistic", "")).upper(),
        "Unit": described.get("Unit"),
        "Dimensions": [{"value": one["Value"], "name": one["Name"]} for one in described.get("Dimensions", [])],
        "Period": described["Period"],
    }


def event(alarm: MetricAlarm, new: StateValue, old: StateValue, why: str, now: datetime) -> dict[str, Any]:
    """Return the event that EventBridge gets of a change of state."""
    described = alarm.described
    _, _, _, region, account, *_ = described["AlarmArn"].split(":")
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": account,
        "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": [described["AlarmArn"]],
        "detail": {
            "alarmName": alarm.name,
            "state": {"value": str(new), "reason": why, "timestamp": _stamp(now)},
            "previousState": {"value": str(old), "timestamp": _stamp(alarm.state_since.astimezone(UTC))},
            "configuration": {"description": described.get("AlarmDescription", "")},
        },
    }


def _moment(start: int) -> datetime:
    return datetime.fromtimestamp(start, UTC)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
