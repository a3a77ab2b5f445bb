"""The alarm table: what each row watches exists, can be reached, and means what it says."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import pytest

from components.naming import names
from components.policies import messaging
from components.service import alarms as table
from components.service.alarms import Judges, MissingData, alarms
from components.service.functions import FUNCTIONS, KEYS, Trigger
from components.service.overview import console_url, overview
from localcloud.alarms.rules import EXTRA_PERIODS, AlarmRule, Missing, StateValue, decide
from localcloud.aws.dashboards import problems
from localcloud.lambdas.embedded import metrics_of
from localcloud.lambdas.telemetry import Point
from release.pulumi.stack_config import OVERLAY, load
from release.settings import METRIC_PERIOD_S
from release.settings import ReleaseSettings as Judging
from tests.stacks import STACK_FILES
from tests.unit.program.evaluate import decision
from tests.unit.program.harness import ACCOUNT, ROOT, SERVICE_STACKS, deployed, hand_over, run

MOST_ALARMS = 10
"""Alarms of one stack: as many as a person takes seriously. What their metrics cost, docs/reference/cost.md tells."""
DAY, WEEK = 24 * 3600, 7 * 24 * 3600
RHYTHMS = {
    "rate(1 minute)": 60,
    "rate(15 minutes)": 900,
    "rate(1 hour)": 3600,
    "rate(6 hours)": 6 * 3600,
    "rate(7 hours)": 7 * 3600,
    "cron(0 6 * * ? *)": DAY,
    "rate(25 hours)": 25 * 3600,
    "cron(0 6 ? * MON-FRI *)": 3 * DAY,
    "rate(84 hours)": WEEK // 2,
}
"""Schedules with the time between two runs, in seconds."""


def settings(stack="prod", **changed):
    overlaid = {f"sentiment-pipeline:{key}": value for key, value in changed.items()}
    return load(stack, STACK_FILES, {OVERLAY: json.dumps(overlaid)})


def rows(**changed):
    return {row.key: row for row in alarms(settings(**changed))}


ROWS = [pytest.param(row, id=row.key) for row in alarms(settings())]


def rule(row) -> AlarmRule:
    return AlarmRule(
        comparison=row.comparison,
        threshold=row.threshold,
        statistic=row.statistic,
        evaluation_periods=row.evaluation_periods,
        datapoints_to_alarm=row.datapoints,
        missing=Missing(row.missing_data),
    )


def states(row, values, seconds, extra=EXTRA_PERIODS) -> list[StateValue]:
    """The state at the end of each period, when data points (second, value) come as they do; sums only.

    How many `extra` periods CloudWatch looks at beyond those that it evaluates is its own secret.
    """
    by_period, state, found = {}, StateValue.OK, []
    for second, value in values:
        by_period[second // row.period] = by_period.get(second // row.period, 0) + value
    for newest in range(row.evaluation_periods + EXTRA_PERIODS, seconds // row.period):
        window = [by_period.get(newest - back) for back in reversed(range(row.evaluation_periods + extra))]
        state = decide(rule(row), window, state)
        found.append(state)
    return found


# What there is


def test_there_are_ten_alarms_at_most_and_a_heartbeat_among_them():
    found = rows()
    assert len(found) <= MOST_ALARMS
    assert sorted(key for key in found if key.endswith("-heartbeat")) == ["ingestion-heartbeat"]
    assert len({row.name for row in found.values()}) == len(found)


def test_each_function_has_an_alarm_on_failed_calls_a_fourth_one_too(monkeypatch):
    fourth = replace(FUNCTIONS[0], key="digest", trigger=Trigger.TOPIC)
    monkeypatch.setattr(table, "FUNCTIONS", (*FUNCTIONS, fourth))
    found = rows()
    assert {key for key in found if key.endswith("-errors")} == {f"{key}-errors" for key in (*KEYS, "digest")}
    assert found["digest-errors"].dimensions["FunctionName"] == "prod-sentiment-digest"


@pytest.mark.parametrize("row", ROWS)
def test_each_row_gives_its_reasons_in_a_length_that_cloudwatch_takes(row):
    assert len(row.missing_data_reason) > 20
    assert len(row.judges_reason) > 20
    assert len(row.description) + len(row.missing_data_reason) < 900
    assert row.name.startswith("prod-sentiment-")


@pytest.mark.slow
@pytest.mark.parametrize("module", ["alarms", "functions", "overview"])
def test_the_tables_and_the_dashboard_can_be_read_without_pulumi(module):
    code = f"import sys, components.service.{module}; sys.exit('pulumi' in sys.modules or 'pulumi_aws' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


@pytest.mark.parametrize("stack", SERVICE_STACKS)
def test_the_program_makes_each_row_as_it_stands(stack):
    made = {name: one.inputs for name, one in deployed(stack).of("cloudwatch/metricAlarm:MetricAlarm").items()}
    found = {row.key: row for row in alarms(settings(stack))}
    assert set(made) == set(found)
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:{stack}-sentiment-on-call"
    for key, row in found.items():
        inputs = made[key]
        assert inputs["name"] == row.name
        watched_as_the_row_says(row, inputs)
        assert (inputs["evaluationPeriods"], inputs["datapointsToAlarm"]) == (row.evaluation_periods, row.datapoints)
        assert inputs["threshold"] == row.threshold
        assert (inputs["comparisonOperator"], inputs["treatMissingData"]) == (row.comparison, row.missing_data)
        assert row.missing_data_reason in inputs["alarmDescription"]
        assert inputs["alarmActions"] == inputs["okActions"] == [topic]


def watched_as_the_row_says(row, inputs):
    if not row.expression:
        assert (inputs["namespace"], inputs["metricName"]) == (row.namespace, row.metric)
        assert (inputs["dimensions"], inputs["period"]) == (row.dimensions, row.period)
        assert inputs.get("statistic", inputs.get("extendedStatistic")) == row.statistic
        assert ("extendedStatistic" in inputs) == (row.statistic == "p90")
        return
    # CloudWatch refuses a list of metrics beside a metric.
    assert not {"namespace", "metricName", "dimensions", "statistic", "extendedStatistic", "period"} & set(inputs)
    (math, *queries) = inputs["metricQueries"]
    assert (math["expression"], math["returnData"]) == (row.expression, True)
    asked = {query["id"]: query["metric"] for query in queries if query["returnData"] is False}
    assert {name: metric["metricName"] for name, metric in asked.items()} == row.inputs
    for metric in asked.values():
        assert (metric["namespace"], metric["dimensions"]) == (row.namespace, row.dimensions)
        assert (metric["period"], metric["stat"]) == (row.period, row.statistic)


# Each looks at data that somebody emits


def emitted(row) -> bool:
    """Whether somebody emits the very metric, by this code or as AWS does for that resource."""
    match row.namespace:
        case "AWS/Lambda":
            values = {"Invocations": 1, "Errors": 0, "Throttles": 0, "Duration": 5}
            live = names("prod").function(row.function).alias_resource()
            point = Point(row.dimensions["FunctionName"], live, "7", 0.0, values)
            asked = {row.metric, *row.inputs.values()}
            return asked <= set(values) and row.dimensions in [dict(one) for one in point.dimension_sets()]
        case "AWS/SQS":
            queues = {one.inputs["name"] for one in deployed("prod").of("sqs/queue:Queue").values()}
            return set(row.dimensions) == {"QueueName"} and row.dimensions["QueueName"] in queues
        case namespace:
            return (namespace, row.metric, row.dimensions) in embedded_by_ingestion(row.dimensions["FunctionName"])


def embedded_by_ingestion(function):
    """Namespace, metric and dimensions of what the code of ingestion writes into its log."""
    code = f"from metrics import count_news_failures; count_news_failures({function!r}, 1)"
    folder = ROOT / "lambdas" / "ingestion"
    line = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True).stdout
    return [
        (namespace, point["MetricName"], {one["Name"]: one["Value"] for one in point["Dimensions"]})
        for namespace, point in metrics_of(line)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_what_a_row_looks_at_is_emitted_with_exactly_its_dimensions(row):
    assert emitted(row)


def test_the_role_of_a_function_may_write_the_log_that_holds_a_metric_of_our_own():
    (own,) = [row for row in rows().values() if not row.namespace.startswith("AWS/")]
    role = json.loads(deployed("prod").one("iam/rolePolicy:RolePolicy", own.function)["policy"])
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{names('prod').function(own.function).log_group}"
    assert decision(role, "logs:PutLogEvents", f"{group}:log-stream:x") == "allowed"


# Each can ring, and rings for nothing else


@pytest.mark.parametrize("expression", RHYTHMS)
def test_cloudwatch_takes_the_periods_of_each_row_whatever_the_schedule(expression):
    for row in rows(scheduleExpression=expression).values():
        looks_back = row.period * row.evaluation_periods
        assert row.period % 60 == 0
        assert 60 <= row.period <= DAY
        assert looks_back <= (WEEK if row.period >= 3600 else DAY), row.key
        assert 1 <= row.datapoints <= row.evaluation_periods


@pytest.mark.parametrize(("expression", "gap"), RHYTHMS.items())
def test_the_heartbeat_rings_when_runs_stop_and_not_for_one_that_is_late_or_lost(expression, gap):
    row = rows(scheduleExpression=expression)["ingestion-heartbeat"]
    sound = [(number * gap + (number % 3) * 20, 1) for number in range(60)]
    seconds = 60 * gap
    for extra in range(EXTRA_PERIODS + 2):
        assert set(states(row, sound, seconds, extra)) == {StateValue.OK}
        assert set(states(row, [run for run in sound if run != sound[30]], seconds, extra)) == {StateValue.OK}
    stopped = states(row, sound[:30], seconds)
    assert stopped[0] is StateValue.OK
    assert stopped[-1] is StateValue.ALARM
    rings = (stopped.index(StateValue.ALARM) + row.evaluation_periods + EXTRA_PERIODS) * row.period
    assert rings <= 29 * gap + (row.evaluation_periods + EXTRA_PERIODS + 1) * row.period


@pytest.mark.parametrize(("expression", "gap"), RHYTHMS.items())
def test_failing_news_ring_when_run_after_run_fails_and_not_for_one(expression, gap):
    row = rows(scheduleExpression=expression)["ingestion-news-failing"]
    gap = max(gap, row.period // 2)  # runs of one period count as one failure

    def history(failing):
        return [(number * gap, int(number in failing)) for number in range(60)]

    assert set(states(row, history(()), 60 * gap)) == {StateValue.OK}
    assert set(states(row, history({30}), 60 * gap)) == {StateValue.OK}
    assert StateValue.ALARM in states(row, history(range(30, 38)), 60 * gap)
    assert states(row, history(range(30, 38)), 60 * gap)[-1] is StateValue.OK


@pytest.mark.parametrize("timeout", [20, 30, 900])
def test_a_call_can_be_slow_before_it_reaches_the_time_limit(timeout):
    slow = rows(functionTimeoutSeconds=timeout)["dashboard-slow"]
    assert slow.threshold <= min(timeout * 1000 / 2, Judging().answer_limit_s * 1000)


@pytest.mark.parametrize(
    ("key", "values", "state"),
    [
        ("dashboard-slow", [9000, 9000, 9000, None, None, None, None], StateValue.ALARM),
        ("dashboard-slow", [None, 9000, 10, 9000, 10, 10, 9000], StateValue.OK),
        ("dashboard-slow", [None, None, 10, 9000, 10, 9000, 9000], StateValue.ALARM),
        ("dashboard-slow", [None] * 7, StateValue.OK),
        ("dashboard-throttled", [None, None, 0, 5, 0], StateValue.OK),
        ("dashboard-throttled", [0, 0, 5, 0, 5], StateValue.ALARM),
        ("dead-letters-waiting", [None, None, 1], StateValue.ALARM),
        ("dead-letters-waiting", [1, 1, 0], StateValue.OK),
        ("dead-letters-waiting", [None, None, None], StateValue.OK),
        ("dashboard-errors", [None, None, 1], StateValue.ALARM),
        ("dashboard-errors", [0, 0, 0], StateValue.OK),
    ],
)
def test_m_of_n_and_missing_data_are_as_the_row_means_them(key, values, state):
    assert decide(rule(rows()[key]), values, StateValue.OK) is state


# Which of them judge releases


def test_only_failed_calls_of_live_judge_releases():
    judging = [row for row in rows().values() if row.judges is Judges.RELEASE]
    assert {row.key for row in judging} == {f"{spec.key}-errors" for spec in FUNCTIONS}
    for row in judging:
        assert row.dimensions == {
            "FunctionName": names("prod").function(row.function).function,
            "Resource": names("prod").function(row.function).alias_resource(),
        }


def test_what_judges_releases_is_evaluated_within_one_period_of_the_metrics_that_a_watch_waits_for():
    for spec in FUNCTIONS:
        row = rows()[f"{spec.key}-errors"]
        assert row.period * row.evaluation_periods == METRIC_PERIOD_S
        # An alarm that has no state without data would leave a quiet function unjudged.
        assert decide(rule(row), [None] * 3, StateValue.INSUFFICIENT_DATA) is StateValue.OK


def test_one_failed_run_of_a_schedule_rings_whatever_is_set_for_the_others():
    found = rows(errorAlarmPercent=50, errorAlarmLeastErrors=70)
    assert {key: row.threshold for key, row in found.items() if key.endswith("-errors")} == {
        f"{spec.key}-errors": 1 if spec.trigger is Trigger.SCHEDULE else 50 for spec in FUNCTIONS
    }
    for spec in FUNCTIONS:
        row = found[f"{spec.key}-errors"]
        assert bool(row.expression) == (spec.trigger is not Trigger.SCHEDULE)
        assert ("errors >= 70 " in row.expression) == bool(row.expression)


@pytest.mark.parametrize("stack", SERVICE_STACKS)
def test_the_releaser_gets_the_names_of_what_judges_releases_and_no_other(stack):
    exports = deployed(stack).exports
    found = alarms(settings(stack))
    assert sorted(exports["alarms"]) == sorted(row.name for row in found if row.judges is Judges.RELEASE)
    assert sorted(exports["service_alarms"]) == sorted(row.name for row in found if row.judges is not Judges.RELEASE)


def test_before_the_first_release_nothing_rings_because_nothing_runs():
    dark = run("prod", release=hand_over("prod", 0, stable={}))
    assert dark.exports["alarms"] == []
    assert dark.exports["service_alarms"] == ["prod-sentiment-dead-letters-waiting"]
    assert rows()["dead-letters-waiting"].missing_data is MissingData.NOT_BREACHING


def test_no_release_and_no_rollback_changes_an_alarm_or_the_dashboard():
    def watched(deployment):
        kinds = ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/dashboard:Dashboard")
        return {one.urn: one.inputs for one in deployment.custom if one.typ in kinds}

    first = watched(deployed("prod"))
    second = watched(run("prod", release=hand_over("prod", 10, sha="f" * 40, manifest="e" * 64), new_version="9"))
    assert len(first) == len(rows()) + 1
    assert first == second


def test_alarms_of_older_stacks_keep_their_place():
    found = deployed("prod").of("cloudwatch/metricAlarm:MetricAlarm")
    for key in KEYS:
        alarm = found[f"{key}-errors"]
        assert alarm.urn.endswith(
            f"sentiment:service:FunctionAlarms$aws:cloudwatch/metricAlarm:MetricAlarm::{key}-errors"
        )
        assert alarm.inputs["name"] == f"prod-sentiment-{key}-errors"
        assert alarm.inputs["alarmDescription"].endswith(
            " of live failed. No data: notBreaching "
            "(Lambda emits Errors only when there are calls: no calls, no failed calls)."
            if key == "ingestion"
            else " of live failed, in percent. No data: notBreaching "
            "(Lambda emits Errors only when there are calls: no calls, no failed calls)."
        )


# Who is told


@pytest.mark.parametrize("service", ["cloudwatch", "budgets"])
def test_alarms_and_budgets_of_the_account_can_publish_to_on_call_and_those_of_others_cannot(service):
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:prod-sentiment-on-call"
    document = messaging.on_call_topic(settings().arns)
    to_it = [one for one in document["Statement"] if one["Principal"] == {"Service": f"{service}.amazonaws.com"}]
    denials = [one for one in document["Statement"] if one["Effect"] == "Deny"]
    policy = {"Statement": [*to_it, *denials]}
    tls = {"aws:SecureTransport": "true"}
    own, other = ({"aws:SourceAccount": account} | tls for account in (ACCOUNT, "210987654321"))
    assert decision(policy, "sns:Publish", topic, context=own) == "allowed"
    assert decision(policy, "sns:Publish", topic, context=other) == "not allowed"
    assert decision(policy, "sns:Subscribe", topic, context=own) == "not allowed"
    assert "kmsMasterKeyId" not in deployed("prod").one("sns/topic:Topic", "on-call")


def test_each_address_of_on_call_gets_a_subscription():
    addresses = ["a@example.com", "b@example.com"]
    found = run("prod", onCallEmails=addresses).of("sns/topicSubscription:TopicSubscription")
    assert {name: (one.inputs["protocol"], one.inputs["endpoint"]) for name, one in found.items()} == {
        f"on-call-{address}": ("email", address) for address in addresses
    }
    assert {one.inputs["topic"] for one in found.values()} == {
        f"arn:aws:sns:us-east-1:{ACCOUNT}:prod-sentiment-on-call"
    }


# The dashboard


@pytest.mark.parametrize("stack", SERVICE_STACKS)
def test_the_dashboard_is_one_that_cloudwatch_takes_and_that_costs_nothing(stack):
    dashboard = deployed(stack).one("cloudwatch/dashboard:Dashboard", "overview")
    assert dashboard["dashboardName"] == f"{stack}-sentiment-overview"
    body = json.loads(dashboard["dashboardBody"])
    assert body == overview(settings(stack))
    assert list(problems(body)) == []
    metrics = [metric for widget in body["widgets"] for metric in widget["properties"].get("metrics", [])]
    # An account has three dashboards of 50 metrics each for nothing.
    assert 0 < len(metrics) <= 50
    assert console_url(settings(stack)) == deployed(stack).exports["overview_url"]
    assert deployed(stack).exports["overview_url"].endswith(f"#dashboards/dashboard/{stack}-sentiment-overview")


def test_the_dashboard_shows_the_state_of_every_alarm_and_the_metric_that_it_watches():
    widgets = overview(settings())["widgets"]
    (state,) = (one["properties"]["alarms"] for one in widgets if one["type"] == "alarm")
    shown = {
        (metric[0], metric[1], tuple(metric[2:-1]))
        for one in widgets
        for metric in one["properties"].get("metrics", [])
    }
    for row in rows().values():
        assert f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{row.name}" in state
        dimensions = tuple(text for pair in row.dimensions.items() for text in pair)
        for metric in {row.metric, *row.inputs.values()}:
            assert (row.namespace, metric, dimensions) in shown, row.key


def test_no_two_widgets_lie_on_one_another():
    for one, other in combinations(overview(settings())["widgets"], 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        below = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or below
