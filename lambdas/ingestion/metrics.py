"""A metric of our own, in CloudWatch's embedded metric format: a log line that CloudWatch makes a data point of.

It takes no call and no right beyond writing logs. The alarm on it (`components/service/alarms.py`) names the same
namespace, metric and dimension.
"""

from __future__ import annotations

import time

from logs import log

_NAMESPACE, _METRIC, _DIMENSION = "SentimentPipeline", "NewsFailures", "FunctionName"


def count_news_failures(function_name: str, failures: int) -> None:
    """Say that a run of the function asked the news service, and how many of its requests failed."""
    metric = {"Namespace": _NAMESPACE, "Dimensions": [[_DIMENSION]], "Metrics": [{"Name": _METRIC, "Unit": "Count"}]}
    log(
        "info",
        "news_asked",
        **{_DIMENSION: function_name, _METRIC: failures},
        _aws={"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [metric]},
    )
