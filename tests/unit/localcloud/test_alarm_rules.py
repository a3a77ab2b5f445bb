"""The alarm rules, with CloudWatch's own tables of examples as cases."""

import json
from datetime import UTC, datetime

import pytest

from localcloud.alarms import messages
from localcloud.alarms.alarm import MetricAlarm, UnsupportedAlarmError, evaluate
from localcloud.alarms.rules import AlarmRule, Missing, StateValue, decide

KEEP = StateValue.OK  # the state before, where the answer is "retain the current state"
OK, ALARM, NO_DATA = StateValue.OK, StateValue.ALARM, StateValue.INSUFFICIENT_DATA
TABLE = [
    # points, M, missing, ignore, breaching, notBreaching
    ("0-X-X", 3, OK, OK, OK, OK),
    ("0----", 3, OK, OK, OK, OK),
    ("-----", 3, NO_DATA, KEEP, ALARM, OK),
    ("0XX-X", 3, ALARM, ALARM, ALARM, ALARM),
    ("--X--", 3, ALARM, KEEP, ALARM, OK),
    ("----X", 3, KEEP, KEEP, ALARM, OK),
    ("---X-", 3, KEEP, KEEP, ALARM, OK),
    ("0-X-X", 2, ALARM, ALARM, ALARM, ALARM),
    ("00X0X", 2, ALARM, ALARM, ALARM, ALARM),
    ("0-X--", 2, OK, OK, ALARM, OK),
    ("----0", 2, OK, OK, ALARM, OK),
    ("---X-", 2, ALARM, KEEP, ALARM, OK),
]


def rule(**changed) -> AlarmRule:
    settings = {
        "comparison": "GreaterThanOrEqualToThreshold",
        "threshold": 1.0,
        "statistic": "Sum",
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
        "missing": Missing.NOT_BREACHING,
    }
    return AlarmRule(**settings | changed)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1]} of 3")
def test_missing_data_are_treated_as_in_the_documented_tables(row):
    points, wanted, *expected = row
    values = [{"0": 0.0, "X": 5.0, "-": None}[point] for point in points]
    decided = [
        decide(rule(evaluation_periods=3, datapoints_to_alarm=wanted, missing=missing), values, StateValue.OK)
        for missing in (Missing.MISSING, Missing.IGNORE, Missing.BREACHING, Missing.NOT_BREACHING)
    ]
    assert decided == expected


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [2]),
        ("GreaterThanOrEqualToThreshold", [1, 2]),
        ("LessThanThreshold", [0]),
        ("LessThanOrEqualToThreshold", [0, 1]),
    ],
)
def test_each_comparison_breaches_on_its_side_of_the_threshold(comparison, breaching):
    assert [value for value in (0, 1, 2) if rule(comparison=comparison).breaches(value)] == breaching


def test_an_open_period_counts_only_when_no_more_data_can_take_the_breach_back():
    assert rule(statistic="Sum").breaches_for_good(1)
    assert not rule(statistic="Average").breaches_for_good(1)
    assert not rule(statistic="Sum", comparison="LessThanThreshold").breaches_for_good(0)
    assert rule(statistic="Minimum", comparison="LessThanThreshold").breaches_for_good(0)


def described(**changed):
    since = datetime.fromtimestamp(0, UTC)
    return {
        "AlarmName": "f-errors",
        "AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:f-errors",
        "AlarmConfigurationUpdatedTimestamp": since,
        "StateValue": "OK",
        "StateUpdatedTimestamp": since,
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "Resource", "Value": "f:live"}, {"Name": "FunctionName", "Value": "f"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": True,
        "AlarmActions": ["arn:aws:sns:us-east-1:123456789012:on-call"],
    } | changed


def alarm(scale=20, **changed) -> MetricAlarm:
    return MetricAlarm.of(described(**changed), scale)


def test_periods_are_divided_by_the_clock_and_dimensions_are_sorted():
    query = alarm().query("m0")["MetricStat"]
    assert query["Period"] == 3
    assert [one["Name"] for one in query["Metric"]["Dimensions"]] == ["FunctionName", "Resource"]
    assert alarm(scale=1000).period == 1


def test_math_is_refused_instead_of_guessed():
    math = described(Metrics=[{"Id": "m", "Expression": "a/b"}])
    del math["MetricName"]
    with pytest.raises(UnsupportedAlarmError, match="one metric"):
        MetricAlarm.of(math, 1)


def test_a_breach_in_the_open_period_rings_at_once():
    assert evaluate(alarm(), {99: 0.0, 102: 1.0}, {99: 0.0}, now=102.5).state is StateValue.ALARM
    assert evaluate(alarm(), {99: 0.0, 102: 0.0}, {99: 0.0}, now=102.5).state is StateValue.OK


def test_a_breach_that_arrives_late_rings_although_newer_periods_are_fine():
    before = {96: 0.0, 99: 0.0}
    late = {96: 1.0, 99: 0.0}
    assert evaluate(alarm(), late, before, now=102.5).state is StateValue.ALARM
    assert evaluate(alarm(), late, late, now=102.5).state is StateValue.OK
    assert evaluate(alarm(), late, None, now=102.5).state is StateValue.OK


def test_an_alarm_rings_for_one_period_at_least():
    ringing = alarm(StateValue="ALARM", StateUpdatedTimestamp=datetime.fromtimestamp(101, UTC))
    assert evaluate(ringing, {99: 0.0}, {99: 0.0}, now=102.5).state is StateValue.ALARM
    assert evaluate(ringing, {102: 0.0}, {102: 0.0}, now=105.5).state is StateValue.OK


def test_two_of_three_needs_two_breaching_periods():
    two_of_three = alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    assert evaluate(two_of_three, {93: 0.0, 96: 1.0, 99: 0.0}, {}, now=102.5).state is StateValue.OK
    assert evaluate(two_of_three, {93: 1.0, 96: 0.0, 99: 1.0}, {}, now=102.5).state is StateValue.ALARM


def test_the_reason_and_the_notification_say_what_happened():
    ringing = alarm()
    verdict = evaluate(ringing, {99: 3.0}, None, now=102.5)
    why = messages.reason(ringing, verdict)
    assert why == (
        "Threshold Crossed: 1 out of the last 1 datapoints [3.0 (01/01/70 00:01:39)] was greater than or equal to "
        "the threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    now = datetime.fromtimestamp(102.5, UTC)
    subject, body = messages.notification(ringing, StateValue.ALARM, StateValue.OK, why, now)
    told = json.loads(body)
    assert subject == 'ALARM: "f-errors" in US East (N. Virginia)'
    assert (told["NewStateValue"], told["OldStateValue"], told["NewStateReason"]) == ("ALARM", "OK", why)
    assert told["AWSAccountId"] == "123456789012"
    assert told["Trigger"]["Dimensions"][0] == {"value": "f:live", "name": "Resource"}
    assert told["StateChangeTime"] == "1970-01-01T00:01:42.500+0000"


def test_silence_has_a_reason_too():
    silent = alarm(TreatMissingData="breaching")
    assert (
        "no datapoints were received for 1 period and 1 missing datapoint was treated as [Breaching]"
        in messages.reason(silent, evaluate(silent, {}, None, now=102.5))
    )
    unknown = alarm(TreatMissingData="missing")
    assert messages.reason(unknown, evaluate(unknown, {}, None, now=102.5)).startswith("Insufficient Data: 1 ")


def test_an_alarm_whose_actions_are_off_notifies_nobody():
    assert messages.actions(alarm(), StateValue.ALARM) == ["arn:aws:sns:us-east-1:123456789012:on-call"]
    assert messages.actions(alarm(), StateValue.OK) == []
    assert messages.actions(alarm(ActionsEnabled=False), StateValue.ALARM) == []
