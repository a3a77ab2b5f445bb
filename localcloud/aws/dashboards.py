"""What CloudWatch refuses in the body of a dashboard: pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterator
from typing import Any, Final

_COLUMNS, _TALLEST, _MOST_WIDGETS, _MOST_ALARMS, _MOST_METRICS = 24, 1000, 500, 100, 500
_VIEWS: Final = ("timeSeries", "singleValue", "gauge", "bar", "pie", "table")
_RENDERING: Final = ("color", "label", "period", "region", "stat", "visible", "yAxis", "id", "expression", "accountId")


def problems(body: Any) -> Iterator[str]:
    """What is wrong with a body, each with its place; nothing when CloudWatch would take it."""
    widgets = body.get("widgets") if isinstance(body, dict) else None
    if not isinstance(widgets, list) or len(widgets) > _MOST_WIDGETS:
        yield f"/widgets must be a list of at most {_MOST_WIDGETS}"
        return
    for number, widget in enumerate(widgets):
        where = f"/widgets/{number}"
        if not isinstance(widget, dict) or not isinstance(widget.get("properties"), dict):
            yield f"{where} must be an object with properties"
            continue
        yield from _place(widget, where)
        match widget.get("type"):
            case "metric":
                yield from _metric_widget(widget["properties"], f"{where}/properties")
            case "alarm":
                alarms = widget["properties"].get("alarms")
                if (
                    not isinstance(alarms, list)
                    or not 1 <= len(alarms) <= _MOST_ALARMS
                    or not all(map(_is_arn, alarms))
                ):
                    yield f"{where}/properties/alarms must be 1 to {_MOST_ALARMS} ARNs of alarms"
            case "text":
                if not isinstance(widget["properties"].get("markdown"), str):
                    yield f"{where}/properties/markdown must be a text"
            case other:
                yield f"{where}/type {other!r} is none that is known here: metric, alarm, text"


def _place(widget: dict[str, Any], where: str) -> Iterator[str]:
    limits = {"x": (0, _COLUMNS - 1), "y": (0, None), "width": (1, _COLUMNS), "height": (1, _TALLEST)}
    for name, (low, high) in limits.items():
        value = widget.get(name, low)
        if type(value) is not int or value < low or (high is not None and value > high):
            yield f"{where}/{name} must be a whole number from {low} to {high or 'any'}"
            return
    if widget.get("x", 0) + widget.get("width", 1) > _COLUMNS:
        yield f"{where} reaches beyond the {_COLUMNS} columns"


def _metric_widget(properties: dict[str, Any], where: str) -> Iterator[str]:
    metrics = properties.get("metrics")
    if not isinstance(metrics, list) or not 1 <= len(metrics) <= _MOST_METRICS:
        yield f"{where}/metrics must be a list of 1 to {_MOST_METRICS}"
        return
    if not isinstance(properties.get("region"), str):
        yield f"{where}/region must be named"
    if properties.get("view", "timeSeries") not in _VIEWS:
        yield f"{where}/view must be one of {', '.join(_VIEWS)}"
    period = properties.get("period", 300)
    if type(period) is not int or period < 1 or (period > 60 and period % 60):  # noqa: PLR2004
        yield f"{where}/period must be a multiple of 60 seconds"
    for number, metric in enumerate(metrics):
        yield from _metric(metric, f"{where}/metrics/{number}")
    for line in (properties.get("annotations") or {}).get("horizontal", []):
        if type(line.get("value")) not in {int, float}:
            yield f"{where}/annotations/horizontal must have numbers as values"


def _metric(metric: Any, where: str) -> Iterator[str]:
    words = [part for part in metric if not isinstance(part, dict)] if isinstance(metric, list) else []
    rendered = [part for part in metric if isinstance(part, dict)] if isinstance(metric, list) else []
    if len(words) < 2 or len(words) % 2 or not all(isinstance(word, str) for word in words):  # noqa: PLR2004
        yield f"{where} must be namespace, name, and then dimensions in pairs"
    if rendered and (len(rendered) > 1 or metric[-1] is not rendered[0] or set(rendered[0]) - set(_RENDERING)):
        yield f"{where} may end with one object of {', '.join(_RENDERING)}"
    if rendered and rendered[0].get("yAxis", "left") not in {"left", "right"}:
        yield f"{where}/yAxis must be left or right"


def _is_arn(text: Any) -> bool:
    return isinstance(text, str) and text.startswith("arn:aws:cloudwatch:") and ":alarm:" in text
