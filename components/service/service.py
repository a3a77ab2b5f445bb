"""The whole service of one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.arns import Arns
from components.service.alarms import AlarmSpec, Judges, alarms
from components.service.function import Function, FunctionArgs
from components.service.functions import FUNCTIONS, FunctionSpec, Trigger
from components.service.items import Items, ItemsArgs
from components.service.messaging import Messaging, MessagingArgs
from components.service.monitoring import FunctionAlarms, FunctionAlarmsArgs, Overview, OverviewArgs
from components.service.overview import console_url
from components.service.record import Record, RecordArgs
from components.service.release import ServicePlan
from components.service.triggers import (
    Scheduler,
    SchedulerArgs,
    ScheduleTrigger,
    ScheduleTriggerArgs,
    TopicTrigger,
    TopicTriggerArgs,
    UrlTrigger,
    UrlTriggerArgs,
)
from components.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    """Settings of the stack, and what this `up` makes of which release; None while there is none."""

    settings: Settings
    arns: Arns
    plan: ServicePlan | None


class Service(pulumi.ComponentResource):
    """Items, messages, and the functions between them."""

    outputs: Mapping[str, Any]
    """What the stack exports; what does not exist yet is absent."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sentiment:service:Service", name, None, opts)
        names = args.arns.names
        self._args = args
        items = Items(
            "items",
            ItemsArgs(environment=names.environment, table=names.items_table, protect=args.settings.is_prod),
            pulumi.ResourceOptions(parent=self),
        )
        self._messaging = Messaging(
            "messaging",
            MessagingArgs(arns=args.arns, on_call_emails=args.settings.on_call_emails),
            pulumi.ResourceOptions(parent=self),
        )
        scheduled = [spec.key for spec in FUNCTIONS if spec.trigger is Trigger.SCHEDULE]
        self._scheduler = Scheduler(
            "scheduler",
            SchedulerArgs(arns=args.arns, function_names=tuple(names.function(key).function for key in scheduled)),
            pulumi.ResourceOptions(parent=self),
        )
        functions = {spec.key: self._function(spec) for spec in FUNCTIONS}
        live = {key: function.live for key, function in functions.items() if function.live is not None}
        candidate = {key: function.candidate for key, function in functions.items() if function.candidate is not None}
        outputs: dict[str, Any] = {
            "functions": {key: functions[key].names.function for key in candidate},
            "candidate": {key: alias.function_version for key, alias in candidate.items()},
            "live": {key: alias.function_version for key, alias in live.items()},
            "items_table": items.table.name,
            "new_items_topic": self._messaging.new_items.arn,
            "on_call_topic": self._messaging.on_call.arn,
            "overview_url": console_url(args.settings),
        }
        watching = self._overview()
        for spec in FUNCTIONS:
            if spec.key in live:
                watching.extend(self._alarms(spec, live[spec.key]))
                outputs.update(self._trigger(spec, live[spec.key]))
        # What the releaser judges by, and what it must not: it reads `alarms` only.
        outputs["alarms"] = [row.name for row in watching if row.judges is Judges.RELEASE]
        outputs["service_alarms"] = [row.name for row in watching if row.judges is not Judges.RELEASE]
        if args.plan is not None:
            record = Record(
                "record",
                RecordArgs(
                    plan=args.plan,
                    alias_ids=[alias.id for alias in (*live.values(), *candidate.values())],
                    live_versions=outputs["live"],
                ),
                pulumi.ResourceOptions(parent=self),
            )
            outputs.update({"release": record.release, "stable": record.stable})
        self.outputs = outputs
        self.register_outputs({})

    def _function(self, spec: FunctionSpec) -> Function:
        plan = self._args.plan
        return Function(
            spec.key,
            FunctionArgs(
                settings=self._args.settings,
                arns=self._args.arns,
                spec=spec,
                dead_letters_arn=self._messaging.dead_letters.arn,
                release=plan.release if plan else None,
                plan=plan.functions.get(spec.key) if plan else None,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _rows(self, function: str | None) -> list[AlarmSpec]:
        return [row for row in alarms(self._args.settings) if row.function == function]

    def _alarms(self, spec: FunctionSpec, live: aws.lambda_.Alias) -> list[AlarmSpec]:
        """Make the alarms of `live` and return their rows."""
        rows = self._rows(spec.key)
        FunctionAlarms(
            spec.key,
            FunctionAlarmsArgs(
                environment=self._args.settings.environment,
                key=spec.key,
                rows=rows,
                live=live,
                on_call_topic_arn=self._messaging.on_call.arn,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        return rows

    def _overview(self) -> list[AlarmSpec]:
        """Make the dashboard and what is watched from the beginning; return the rows of that."""
        rows = self._rows(None)
        Overview(
            "overview",
            OverviewArgs(settings=self._args.settings, rows=rows, on_call_topic_arn=self._messaging.on_call.arn),
            pulumi.ResourceOptions(parent=self),
        )
        return rows

    def _trigger(self, spec: FunctionSpec, live: aws.lambda_.Alias) -> dict[str, Any]:
        """Bind the function's caller to `live`, and return what of it the stack exports."""
        opts = pulumi.ResourceOptions(parent=self)
        dead_letters_arn = self._messaging.dead_letters.arn
        match spec.trigger:
            case Trigger.SCHEDULE:
                args = ScheduleTriggerArgs(
                    names=self._args.arns.names.function(spec.key),
                    expression=self._args.settings.schedule_expression,
                    live=live,
                    role_arn=self._scheduler.role_arn,
                    dead_letters_arn=dead_letters_arn,
                )
                ScheduleTrigger(spec.key, args, opts)
                return {f"{spec.key}_schedule": args.names.schedule}
            case Trigger.TOPIC:
                topic_arn = self._messaging.new_items.arn
                args = TopicTriggerArgs(topic_arn=topic_arn, live=live, dead_letters_arn=dead_letters_arn)
                TopicTrigger(spec.key, args, opts)
            case Trigger.URL:
                return {f"{spec.key}_url": UrlTrigger(spec.key, UrlTriggerArgs(live=live), opts).url}
        return {}
