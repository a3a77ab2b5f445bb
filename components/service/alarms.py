"""The alarm table: every alarm of the service, and what each does when no data arrive and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.naming import FunctionNames
from components.settings import Settings
from components.tags import tags


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmSpec:
    """One kind of alarm that every function with a `live` alias has. The period is in seconds."""

    key: str
    name: Callable[[FunctionNames], str]
    description: str
    namespace: str
    metric: str
    statistic: str
    comparison: str
    threshold: Callable[[Settings], int]
    period: Callable[[Settings], int]
    missing_data: str
    missing_data_reason: str


ALARMS: Final = (
    AlarmSpec(
        key="errors",
        name=lambda names: names.errors_alarm,
        description="Calls of live failed",
        namespace="AWS/Lambda",
        metric="Errors",
        statistic="Sum",
        comparison="GreaterThanOrEqualToThreshold",
        threshold=lambda settings: settings.error_alarm_threshold,
        period=lambda settings: settings.error_alarm_period_seconds,
        missing_data="notBreaching",
        missing_data_reason="Lambda emits Errors only when there are calls: no calls, no failed calls",
    ),
)


@dataclass(frozen=True, kw_only=True)
class FunctionAlarmsArgs:
    """Whose alarms, by which settings, and who is told."""

    settings: Settings
    key: str
    names: FunctionNames
    live: aws.lambda_.Alias
    on_call_topic_arn: pulumi.Input[str]


class FunctionAlarms(pulumi.ComponentResource):
    """The alarms of one function, on the metrics of its alias `live`."""

    names: tuple[str, ...]

    def __init__(self, name: str, args: FunctionAlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:FunctionAlarms", name, None, opts)
        self.names = tuple(spec.name(args.names) for spec in ALARMS)
        for spec in ALARMS:
            aws.cloudwatch.MetricAlarm(
                f"{name}-{spec.key}",
                name=spec.name(args.names),
                alarm_description=f"{spec.description}. No data: {spec.missing_data} ({spec.missing_data_reason}).",
                namespace=spec.namespace,
                metric_name=spec.metric,
                # Calls through an alias carry both dimensions; Resource is function:alias, not an ARN.
                dimensions={
                    "FunctionName": args.names.function,
                    "Resource": args.live.name.apply(args.names.alias_resource),
                },
                statistic=spec.statistic,
                period=spec.period(args.settings),
                evaluation_periods=1,
                datapoints_to_alarm=1,
                comparison_operator=spec.comparison,
                threshold=spec.threshold(args.settings),
                treat_missing_data=spec.missing_data,
                alarm_actions=[args.on_call_topic_arn],
                ok_actions=[args.on_call_topic_arn],
                tags=tags(args.settings.environment, args.key),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"names": list(self.names)})
