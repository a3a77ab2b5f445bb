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
    (stat,) = alarm().stats().values()
    assert stat["Period"] == 3
    assert [one["Name"] for one in stat["Metric"]["Dimensions"]] == ["FunctionName", "Resource"]
    assert alarm(scale=1000).period == 1


def metric(name, counted="Errors", period=60, **more):
    of = {"Namespace": "AWS/Lambda", "MetricName": counted, "Dimensions": [{"Name": "FunctionName", "Value": "f"}]}
    return {"Id": name, "MetricStat": {"Metric": of, "Period": period, "Stat": "Sum"}, "ReturnData": False} | more


SHARE = {"Id": "share", "Expression": "100 * e / c", "ReturnData": True}
E, C = metric("e"), metric("c", "Invocations")


def math(*queries, **changed):
    plain = ("MetricName", "Namespace", "Dimensions", "Statistic", "Period")
    kept = {name: value for name, value in described().items() if name not in plain}
    return {**kept, "Metrics": list(queries)} | changed


def test_an_expression_is_calculated_from_metrics_that_are_asked_for_with_its_period():
    share = MetricAlarm.of(math(SHARE, E, C, Threshold=10.0), 20)
    assert {name: stat["Metric"]["MetricName"] for name, stat in share.stats().items()} == {
        "e": "Errors",
        "c": "Invocations",
    }
    assert {stat["Period"] for stat in share.stats().values()} == {share.period} == {3}
    assert share.values({"e": {96: 1.0, 99: 0.0}, "c": {96: 4.0, 99: 2.0}}) == {96: 25.0, 99: 0.0}
    assert evaluate(share, {96: 0.0, 99: 25.0}, {}, now=102.5).state is StateValue.ALARM


def test_an_expression_waits_for_the_end_of_a_period_because_more_data_may_take_the_breach_back():
    share = MetricAlarm.of(math(SHARE, E, C), 20)
    assert evaluate(share, {99: 0.0, 102: 50.0}, {99: 0.0}, now=102.5).state is StateValue.OK
    assert evaluate(share, {99: 0.0, 102: 50.0}, {99: 0.0}, now=105.5).state is StateValue.ALARM


def test_metrics_that_come_late_and_in_pieces_are_judged_by_what_is_there_and_one_early_error_rings_nothing():
    rate = SHARE | {"Expression": "IF(e >= 2, 100 * e / c, 0)"}
    share = MetricAlarm.of(math(rate, E, C, Threshold=10.0), 20)
    looks = [
        ({"e": {96: 1.0}, "c": {}}, StateValue.OK),  # an error, and nothing is known of the calls
        ({"e": {96: 3.0}, "c": {}}, StateValue.OK),  # errors alone have no rate
        ({"e": {96: 3.0}, "c": {96: 50.0}}, StateValue.OK),
        ({"e": {96: 7.0}, "c": {96: 60.0}}, StateValue.ALARM),  # a period that is over since two others
    ]
    before = None
    for metrics, state in looks:
        values = share.values(metrics)
        assert evaluate(share, values, before, now=105.5).state is state
        before = values


@pytest.mark.parametrize(
    ("queries", "changed", "why"),
    [
        ((SHARE, E, C), {"MetricName": "Errors"}, "MetricName must not be set beside a list"),
        ((SHARE, E, C), {"Period": 60, "Statistic": "Sum"}, "Period, Statistic must not be set beside a list"),
        ((E, C), {}, "one expression"),
        ((SHARE, E, E), {}, "different ids"),
        ((SHARE, SHARE | {"Id": "again"}, E, C), {}, "one expression"),
        ((SHARE | {"ReturnData": False}, E, C), {}, "not nothing"),
        ((SHARE, E, metric("c", ReturnData=True)), {}, "not share, c"),
        ((SHARE, E, {key: value for key, value in C.items() if key != "ReturnData"}), {}, "not share, c"),
        ((SHARE, E, metric("c", period=300)), {}, "one and the same period"),
        ((SHARE | {"Expression": "100 * E / c"}, metric("E"), C), {}, "lowercase letter, unlike E"),
        ((SHARE | {"Expression": "SUM(METRICS())"}, E, C), {}, "METRICS"),
        ((SHARE, E), {}, "'c' in '100 \\* e / c': no metric has this id"),
    ],
)
def test_math_that_is_not_evaluated_is_refused_by_name(queries, changed, why):
    with pytest.raises(ValueError, match=why):
        MetricAlarm.of(math(*queries, **changed), 1)


def test_an_alarm_that_learns_its_threshold_is_refused():
    with pytest.raises(UnsupportedAlarmError, match="fixed threshold"):
        alarm(ComparisonOperator="GreaterThanUpperThreshold")


def test_on_call_reads_the_share_and_how_it_is_calculated():
    share = MetricAlarm.of(math(SHARE, E, C, Threshold=10.0), 20)
    verdict = evaluate(share, {99: 25.0}, None, now=102.5)
    why = messages.reason(share, verdict)
    assert "datapoints [25.0 (01/01/70 00:01:39)] was greater than or equal to the threshold (10.0)" in why
    _, body = messages.notification(share, StateValue.ALARM, StateValue.OK, why, datetime.fromtimestamp(102.5, UTC))
    trigger = json.loads(body)["Trigger"]
    assert trigger["Metrics"] == [SHARE, E, C]
    assert "MetricName" not in trigger


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
