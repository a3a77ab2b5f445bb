"""Metrics embedded in a function's log lines, as CloudWatch reads them out of its log group. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

_MOST_DIMENSIONS: Final = 30
_MOST_METRICS: Final = 100
_MOST_VALUES: Final = 100


class EmbeddedError(ValueError):
    """A line that means to hold metrics, and that CloudWatch would not understand."""


def metrics_of(line: str) -> list[tuple[str, dict[str, Any]]]:
    """The data points in one log line: namespace, and what PutMetricData takes. Raises `EmbeddedError`."""
    if '"_aws"' not in line:
        return []
    try:
        root = json.loads(line[line.index("{") :])
    except ValueError:
        return []
    about = root.get("_aws") if isinstance(root, Mapping) else None
    if about is None:
        return []
    if not isinstance(about, Mapping) or type(about.get("Timestamp")) is not int:
        raise EmbeddedError("_aws.Timestamp must be a whole number, milliseconds since 1970")
    moment = datetime.fromtimestamp(about["Timestamp"] / 1000, UTC)
    directives = about.get("CloudWatchMetrics")
    if not isinstance(directives, list):
        raise EmbeddedError("_aws.CloudWatchMetrics must be a list")
    return [point for directive in directives for point in _points(root, directive, moment)]


def _points(root: Mapping[str, Any], directive: Any, moment: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    namespace = directive.get("Namespace") if isinstance(directive, Mapping) else None
    if not isinstance(namespace, str) or not namespace or namespace.startswith("AWS/"):
        raise EmbeddedError(f"the namespace {namespace!r} is no text, or belongs to AWS")
    sets, metrics = directive.get("Dimensions"), directive.get("Metrics")
    if not isinstance(sets, list) or not all(isinstance(one, list) for one in sets):
        raise EmbeddedError("Dimensions must be a list of lists of names")
    named = isinstance(metrics, list) and all(isinstance(one, Mapping) and "Name" in one for one in metrics)
    if not named or not 1 <= len(metrics) <= _MOST_METRICS:
        raise EmbeddedError(f"Metrics must be a list of 1 to {_MOST_METRICS} objects with a Name")
    for names in sets or [[]]:
        dimensions = _dimensions(root, names)
        for metric in metrics:
            point = {"MetricName": metric["Name"], "Dimensions": dimensions, "Timestamp": moment}
            yield namespace, {**point, "Values": _values(root, metric["Name"]), "Unit": metric.get("Unit", "None")}


def _dimensions(root: Mapping[str, Any], names: list[Any]) -> list[dict[str, str]]:
    """Names and values, sorted by name (moto compares them in order)."""
    wrong = [name for name in names if not isinstance(root.get(name), str) or not root[name]]
    if wrong or len(names) > _MOST_DIMENSIONS:
        raise EmbeddedError(f"a dimension must name a text beside _aws, at most {_MOST_DIMENSIONS} of them: {names}")
    return [{"Name": name, "Value": root[name]} for name in sorted(names)]


def _values(root: Mapping[str, Any], name: str) -> list[float]:
    found = root.get(name)
    all_of_it: list[Any] = found if isinstance(found, list) else [found]
    values = [float(value) for value in all_of_it if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(values) < len(all_of_it) or not 1 <= len(values) <= _MOST_VALUES:
        raise EmbeddedError(f"{name} must be a number beside _aws, or at most {_MOST_VALUES} of them")
    return values
