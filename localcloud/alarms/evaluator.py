"""One poll of all alarms: describe, read, evaluate, set, notify."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.alarms import messages
from localcloud.alarms.alarm import Evaluation, MetricAlarm, UnsupportedAlarmError, evaluate
from localcloud.alarms.rules import StateValue

_log = logging.getLogger("alarms")
_QUERIES_AT_ONCE = 500


class Evaluator:
    """Evaluates all metric alarms of the account, poll by poll.

    Args:
        cloudwatch: boto3 client of CloudWatch.
        sns: boto3 client of SNS.
        scale: how much faster the clock runs: periods are divided by it.
        now: seconds since the epoch.
        send: takes the events that EventBridge is told.
    """

    def __init__(
        self,
        cloudwatch: Any,
        sns: Any,
        scale: float = 1.0,
        now: Callable[[], float] = time.time,
        send: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        self._cloudwatch, self._sns, self._scale, self._now, self._send = cloudwatch, sns, scale, now, send
        self._values: dict[str, Mapping[int, float]] = {}
        self._states: dict[str, StateValue] = {}
        self._unsupported: set[str] = set()

    def run_once(self) -> int:
        """Evaluate every alarm once; a failure with one is logged and leaves the others alone.

        Returns:
            How many alarms there are.

        Raises:
            BotoCoreError, ClientError: CloudWatch cannot be asked at all.
        """
        described = self._describe()
        alarms = [alarm for one in described if (alarm := self._read(one))]
        now = self._now()
        values = self._read_metrics(alarms, now)
        for alarm in alarms:
            try:
                self._evaluate(alarm, values[alarm.name], now)
            except (BotoCoreError, ClientError, ValueError, KeyError) as error:
                _log.warning("alarm %s: %s", alarm.name, error)
        names = {alarm.name for alarm in alarms}
        self._values = {name: known for name, known in self._values.items() if name in names}
        self._states = {name: state for name, state in self._states.items() if name in names}
        return len(described)

    def _describe(self) -> list[dict[str, Any]]:
        pages = self._cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
        return [alarm for page in pages for alarm in page["MetricAlarms"]]

    def _read(self, described: Mapping[str, Any]) -> MetricAlarm | None:
        name = described["AlarmName"]
        try:
            return MetricAlarm.of(described, self._scale)
        except (UnsupportedAlarmError, KeyError, ValueError) as error:
            if name not in self._unsupported:
                self._unsupported.add(name)
                _log.warning("alarm %s is not evaluated: %s", name, error)
            return None

    def _read_metrics(self, alarms: list[MetricAlarm], now: float) -> dict[str, dict[int, float]]:
        """Return, by name of alarm, start of period to value."""
        metrics: dict[str, dict[str, dict[int, float]]] = {alarm.name: {} for alarm in alarms}
        wanted = [(alarm, name, stat) for alarm in alarms for name, stat in alarm.stats().items()]
        for first in range(0, len(wanted), _QUERIES_AT_ONCE):
            some = wanted[first : first + _QUERIES_AT_ONCE]
            answer = self._cloudwatch.get_metric_data(
                MetricDataQueries=[{"Id": f"m{i}", "MetricStat": stat} for i, (*_, stat) in enumerate(some)],
                StartTime=datetime.fromtimestamp(min(alarm.first_period(now) for alarm, *_ in some), UTC),
                EndTime=datetime.fromtimestamp(int(now) + 1, UTC),
            )
            for result in answer["MetricDataResults"]:
                alarm, name, _ = some[int(result["Id"].removeprefix("m"))]
                moments = (int(moment.timestamp()) for moment in result["Timestamps"])
                oldest = alarm.first_period(now)
                known = zip(moments, result["Values"], strict=True)
                metrics[alarm.name][name] = {start: value for start, value in known if start >= oldest}
        return {alarm.name: alarm.values(metrics[alarm.name]) for alarm in alarms}

    def _evaluate(self, alarm: MetricAlarm, values: Mapping[int, float], now: float) -> None:
        known = self._states.get(alarm.name)
        if known is not None and known is not alarm.state:
            # Somebody set the state by hand: CloudWatch performs the actions then too, and evaluates again afterwards.
            self._states[alarm.name] = alarm.state
            self._notify(alarm, alarm.state, known, alarm.described.get("StateReason", ""))
        verdict = evaluate(alarm, values, self._values.get(alarm.name), now)
        self._values[alarm.name] = values
        self._states[alarm.name] = alarm.state
        if verdict.state is not alarm.state:
            self._change(alarm, verdict)

    def _change(self, alarm: MetricAlarm, verdict: Evaluation) -> None:
        why = messages.reason(alarm, verdict)
        self._cloudwatch.set_alarm_state(
            AlarmName=alarm.name,
            StateValue=verdict.state,
            StateReason=why,
        )
        self._states[alarm.name] = verdict.state
        _log.info("alarm %s: %s -> %s: %s", alarm.name, alarm.state, verdict.state, why)
        self._notify(alarm, verdict.state, alarm.state, why)

    def _notify(self, alarm: MetricAlarm, new: StateValue, old: StateValue, why: str) -> None:
        try:
            self._send(messages.event(alarm, new, old, why, self._moment()))
        except (BotoCoreError, ClientError) as error:
            _log.warning("alarm %s: cannot tell EventBridge: %s", alarm.name, error)
        subject, body = messages.notification(alarm, new, old, why, self._moment())
        for target in messages.actions(alarm, new):
            if ":sns:" not in target:
                _log.warning(
                    "alarm %s: the action %s is not a topic, and nothing else is performed", alarm.name, target
                )
                continue
            try:
                self._sns.publish(TopicArn=target, Subject=subject, Message=body)
            except (BotoCoreError, ClientError) as error:
                _log.warning("alarm %s: cannot notify %s: %s", alarm.name, target, error)

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)
