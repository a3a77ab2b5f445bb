"""Metrics embedded in log lines: what CloudWatch reads out of them, and what it does not understand."""

import copy
import json

import pytest

from localcloud.lambdas.embedded import EmbeddedError, metrics_of

GOOD = {
    "_aws": {
        "Timestamp": 1_000_000,
        "CloudWatchMetrics": [
            {
                "Namespace": "Mine",
                "Dimensions": [["b", "a"], []],
                "Metrics": [{"Name": "found", "Unit": "Count"}, {"Name": "tries"}],
            }
        ],
    },
    "a": "1",
    "b": "2",
    "found": 3,
    "tries": [1, 2.5],
    "event": "anything else",
}


def changed(*path, to):
    line = copy.deepcopy(GOOD)
    inner = line
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return json.dumps(line)


def test_each_metric_is_a_point_for_each_set_of_dimensions():
    points = [
        (namespace, point["MetricName"], [one["Name"] for one in point["Dimensions"]], point["Values"], point["Unit"])
        for namespace, point in metrics_of(f"2026-11-01T00:00:00Z id {json.dumps(GOOD)}")
    ]
    assert points == [
        ("Mine", "found", ["a", "b"], [3.0], "Count"),
        ("Mine", "tries", ["a", "b"], [1.0, 2.5], "None"),
        ("Mine", "found", [], [3.0], "Count"),
        ("Mine", "tries", [], [1.0, 2.5], "None"),
    ]
    assert {point["Timestamp"].timestamp() for _, point in metrics_of(json.dumps(GOOD))} == {1000}


@pytest.mark.parametrize(
    "line", ["", "plain", '{"event": "x"}', 'no { json "_aws"', '{"text": "\\"_aws\\""}', '["_aws"]']
)
def test_other_lines_hold_no_metrics(line):
    assert metrics_of(line) == []


DIRECTIVE = ("_aws", "CloudWatchMetrics", 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (changed("_aws", "Timestamp", to="now"), "Timestamp"),
        (changed("_aws", "CloudWatchMetrics", to={}), "must be a list"),
        (changed(*DIRECTIVE, "Namespace", to="AWS/Lambda"), "belongs to AWS"),
        (changed(*DIRECTIVE, "Namespace", to=""), "is no text"),
        (changed(*DIRECTIVE, "Dimensions", to=["a"]), "list of lists"),
        (changed(*DIRECTIVE, "Dimensions", to=[["gone"]]), "must name a text"),
        (changed("a", to=1), "must name a text"),
        (changed(*DIRECTIVE, "Metrics", to=[]), "1 to 100"),
        (changed(*DIRECTIVE, "Metrics", to=["found"]), "objects with a Name"),
        (changed("found", to="3"), "found must be a number"),
        (changed("found", to=True), "found must be a number"),
        (changed("tries", to=[]), "tries must be a number"),
    ],
)
def test_a_line_that_cloudwatch_would_not_understand_says_why(line, said):
    with pytest.raises(EmbeddedError, match=said):
        metrics_of(line)
