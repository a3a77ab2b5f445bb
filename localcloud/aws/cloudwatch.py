"""Patches of moto's CloudWatch: alarms that start and keep their state as they should, metrics that are told apart."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.exceptions import DashboardInvalidInputError, ValidationError
from moto.cloudwatch.models import (
    Alarm,
    CloudWatchBackend,
    Dashboard,
    MetricAggregatedDatum,
    MetricDatum,
    MetricDatumBase,
)
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from localcloud.alarms.alarm import Watched
from localcloud.aws.dashboards import problems
from localcloud.aws.statistics import MetricSample, statistic

SeriesKey = tuple[str, str, frozenset[tuple[str, str]]]


def start_alarms_without_data() -> None:
    """A new alarm has seen nothing yet: INSUFFICIENT_DATA, where moto says OK."""
    init = Alarm.__init__

    def start(self: Alarm, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.state_value = "INSUFFICIENT_DATA"

    Alarm.__init__ = start


def keep_state_of_changed_alarms() -> None:
    """PutMetricAlarm on an existing alarm changes its settings, not its state: moto makes a new alarm of it."""
    put_metric_alarm = CloudWatchBackend.put_metric_alarm

    def put(self: CloudWatchBackend, *args: Any, **kwargs: Any) -> Alarm:
        before = self.alarms.get(kwargs["name"])
        alarm = put_metric_alarm(self, *args, **kwargs)
        if before:
            for kept in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
                setattr(alarm, kept, getattr(before, kept))
        return alarm

    CloudWatchBackend.put_metric_alarm = put


def refuse_alarms_that_nobody_evaluates() -> None:
    """PutMetricAlarm: moto takes any list of metrics, CloudWatch one that it can calculate with."""
    put_metric_alarm = CloudWatchResponse.put_metric_alarm

    def put(self: CloudWatchResponse) -> ActionResult:
        described = self._get_params()
        try:
            if described.get("Metrics"):
                Watched.of(described)
        except (ValueError, KeyError) as error:
            raise ValidationError(f"The local CloudWatch does not take this alarm: {error}") from None
        return put_metric_alarm(self)

    CloudWatchResponse.put_metric_alarm = put


def match_metrics_exactly() -> None:
    """GetMetricData: a metric is its namespace, name and whole set of dimensions.

    moto forgets the namespace when there are dimensions, minds their order (or takes any superset of them), starts
    periods at odd moments and walks over every point of every metric. Points are kept by series here.
    """
    init = CloudWatchBackend.__init__

    def start(self: CloudWatchBackend, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.metric_data = BySeries()

    def data(
        self: CloudWatchBackend,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampDescending",
    ) -> list[dict[str, Any]]:
        if scan_by != "TimestampDescending" or any("MetricStat" not in query for query in queries):
            raise ValidationError("The local CloudWatch answers metrics, newest first, and does no math")
        return [_answer(self, query, start_time, end_time) for query in queries]

    CloudWatchBackend.__init__ = start
    CloudWatchBackend.get_metric_data = data


def refuse_malformed_dashboards() -> None:
    """PutDashboard: moto takes any JSON, CloudWatch refuses what it cannot show."""
    put_dashboard = CloudWatchBackend.put_dashboard

    def put(self: CloudWatchBackend, name: str, body: str) -> Dashboard:
        if wrong := list(problems(json.loads(body))):
            raise DashboardInvalidInputError(f"The field DashboardBody is invalid: {'; '.join(wrong)}")
        return put_dashboard(self, name, body)

    CloudWatchBackend.put_dashboard = put


class BySeries(list[MetricDatumBase]):
    """moto's list of all points, which also knows them by series."""

    def __init__(self) -> None:
        super().__init__()
        self.series: dict[SeriesKey, list[MetricDatumBase]] = {}

    def append(self, point: MetricDatumBase) -> None:
        """Add a point to the list and to its series."""
        super().append(point)
        self.series.setdefault(_key_of(point), []).append(point)


def _answer(backend: CloudWatchBackend, query: dict[str, Any], start: datetime, end: datetime) -> dict[str, Any]:
    wanted = query["MetricStat"]
    metric = wanted["Metric"]
    key = _series_key(metric["Namespace"], metric["MetricName"], metric.get("Dimensions", []))
    found = _by_period(_points(backend, key, wanted.get("Unit")), start, end, int(wanted["Period"]))
    return {
        "id": query["Id"],
        "label": query.get("Label") or f"{metric['MetricName']} {wanted['Stat']}",
        "timestamps": [moment for moment, _ in found],
        "values": [statistic(wanted["Stat"], samples) for _, samples in found],
        "status_code": "Complete",
    }


def _points(backend: CloudWatchBackend, key: SeriesKey, unit: str | None) -> list[MetricDatumBase]:
    stored = backend.metric_data
    points = list(stored.series.get(key, [])) if isinstance(stored, BySeries) else []
    return [point for point in points if unit in (None, point.unit)]


def _by_period(
    points: Iterable[MetricDatumBase], start: datetime, end: datetime, period: int
) -> list[tuple[datetime, list[MetricSample]]]:
    """Return the samples of each period that has some, newest first; periods begin at multiples of their length."""
    begin = datetime.fromtimestamp(_utc(start).timestamp() // period * period, UTC)
    buckets: dict[int, list[MetricSample]] = {}
    for point in points:
        moment = _utc(point.timestamp)
        if begin <= moment < _utc(end):
            buckets.setdefault(int((moment - begin).total_seconds() // period), []).append(_sample(point))
    return [(begin + timedelta(seconds=index * period), buckets[index]) for index in sorted(buckets, reverse=True)]


def _utc(moment: datetime) -> datetime:
    """Return a time that knows its zone: moto mixes those with naive ones, all of them UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _sample(point: MetricDatumBase) -> MetricSample:
    if isinstance(point, MetricAggregatedDatum):
        return MetricSample(count=point.sample_count, total=point.sum, minimum=point.min, maximum=point.max)
    value = point.value if isinstance(point, MetricDatum) else 0.0
    return MetricSample(count=1, total=value, minimum=value, maximum=value)


def _key_of(point: MetricDatumBase) -> SeriesKey:
    return point.namespace, point.name, frozenset((str(one.name), str(one.value)) for one in point.dimensions)


def _series_key(namespace: str, name: str, dimensions: list[dict[str, str]] | None) -> SeriesKey:
    return namespace, name, frozenset((one["Name"], one["Value"]) for one in dimensions or [])
