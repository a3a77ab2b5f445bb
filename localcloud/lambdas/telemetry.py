"""Metrics and logs of invocations, sent to CloudWatch in the background so that calls stay fast."""

import contextlib
import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.habits import LATE_METRICS, Habits
from localcloud.lambdas.embedded import EmbeddedError, metrics_of
from localcloud.process.aws_clients import AwsClients

_LOG = logging.getLogger(__name__)
_BATCH_SECONDS = 0.2
_MAX_DATA = 500
_MAX_EVENTS = 5000
_KEPT_AFTER_FAILURE = 20_000
_MAX_VALUES = 150


@dataclass(frozen=True, slots=True)
class Point:
    """One invocation's values, for the dimension sets that AWS gives it.

    Args:
        function: name of the function.
        resource: fn, fn:version or fn:alias.
        executed_version: the version that ran, where AWS counts by it.
        at: start of the call, seconds since the epoch.
        values: metric name to value.
    """

    function: str
    resource: str
    executed_version: str | None
    at: float
    values: dict[str, float]

    def dimension_sets(self) -> list[tuple[tuple[str, str], ...]]:
        """Names and values, sorted by name (moto compares them in order)."""
        name, resource = ("FunctionName", self.function), ("Resource", self.resource)
        sets = [(name,), (name, resource)]
        if self.executed_version:
            sets.append((("ExecutedVersion", self.executed_version), name, resource))
        return sets


@dataclass(frozen=True, slots=True)
class LogEvents:
    """Lines (milliseconds since the epoch, text) of one log stream."""

    group: str
    stream: str
    lines: Sequence[tuple[int, str]]


class Telemetry:
    """Collects points and lines; a thread sends them every 200 ms."""

    def __init__(self, cloud: AwsClients, habits: Habits) -> None:
        self._cloud = cloud
        self._habits = habits
        self._added: Counter[str] = Counter()
        self._late: list[tuple[float, Point]] = []
        self._points: list[Point] = []
        self._embedded: list[tuple[str, dict[str, Any]]] = []
        self._logs: list[LogEvents] = []
        self._known_streams: set[tuple[str, str]] = set()
        self._sending = threading.Lock()
        self._complained = False
        threading.Thread(target=self._run, name="telemetry", daemon=True).start()

    def add(self, point: Point) -> None:
        """Queue one invocation's metrics; they leave once AWS would show them."""
        self._added[point.function] += 1
        delay = self._habits.seconds(LATE_METRICS, f"{point.function}/{self._added[point.function]}")
        self._late.append((time.time() + delay, point))

    def log(self, events: LogEvents) -> None:
        """Queue log lines, and the metrics embedded in them."""
        self._embedded += [point for _, text in events.lines for point in _embedded_in(events.group, text)]
        self._logs.append(events)

    def flush(self) -> bool:
        """Send everything queued now that is due; False when CloudWatch did not take it (it stays queued)."""
        with self._sending:
            some, now = self._late[:], time.time()
            self._points += [point for due, point in some if due <= now]
            self._late[: len(some)] = [one for one in some if one[0] > now]  # others may append to it meanwhile
            try:
                self._send(self._points, _MAX_DATA, self._send_points)
                self._send(self._embedded, 1, self._send_embedded)
                self._send(self._logs, _MAX_EVENTS, self._send_logs)
            except (BotoCoreError, ClientError) as error:
                if not self._complained:
                    _LOG.warning("CloudWatch did not take metrics or logs (they are kept and sent again): %s", error)
                self._complained = True
                return False
            self._complained = False
            return True

    def _send(self, queue: list[Any], most: int, send: Callable[[list[Any]], None]) -> None:
        """Empty a queue, `most` entries at a time; others may append to it meanwhile."""
        del queue[:-_KEPT_AFTER_FAILURE]
        while some := queue[:most]:
            send(some)
            del queue[: len(some)]

    def _run(self) -> None:
        while True:
            time.sleep(_BATCH_SECONDS)
            try:
                self.flush()
            except Exception:
                # This thread must go on: without it no alarm would ever see data again.
                _LOG.exception("metrics or logs of the last invocations are lost")
                for queue in (self._points, self._embedded, self._logs):
                    queue.clear()

    def _send_embedded(self, points: list[tuple[str, dict[str, Any]]]) -> None:
        for namespace, datum in points:
            self._cloud.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])

    def _send_points(self, points: Sequence[Point]) -> None:
        """One datum for each metric, dimension set and second: moto's queries are linear in the number of data."""
        values: dict[tuple, list[float]] = defaultdict(list)
        for point in points:
            for dimensions in point.dimension_sets():
                for name, value in point.values.items():
                    values[name, dimensions, int(point.at)].append(value)
        data = [datum for key, numbers in values.items() for datum in _data(*key, numbers)]
        for start in range(0, len(data), _MAX_DATA):
            self._cloud.client("cloudwatch").put_metric_data(
                Namespace="AWS/Lambda", MetricData=data[start : start + _MAX_DATA]
            )

    def _send_logs(self, logs: Sequence[LogEvents]) -> None:
        streams: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for events in logs:
            streams[events.group, events.stream] += events.lines
        for (group, stream), lines in streams.items():
            ordered = sorted((line for line in lines if line[1]), key=lambda line: line[0])
            for start in range(0, len(ordered), _MAX_EVENTS):
                self._put(group, stream, ordered[start : start + _MAX_EVENTS])

    def _put(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        client = self._cloud.client("logs")
        if (group, stream) not in self._known_streams:
            self._create(group, stream)
        events = [{"timestamp": at, "message": text} for at, text in lines]
        try:
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except client.exceptions.ResourceNotFoundException:
            # Somebody deleted the group or stream after we had made it.
            self._create(group, stream)
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def _create(self, group: str, stream: str) -> None:
        client = self._cloud.client("logs")
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=group)
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        self._known_streams.add((group, stream))


def _embedded_in(group: str, text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        return metrics_of(text)
    except EmbeddedError as error:  # CloudWatch keeps such a line and makes nothing of it
        _LOG.warning("%s: no metric is read out of a line: %s", group, error)
        return []


def _data(name: str, dimensions: Sequence[tuple[str, str]], second: int, numbers: list[float]) -> list[dict[str, Any]]:
    """The data of one metric: counts summed up, durations one by one (percentiles need the single values)."""
    common = {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
        "Timestamp": datetime.fromtimestamp(second, UTC),
    }
    if name == "Duration":
        slices = [numbers[start : start + _MAX_VALUES] for start in range(0, len(numbers), _MAX_VALUES)]
        return [{**common, "Unit": "Milliseconds", "Values": part} for part in slices]
    statistics = {
        "SampleCount": len(numbers),
        "Sum": sum(numbers),
        "Minimum": min(numbers),
        "Maximum": max(numbers),
    }
    return [{**common, "Unit": "Count", "StatisticValues": statistics}]
