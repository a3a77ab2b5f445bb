"""Makes the alarms of the table, and the dashboard that shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.service.alarms import AlarmSpec
from components.service.overview import overview
from components.settings import Settings
from components.tags import tags


@dataclass(frozen=True, kw_only=True)
class FunctionAlarmsArgs:
    """The rows of one function, what they watch, and who is told."""

    environment: str
    key: str
    rows: Sequence[AlarmSpec]
    live: aws.lambda_.Alias
    on_call_topic_arn: pulumi.Input[str]


class FunctionAlarms(pulumi.ComponentResource):
    """The alarms of one function, which come and go with its alias `live`."""

    def __init__(self, name: str, args: FunctionAlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:FunctionAlarms", name, None, opts)
        for row in args.rows:
            _make(
                row,
                args.on_call_topic_arn,
                tags(args.environment, args.key),
                pulumi.ResourceOptions(parent=self, depends_on=[args.live]),
            )
        self.register_outputs({"names": [row.name for row in args.rows]})


@dataclass(frozen=True, kw_only=True)
class OverviewArgs:
    """Settings of the stack, the rows that belong to no function, and who is told."""

    settings: Settings
    rows: Sequence[AlarmSpec]
    on_call_topic_arn: pulumi.Input[str]


class Overview(pulumi.ComponentResource):
    """The dashboard, and the alarms that belong to no function: both are there before the first release."""

    def __init__(self, name: str, args: OverviewArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:Overview", name, None, opts)
        names = args.settings.arns.names
        for row in args.rows:
            _make(
                row,
                args.on_call_topic_arn,
                tags(names.environment, name),
                pulumi.ResourceOptions(parent=self),
            )
        aws.cloudwatch.Dashboard(
            name,
            dashboard_name=names.overview,
            dashboard_body=json.dumps(overview(args.settings), separators=(",", ":")),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"names": [row.name for row in args.rows]})


def _make(
    row: AlarmSpec, on_call_topic_arn: pulumi.Input[str], tagged: dict[str, str], opts: pulumi.ResourceOptions
) -> None:
    percentile = row.statistic.startswith("p")
    metric: dict[str, Any] = {
        "namespace": row.namespace,
        "metric_name": row.metric,
        "dimensions": row.dimensions,
        "statistic": None if percentile else row.statistic,
        "extended_statistic": row.statistic if percentile else None,
        "period": row.period,
    }
    aws.cloudwatch.MetricAlarm(
        row.key,
        name=row.name,
        alarm_description=f"{row.description}. No data: {row.missing_data} ({row.missing_data_reason}).",
        **({"metric_queries": _queries(row)} if row.expression else metric),
        evaluation_periods=row.evaluation_periods,
        datapoints_to_alarm=row.datapoints,
        comparison_operator=str(row.comparison),
        threshold=row.threshold,
        treat_missing_data=str(row.missing_data),
        alarm_actions=[on_call_topic_arn],
        ok_actions=[on_call_topic_arn],
        tags=tagged,
        opts=opts,
    )


def _queries(row: AlarmSpec) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
    """The expression, which is what the alarm looks at, and its metrics."""
    query, metric = aws.cloudwatch.MetricAlarmMetricQueryArgs, aws.cloudwatch.MetricAlarmMetricQueryMetricArgs
    inputs = [
        query(
            id=name,
            metric=metric(
                namespace=row.namespace,
                metric_name=counted,
                dimensions=row.dimensions,
                period=row.period,
                stat=row.statistic,
            ),
            return_data=False,
        )
        for name, counted in row.inputs.items()
    ]
    return [query(id="watched", expression=row.expression, label=row.key, return_data=True), *inputs]
